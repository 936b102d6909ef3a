"""The JSON body of the current request, read once: auth looks for a key in it, wire for everything else."""

from __future__ import annotations

from typing import Any

from flask import g, json, request

from image_search.errors import InvalidParameter, UnsupportedFormat

VECTORS_TYPE = "application/x-hdf5"
MAX_MARKS = 500_000
"""Brackets and commas of a JSON text: each may stand for a value that takes some 200 bytes of memory once it is read,
and the key of an older client is only known then."""


def is_picture_body() -> bool:
    """Whether the whole body is one picture."""
    return request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream"


def is_file_body() -> bool:
    """Whether the whole body is one file."""
    return is_picture_body() or request.mimetype == VECTORS_TYPE


def is_multipart() -> bool:
    """Whether the body is a form with file parts."""
    return request.mimetype == "multipart/form-data"


def whole_body() -> bytes:
    """The body's bytes. Raises RequestEntityTooLarge."""
    data = request.get_data()
    if request.content_length is None:
        # werkzeug ends a body without a length at the limit and says nothing; to read on raises.
        request.stream.read(1)
    return data


def json_body() -> dict[str, Any]:
    """The body as a JSON object, {} where it is empty; not to be changed.

    Clients name many content types for JSON, or none: the bytes decide. Raises InvalidParameter, and UnsupportedFormat
    where a body that is no JSON does not claim to be any.
    """
    if "json_body" not in g:
        data = whole_body()
        try:
            g.json_body = json_object(data, "the body") if data else {}
        except InvalidParameter as error:
            if error.malformed and request.mimetype and not request.is_json:
                raise UnsupportedFormat(
                    f"a body of type {request.mimetype[:80]!r}; application/json, multipart/form-data or a picture as "
                    "image/* is expected"
                ) from error
            raise
    found: dict[str, Any] = g.json_body
    return found


def json_object(data: bytes, what: str) -> dict[str, Any]:
    """The JSON object in `data`; `what` names it in errors. Raises InvalidParameter."""
    # There are no more values than these; base64 has none of them.
    if sum(data.count(mark) for mark in (b"[", b"{", b",")) > MAX_MARKS:
        raise InvalidParameter(what, f"has more than the {MAX_MARKS:,} brackets and commas that are accepted")
    try:
        value = json.loads(data, object_pairs_hook=_no_doubles, parse_constant=_no_constants)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(what, "is not valid JSON", malformed=True) from error
    if not isinstance(value, dict):
        raise InvalidParameter(what, "must be a JSON object", malformed=True)
    return value


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise InvalidParameter(key[:100], "was given more than once")
        result[key] = value
    return result


def _no_constants(name: str) -> None:
    raise ValueError(name)
