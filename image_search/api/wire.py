"""The forms that a request comes in. What values are allowed: `schemas`; what is answered: `answers`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar

from flask import request
from pydantic import ValidationError
from werkzeug.datastructures import FileStorage

from image_search.api.access import settings
from image_search.api.body import is_multipart, is_picture_body, json_body, json_object, whole_body
from image_search.api.problems import InvalidRequest
from image_search.api.reasons import reasons
from image_search.api.schemas.base import Request
from image_search.errors import InvalidParameter, UnsupportedFormat
from image_search.types import JsonScalar

Form: TypeAlias = Literal["json", "multipart", "raw"]
ANY_FORM: tuple[Form, ...] = ("json", "multipart", "raw")
M = TypeVar("M", bound=Request)

_KINDS: Mapping[Form, str] = {
    "json": "application/json",
    "multipart": "multipart/form-data",
    "raw": "a picture as image/*",
}


def read_body(model: type[M], forms: tuple[Form, ...], *, many: bool = False, alone: bool = False) -> M:
    """The current request's body in any of those forms, checked.

    `many`: a form has the pictures of `items`. `alone`: the query string is another model's.

    Raises InvalidParameter (malformed, two pictures, or wrong: each field named), ImageTooLarge, UnsupportedFormat.
    """
    form: Form = "multipart" if is_multipart() else "raw" if is_picture_body() else "json"
    if form not in forms:
        known = " or ".join(_KINDS[one] for one in forms)
        raise UnsupportedFormat(f"a body of type {request.mimetype[:80]!r}; {known} is expected")
    if form == "multipart":
        return check(model, _from_multipart_of_many() if many else _from_multipart(model))
    if form == "raw":
        values = _from_query(model)
        if "image" in values:
            raise InvalidParameter("image", "was given more than once")
        return check(model, {**values, "image": whole_body()})
    given = dict(json_body())
    if request.method == "POST":
        # The old form carries the key in the body; auth has read it there.
        given.pop("key", None)
    return check(model, given if alone else given | _query_collection(given))


def read_query(model: type[M]) -> M:
    """The query string, checked. Raises InvalidParameter."""
    return check(model, _from_query(model))


@contextmanager
def known_cursor() -> Iterator[None]:
    """Within it a page that cannot be is the fault of the client's cursor. Raises InvalidParameter."""
    try:
        yield
    except InvalidParameter as error:
        if error.field not in ("after", "image_id"):
            raise
        raise InvalidParameter("cursor", "is none that this service gave") from None


def check(model: type[M], values: Mapping[str, Any]) -> M:
    """The values as the model has them. Raises InvalidParameter that names every wrong field, ImageTooLarge."""
    context = {"max_image_bytes": settings().http_server.max_image_bytes}
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        found = reasons(error, sorted(model.model_fields))
    raise InvalidRequest(found)


def collection_of(named: str | None) -> str:
    """The collection that a request names, else the configured one."""
    return named or settings().library.collection


def _from_multipart(model: type[Request]) -> dict[str, Any]:
    pictures = request.files.getlist("image")
    if len(pictures) > 1:
        raise InvalidParameter("image", "was given more than once")
    values = _params_part()
    if pictures:
        values["image"] = pictures[0].read()
        if "source_name" in model.model_fields:
            _name_by_upload(values, pictures[0])
    return values


def _from_multipart_of_many() -> dict[str, Any]:
    pictures = request.files.getlist("image")
    values = _params_part()
    items = values.get("items")
    if items is None:
        items = [{} for _ in pictures]
    if not isinstance(items, list) or len(items) != len(pictures):
        raise InvalidParameter("items", f"must be a list with one item for each of the {len(pictures)} pictures")
    values["items"] = [_with_upload(item, picture) for item, picture in zip(items, pictures, strict=True)]
    return values


def _with_upload(item: Any, picture: FileStorage) -> Any:
    if not isinstance(item, dict):
        return item
    if "image" in item:
        raise InvalidParameter("image", "must be a file part (base64 belongs into a JSON body)")
    item = {**item, "image": picture.read()}
    _name_by_upload(item, picture)
    return item


def _name_by_upload(values: dict[str, Any], picture: FileStorage) -> None:
    """What an upload is called names its picture where nothing else does: without folders, never opened."""
    if not (values.get("source_name") or values.get("location")):
        values["source_name"] = re.split(r"[/\\]", picture.filename or "")[-1][:255]


def _params_part() -> dict[str, Any]:
    if "image" in request.form:
        raise InvalidParameter("image", "must be a file part (base64 belongs into a JSON body)")
    if others := sorted((set(request.files) | set(request.form)) - {"image", "params"}):
        raise InvalidParameter(others[0], "unknown part; known are image (a file) and params (JSON)")
    # A browser's Blob and curl's `-F params=@file` come as a file part, a plain field does not.
    given = [field.encode() for field in request.form.getlist("params")]
    given += [part.read() for part in request.files.getlist("params")]
    if len(given) > 1:
        raise InvalidParameter("params", "was given more than once")
    values = dict(json_object(given[0], "params")) if given and given[0] else {}
    if "image" in values:
        raise InvalidParameter("image", "must be a file part (base64 belongs into a JSON body)")
    return values | _query_collection(values)


def _query_collection(values: Mapping[str, Any]) -> dict[str, str]:
    named = _single_values()
    if unknown := sorted(set(named) - {"collection"}):
        raise InvalidParameter(unknown[0], "unknown in the query string; give it in the body")
    if "collection" in named and values.get("collection", named["collection"]) != named["collection"]:
        raise InvalidParameter("collection", "was given twice, differently")
    return named


def _from_query(model: type[Request]) -> dict[str, JsonScalar]:
    """The query string's texts as JSON would have them: a number where the model wants one and one is given."""
    wanted = _properties(model)
    return {name: _scalar(value, wanted.get(name, {})) for name, value in _single_values().items()}


@cache
def _properties(model: type[Request]) -> Mapping[str, Any]:
    return dict(model.model_json_schema()["properties"])


def _single_values() -> dict[str, str]:
    single = {}
    for key, given in request.args.lists():
        if len(given) > 1:
            raise InvalidParameter(key, "was given more than once")
        single[key] = given[0]
    return single


def _scalar(value: str, wanted: Mapping[str, Any]) -> JsonScalar:
    kinds = {one.get("type") for one in (wanted, *wanted.get("anyOf", ()))}
    if kinds & {"integer", "number"}:
        if re.fullmatch(r"-?\d{1,18}", value, re.ASCII):
            return int(value)
        if re.fullmatch(r"-?\d{1,18}\.\d{1,18}", value, re.ASCII):
            return float(value)
    if "boolean" in kinds and value in ("true", "false"):
        return value == "true"
    return value
