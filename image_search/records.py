"""ImageRecord as plain data, and what becomes of two records of the same picture. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Literal, TypeAlias

from image_search.errors import DatasetFormatError
from image_search.types import ImageRecord

OnDuplicate: TypeAlias = Literal["merge", "skip", "replace"]

MAX_TAGS = 512
"""Tags kept for one picture: as many as a collection's column holds."""
MAX_SOURCES = 64
"""Names kept for one picture; the first is never dropped."""

_FIELDS = tuple(f.name for f in fields(ImageRecord))
_KINDS: Mapping[str, type] = {
    **dict.fromkeys(("image_id", "object_key", "title", "text", "source_url"), str),
    **dict.fromkeys(("phash", "created_at_s"), int),
    "low_detail": bool,
    "fields": dict,
}


def record_to_json(record: ImageRecord) -> str:
    """One line of JSON."""
    return json.dumps(asdict(record), ensure_ascii=False, separators=(",", ":"))


def record_from_json(text: str) -> ImageRecord:
    """The record in a line of JSON. Raises DatasetFormatError."""
    try:
        data = json.loads(text)
        known: dict[str, Any] = {name: data[name] for name in _FIELDS if name in data}
        width, height = data["size_px"]
        known["size_px"] = (int(width), int(height))
        for name in ("sources", "tags"):
            if not isinstance(data.get(name, []), list):
                raise TypeError(name)
            known[name] = tuple(str(item) for item in data.get(name, ()))
        for name, kind in _KINDS.items():
            if not isinstance(data.get(name, kind()), kind):
                raise TypeError(name)
        return ImageRecord(**known)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
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
        tags=tuple(dict.fromkeys((*old.tags, *new.tags)))[:MAX_TAGS],
        text=old.text or new.text,
        fields={**old.fields, **new.fields},
        source_url=old.source_url or new.source_url,
    )
