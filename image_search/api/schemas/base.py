"""The kinds of values that requests have, and the two kinds of models. No Flask here."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainValidator, ValidationInfo
from pydantic import WithJsonSchema as Shown

from image_search.errors import ImageTooLarge, InvalidParameter
from image_search.metadata.words import MAX_FIELDS_BYTES, MAX_TAG_BYTES, MAX_TAGS, MAX_TEXT_BYTES, MAX_TITLE_BYTES
from image_search.names import check_collection_name
from image_search.types import JsonScalar

MAX_NAME_BYTES = 1024
MAX_URL_BYTES = 2048
EXAMPLE_ID = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w=.+-]+)*;base64,", re.ASCII)
_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


class Request(BaseModel):
    """What comes in: nothing is converted, nothing unknown is passed over. null means the same as not given."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


class Answer(BaseModel):
    """What goes out. Answers are made as plain data; these models describe them, and the tests compare."""

    ok: Literal[True] = Field(description="For clients of the older interface.")


class Part(BaseModel):
    """A part of an answer."""


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


def check_id(value: str) -> str:
    """An image_id, or nothing. Raises ValueError."""
    if value and _IMAGE_ID.fullmatch(value) is None:
        raise ValueError("must be 64 lowercase hex digits")
    return value


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
ImageId: TypeAlias = Annotated[
    str,
    AfterValidator(check_id),
    Field(
        description="SHA-256 of a stored picture's bytes.",
        json_schema_extra={"pattern": "^[0-9a-f]{64}$", "example": EXAMPLE_ID},
    ),
]
Picture: TypeAlias = Annotated[
    bytes,
    PlainValidator(_picture),
    Shown({"type": "string"}),
    Field(description="The picture in base64; a data URI's beginning is allowed."),
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


def with_old_key(schema: dict[str, Any]) -> None:
    """Describe the `key` that clients of the older interface send in the body; it is read before the body is."""
    schema["properties"]["key"] = {
        "type": "string",
        "writeOnly": True,
        "deprecated": True,
        "description": "The key, as the older interface sends it; a header is better.",
    }
