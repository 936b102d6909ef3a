"""What an owner changes about a picture that is there, and the record that comes of it. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from image_search.errors import InvalidParameter
from image_search.metadata.entry import FIRST_S, LAST_S
from image_search.metadata.words import (
    MAX_FIELDS_BYTES,
    MAX_TAG_BYTES,
    MAX_TAGS,
    MAX_TEXT_BYTES,
    MAX_TITLE_BYTES,
    MAX_URL_BYTES,
)
from image_search.types import ImageRecord, JsonScalar


@dataclass(frozen=True, slots=True)
class Changes:
    """New values of a record's words; None = leave as it is."""

    title: str | None = None
    tags: tuple[str, ...] | None = None
    text: str | None = None
    source_url: str | None = None
    created_at_s: int | None = None
    fields: Mapping[str, JsonScalar] | None = None
    """Merged with those that are there; a null removes the key (JSON merge patch, RFC 7396)."""
    add_tags: tuple[str, ...] = ()
    """After `tags`, or those that are there."""
    remove_tags: tuple[str, ...] = ()
    clear_fields: bool = False
    """Whether all fields that are there go first."""


def changed_record(record: ImageRecord, changes: Changes) -> ImageRecord:
    """The record with the changes. Raises InvalidParameter for what is longer than is kept, and names the field."""
    values: dict[str, object] = {}
    for name, max_bytes in (("title", MAX_TITLE_BYTES), ("text", MAX_TEXT_BYTES), ("source_url", MAX_URL_BYTES)):
        if (value := getattr(changes, name)) is not None:
            _check_text(name, value, max_bytes)
            values[name] = value
    if changes.tags is not None or changes.add_tags or changes.remove_tags:
        kept = record.tags if changes.tags is None else changes.tags
        values["tags"] = _tags(tuple(tag for tag in (*kept, *changes.add_tags) if tag not in changes.remove_tags))
    if changes.created_at_s is not None:
        if not FIRST_S <= changes.created_at_s <= LAST_S:
            raise InvalidParameter("created_at", "must lie in the years 1 to 9999")
        values["created_at_s"] = changes.created_at_s
    if changes.clear_fields or changes.fields is not None:
        values["fields"] = _merged_fields({} if changes.clear_fields else record.fields, changes.fields or {})
    return replace(record, **values)  # type: ignore[arg-type]


def _tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    once = tuple(dict.fromkeys(tag for tag in tags if tag))
    if len(once) > MAX_TAGS:
        raise InvalidParameter("tags", f"{len(once):,} of them; at most {MAX_TAGS} are kept")
    for tag in once:
        _check_text("tags", tag, MAX_TAG_BYTES)
    return once


def _merged_fields(old: Mapping[str, JsonScalar], new: Mapping[str, JsonScalar]) -> dict[str, JsonScalar]:
    for key, value in new.items():
        whole_beyond = isinstance(value, int) and not -(2**63) <= value < 2**63
        if whole_beyond or (isinstance(value, float) and not math.isfinite(value)):
            raise InvalidParameter("fields", f"{key[:80]!r} is a number beyond 64 bits, or none at all")
    removed = {key for key, value in new.items() if value is None}
    merged = {key: value for key, value in {**old, **new}.items() if key not in removed}
    _check_text("fields", json.dumps(merged, ensure_ascii=False), MAX_FIELDS_BYTES)
    return merged


def _check_text(field: str, value: str, max_bytes: int) -> None:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidParameter(field, "must be valid Unicode") from error
    if size > max_bytes:
        raise InvalidParameter(field, f"has {size:,} bytes; at most {max_bytes:,} are kept")
