"""The forms that a request comes in, and the URLs and documents of answers. What values are allowed: `schemas`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import quote

from flask import current_app, request
from pydantic import ValidationError

from image_search.api.access import settings
from image_search.api.auth import Keys
from image_search.api.body import is_multipart, is_picture_body, json_body, json_object, whole_body
from image_search.api.problems import InvalidRequest
from image_search.api.reasons import reasons
from image_search.api.schemas.base import Request
from image_search.errors import InvalidParameter, UnsupportedFormat
from image_search.services.answer import SearchAnswer, describe_record
from image_search.types import ImageRecord, Job, JsonScalar

Form: TypeAlias = Literal["json", "multipart", "raw"]
ANY_FORM: tuple[Form, ...] = ("json", "multipart", "raw")
M = TypeVar("M", bound=Request)

_KINDS: Mapping[Form, str] = {
    "json": "application/json",
    "multipart": "multipart/form-data",
    "raw": "a picture as image/*",
}


def read_body(model: type[M], forms: tuple[Form, ...]) -> M:
    """The current request's body in any of those forms, checked.

    Raises InvalidParameter (malformed, two pictures, or wrong: each field named), ImageTooLarge, UnsupportedFormat.
    """
    form: Form = "multipart" if is_multipart() else "raw" if is_picture_body() else "json"
    if form not in forms:
        known = " or ".join(_KINDS[one] for one in forms)
        raise UnsupportedFormat(f"a body of type {request.mimetype[:80]!r}; {known} is expected")
    if form == "multipart":
        return check(model, _from_multipart(model))
    if form == "raw":
        values = _from_query(model)
        if "image" in values:
            raise InvalidParameter("image", "was given more than once")
        return check(model, {**values, "image": whole_body()})
    given = dict(json_body())
    # The old form carries the key in the body; auth has read it there.
    given.pop("key", None)
    return check(model, given | _query_collection(given))


def read_query(model: type[M]) -> M:
    """The query string, checked. Raises InvalidParameter."""
    return check(model, _from_query(model))


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


def base_url() -> str:
    """Where this service is known: `public_url`, else what the request (and as many proxies as trusted) says."""
    return (settings().http_server.public_url or request.host_url).rstrip("/")


def picture_urls(image_id: str, collection: str) -> dict[str, str]:
    """Absolute, signed URLs of the original and the thumbnail."""
    keys: Keys = current_app.extensions["keys"]
    base = f"{base_url()}/images/{image_id}"
    suffix = f"&collection={quote(collection)}" if collection != settings().library.collection else ""
    return {
        "url": f"{base}/file?sig={keys.sign(image_id)}{suffix}",
        "thumbnail_url": f"{base}/thumbnail?sig={keys.sign(image_id)}{suffix}",
    }


def search_answer(answer: SearchAnswer) -> dict[str, Any]:
    """The answer to a search, with the flat fields of the older interface."""
    body = {"ok": True, **answer.as_dict()}
    for place, result in enumerate(body["results"], 1):
        result |= picture_urls(result["id"], answer.collection)
        if place <= 5:
            body[f"image{place}"] = result["url"]
    timing = answer.timing_ms
    body["embedding_time"] = round(timing["decode"] + timing["embed"], 3)
    body["search_time"] = timing["search"]
    return body


def image_document(record: ImageRecord, collection: str) -> dict[str, Any]:
    """A stored picture."""
    return {"id": record.image_id, **describe_record(record), **picture_urls(record.image_id, collection)}


def job_document(job: Job) -> dict[str, Any]:
    """A job and how far it is."""
    return {
        "id": job.job_id,
        "kind": job.kind,
        "state": job.state,
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "rate": round(job.rate, 2),
        "eta_s": None if job.eta_s is None else round(job.eta_s, 1),
        "error": job.error or None,
        "url": f"{base_url()}/jobs/{job.job_id}",
    }


def _from_multipart(model: type[Request]) -> dict[str, Any]:
    pictures = request.files.getlist("image")
    if len(pictures) > 1:
        raise InvalidParameter("image", "was given more than once")
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
    values |= _query_collection(values)
    if pictures:
        values["image"] = pictures[0].read()
        # What an upload is called names its picture where nothing else does: without folders, never opened.
        name = re.split(r"[/\\]", pictures[0].filename or "")[-1][:255]
        if "source_name" in model.model_fields and not (values.get("source_name") or values.get("location")):
            values["source_name"] = name
    return values


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
