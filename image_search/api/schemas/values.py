"""The kinds of values that requests have: checked here, described in /openapi.json."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo
from pydantic import WithJsonSchema as Shown

from image_search.errors import ImageTooLarge, InvalidParameter
from image_search.filters import Filter, parse_filter, parse_filter_json
from image_search.metadata.entry import FIRST_S, LAST_S
from image_search.metadata.words import (
    MAX_FIELDS_BYTES,
    MAX_TAG_BYTES,
    MAX_TAGS,
    MAX_TEXT_BYTES,
    MAX_TITLE_BYTES,
    MAX_URL_BYTES,
)
from image_search.names import check_collection_name, is_sha256
from image_search.types import JsonScalar
from image_search.urls import MAX_URL_CHARS

MAX_NAME_BYTES = 1024
EXAMPLE_ID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


MAX_TOKEN_CHARACTERS = 300_000
"""More than the longest vector that a collection holds (32,768 numbers) takes as a token."""


def check_text(value: str, max_bytes: int) -> str:
    """The text itself. Raises ValueError with a reason for a person."""
    if "\0" in value:
        raise ValueError("must have no NUL character")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode") from None
    if size > max_bytes:
        raise ValueError(f"has {size:,} bytes; at most {max_bytes:,} are accepted")
    return value


def _text(max_bytes: int) -> Callable[[str], str]:
    return lambda value: check_text(value, max_bytes)


def _shown_text(max_bytes: int) -> Any:
    return Field(json_schema_extra={"maxLength": max_bytes})


def _collection(value: str) -> str:
    try:
        return check_collection_name(check_text(value, 200)) if value else value
    except InvalidParameter as error:
        raise ValueError(error.reason) from None


def _id(value: str) -> str:
    if not is_sha256(value):
        raise ValueError("must be 64 lowercase hex digits")
    return value


def _id_or_none(value: str) -> str:
    # "" is how a form says that it gives none; in a list it would be an item.
    return _id(value) if value else value


def _created_at(value: str) -> str:
    seconds_of(value)
    return value


def seconds_of(value: str) -> int:
    """Unix time of a text of RFC 3339. Raises ValueError."""
    try:
        seconds = math.floor(datetime.fromisoformat(value.upper()).timestamp()) if _TIME.fullmatch(value) else None
    except (ValueError, OverflowError):
        seconds = None
    if seconds is None or not FIRST_S <= seconds <= LAST_S:
        raise ValueError("must be a time such as 2026-01-31T12:00:00Z")
    return seconds


def _filter(value: Any) -> Filter:
    try:
        return parse_filter(value)
    except InvalidParameter as error:
        raise ValueError(error.reason) from None


def _filter_text(value: Any) -> Filter:
    """The filter of a JSON text. What is no JSON is a malformed request: InvalidParameter."""
    try:
        return parse_filter_json(value)
    except InvalidParameter as error:
        if error.malformed:
            raise
        raise ValueError(error.reason) from None


def make_cursor(last: str) -> str:
    """What a client gives for the page after the one that ended with `last`."""
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def _cursor(value: str) -> str:
    """What the page before ended with."""
    try:
        last = base64.urlsafe_b64decode(check_text(value, 200) + "=" * (-len(value) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        last = ""
    if re.fullmatch(r"[0-9a-f]{1,80}", last) is None or make_cursor(last) != value:
        raise ValueError("is none that this service gave")
    return last


def _tags(value: list[str]) -> list[str]:
    return list(dict.fromkeys(check_text(tag, MAX_TAG_BYTES) for tag in value if tag))


def _fields(value: Any) -> dict[str, JsonScalar]:
    if not isinstance(value, dict) or not all(_is_plain(one) for one in value.values()):
        raise ValueError("must be an object of texts, numbers (of 64 bits), true, false and null")
    check_text(json.dumps(value, ensure_ascii=False), MAX_FIELDS_BYTES)
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, float):
        # 1e999 is valid JSON, and infinity once it is read.
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None or isinstance(value, str)


def _picture(value: Any, info: ValidationInfo) -> bytes:
    """The bytes of a picture: as they came, or out of base64. Raises ImageTooLarge."""
    if isinstance(value, bytes):
        data = value
    elif isinstance(value, str):
        match = _DATA_URI.match(value)
        try:
            # Line breaks are allowed by MIME and come from many encoders; anything else that is foreign is an error.
            plain = re.sub(r"\s+", "", value[match.end() if match else 0 :])
            data = base64.b64decode(plain, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("is not valid base64") from None
    else:
        raise ValueError("must be a base64 text")  # noqa: TRY004
    limit: int = (info.context or {})["max_image_bytes"]
    if len(data) > limit:
        raise ImageTooLarge(f"picture has {len(data):,} bytes; at most {limit:,} are accepted")
    return data


CollectionName: TypeAlias = Annotated[
    str,
    AfterValidator(_collection),
    Field(
        description="Collection; the configured one where it is not named.",
        json_schema_extra={"maxLength": 63, "example": "default"},
    ),
]
_ID_SHOWN = Field(
    description="SHA-256 of a stored picture's bytes.",
    json_schema_extra={"pattern": "^[0-9a-f]{64}$", "example": EXAMPLE_ID},
)
ImageId: TypeAlias = Annotated[str, AfterValidator(_id_or_none), _ID_SHOWN]
ListedId: TypeAlias = Annotated[str, AfterValidator(_id), _ID_SHOWN]
"""An id among others."""
Picture: TypeAlias = Annotated[
    bytes,
    PlainValidator(_picture),
    Shown({"type": "string"}),
    Field(description="The picture in base64; a data URI's beginning is allowed."),
]
Cursor: TypeAlias = Annotated[
    str, AfterValidator(_cursor), Field(description="`next` of the page before.", json_schema_extra={"maxLength": 200})
]
ImageUrl: TypeAlias = Annotated[
    str,
    AfterValidator(_text(MAX_URL_CHARS)),
    Field(
        description="Address of the picture, which the service fetches: http or https, of a public host.",
        json_schema_extra={"maxLength": MAX_URL_CHARS, "example": "https://example.org/cat.jpg"},
    ),
]
CreatedAt: TypeAlias = Annotated[
    str,
    AfterValidator(_created_at),
    Field(
        description="RFC 3339, with whole seconds kept.",
        json_schema_extra={"format": "date-time", "example": "2026-01-31T12:00:00Z"},
    ),
]
_FILTER_WORDS = (
    'Which pictures: `{"tags": {"any": ["cat"]}, "width": {"gte": 800}, "fields.year": 2020}`; members are tags, '
    "title, text, source_name, source_url, id, width, height, created_at, low_detail, fields.NAME, and, or, not; "
    "operators eq, ne, in, gt, gte, lt, lte, contains, starts_with, any, all, none, exists."
)
FilterObject: TypeAlias = Annotated[
    Any,
    PlainValidator(_filter),
    Shown({"type": "object", "example": {"width": {"gte": 800}}}),
    Field(description=_FILTER_WORDS),
]
FilterText: TypeAlias = Annotated[
    Any,
    PlainValidator(_filter_text),
    Shown({"type": "string", "example": '{"width": {"gte": 800}}'}),
    Field(description=f"As a JSON text. {_FILTER_WORDS}"),
]
Title: TypeAlias = Annotated[str, AfterValidator(_text(MAX_TITLE_BYTES)), _shown_text(MAX_TITLE_BYTES)]
LongText: TypeAlias = Annotated[str, AfterValidator(_text(MAX_TEXT_BYTES)), _shown_text(MAX_TEXT_BYTES)]
Name: TypeAlias = Annotated[str, AfterValidator(_text(MAX_NAME_BYTES)), _shown_text(MAX_NAME_BYTES)]
Url: TypeAlias = Annotated[str, AfterValidator(_text(MAX_URL_BYTES)), _shown_text(MAX_URL_BYTES)]
Tags: TypeAlias = Annotated[
    list[str], Field(max_length=MAX_TAGS), AfterValidator(_tags), Field(description="Tags; doubles are dropped.")
]
Fields: TypeAlias = Annotated[
    dict[str, JsonScalar],
    PlainValidator(_fields),
    Shown(
        {
            "type": "object",
            "additionalProperties": {
                "anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"}]
            },
            "example": {"camera": "X100", "year": 2020},
        }
    ),
    Field(description="What else its owner wants kept."),
]
