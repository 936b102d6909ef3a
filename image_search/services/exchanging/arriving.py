"""Rows that come in from a file: those that a collection can take, and why it cannot take the others. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from image_search.errors import DatasetFormatError, InvalidInput
from image_search.interfaces import FloatArray
from image_search.names import is_sha256
from image_search.records import MAX_SOURCES
from image_search.services.library.changes import Changes, changed_record
from image_search.storage.keys import original_key
from image_search.types import Failure, ImageRecord

MAX_SOURCE_BYTES = 4096
UNIT_WITHIN = 0.01
"""How far from 1 the length of a projected vector may be, which float16 and float32 make of a unit vector."""


def sound_rows(
    records: Sequence[ImageRecord], vectors: FloatArray, *, unit: bool
) -> tuple[list[ImageRecord], FloatArray, list[Failure]]:
    """The records and (n, dim) vectors that can be kept, and the others with reasons; `unit`: vectors have length 1."""
    kept: list[ImageRecord] = []
    rows: list[int] = []
    failed: list[Failure] = []
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    for row, record in enumerate(records):
        try:
            _check_length(float(lengths[row]), unit)
            kept.append(sound_record(record))
        except InvalidInput as error:
            failed.append(Failure(_name(record), str(error)))
        else:
            rows.append(row)
    return kept, vectors[rows], failed


def sound_record(record: ImageRecord) -> ImageRecord:
    """The record with its key made anew: a file does not say where a picture lies. Raises InvalidInput."""
    if not is_sha256(record.image_id):
        raise DatasetFormatError("the id of a picture is 64 lowercase hex digits")
    if not all(0 < px < 2**31 for px in record.size_px):
        raise DatasetFormatError("the size of a picture is two positive numbers")
    if not 0 <= record.phash < 2**64:
        raise DatasetFormatError("a perceptual hash is a number of 64 bits")
    if len(record.sources) > MAX_SOURCES:
        raise DatasetFormatError(f"{len(record.sources):,} names; at most {MAX_SOURCES} are kept")
    if any(_bytes(name) > MAX_SOURCE_BYTES for name in record.sources):
        raise DatasetFormatError(f"a name is no text of at most {MAX_SOURCE_BYTES:,} bytes")
    if not all(isinstance(key, str) and _is_plain(value) for key, value in record.fields.items()):
        raise DatasetFormatError("fields are texts, numbers, true and false")
    words = Changes(
        title=record.title,
        tags=record.tags,
        text=record.text,
        source_url=record.source_url,
        created_at_s=record.created_at_s,
        fields=record.fields,
        clear_fields=True,
    )
    return replace(changed_record(record, words), object_key=original_key(record.image_id))


def _check_length(length: float, unit: bool) -> None:
    if not np.isfinite(length) or length == 0:
        raise DatasetFormatError("its vector is zero or has numbers that are not finite")
    if unit and abs(length - 1) > UNIT_WITHIN:
        raise DatasetFormatError(f"its vector has length {length:.3f}, not 1")


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _bytes(text: str) -> float:
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return float("inf")


def _name(record: ImageRecord) -> str:
    """What a person knows it by, fit to be stored: the text of a broken record may be anything."""
    name = record.sources[0] if record.sources else record.image_id
    return name.encode(errors="replace").decode()[:255]
