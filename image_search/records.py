"""ImageRecord as plain data, and what becomes of two records of the same picture. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Literal, TypeAlias

from image_search.errors import DatasetFormatError
from image_search.types import ImageRecord

OnDuplicate: TypeAlias = Literal["merge", "skip", "replace"]

MAX_SOURCES = 64
"""Names kept for one picture; the first is never dropped."""

_FIELDS = tuple(f.name for f in fields(ImageRecord))


def record_to_json(record: ImageRecord) -> str:
    """One line of JSON."""
    return json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":"))


def record_from_json(text: str) -> ImageRecord:
    """The record in a line of JSON. Raises DatasetFormatError."""
    try:
        data = json.loads(text)
        known: dict[str, Any] = {name: data[name] for name in _FIELDS if name in data}
        known["size_px"] = (int(data["size_px"][0]), int(data["size_px"][1]))
        known["sources"] = tuple(str(s) for s in data.get("sources", ()))
        known["tags"] = tuple(str(t) for t in data.get("tags", ()))
        if not isinstance(data.get("fields", {}), Mapping):
            raise TypeError("fields")
        return ImageRecord(**known)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise DatasetFormatError("a record of the dataset is not valid JSON of an image record") from error


def merge_records(old: ImageRecord, new: ImageRecord, on_duplicate: OnDuplicate = "merge") -> ImageRecord:
    """What is kept of a picture that is there as `old` and comes again as `new`.

    merge: sources grow, tags unite, texts that `old` lacks are taken, `new`'s fields win. replace: `new`'s words win
    altogether. skip: only `sources` grow. The time of the first insert stays.
    """
    sources = tuple(dict.fromkeys((*old.sources, *new.sources)))[:MAX_SOURCES]
    if on_duplicate == "skip":
        return replace(old, sources=sources)
    if on_duplicate == "replace":
        return replace(new, sources=sources, created_at_s=old.created_at_s, object_key=old.object_key)
    return replace(
        old,
        sources=sources,
        title=old.title or new.title,
        tags=tuple(dict.fromkeys((*old.tags, *new.tags))),
        text=old.text or new.text,
        fields={**old.fields, **new.fields},
        source_url=old.source_url or new.source_url,
    )
