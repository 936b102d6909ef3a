"""What every vector store refuses before it touches a row, so that all of them refuse the same."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np

from image_search.errors import InvalidParameter, ModelMismatch
from image_search.interfaces import FloatArray
from image_search.names import is_sha256
from image_search.types import ImageRecord, JsonScalar, SearchParams

MAX_WINDOW = 16_384
"""Largest offset + top_k of one search: Milvus's own limit."""
MAX_BYTES = {"object_key": 512, "title": 4096, "text": 65_535, "source_url": 8192}
MAX_ITEM_BYTES = {"tags": 256, "sources": 4096}
MAX_ITEMS = {"tags": 512, "sources": 4096}
MAX_FIELDS_BYTES = 65_536
"""Milvus keeps no larger value in a JSON column."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_INT64 = range(-(2**63), 2**63)


def is_name(name: str) -> bool:
    """Whether a collection can have that name."""
    return _NAME.fullmatch(name) is not None


def check_name(field: str, name: str) -> None:
    """Raise InvalidParameter unless a collection or an alias may be called so."""
    if not is_name(name):
        raise InvalidParameter(
            field, f"{name!r}; letters, digits and _ are allowed, 255 at most, the first one not a digit"
        )


def check_ids(image_ids: Iterable[str]) -> None:
    """Raise InvalidParameter unless each is 64 lowercase hex digits."""
    for image_id in image_ids:
        if not isinstance(image_id, str) or not is_sha256(image_id):
            raise InvalidParameter("image_id", f"{str(image_id)[:80]!r}; 64 lowercase hex digits are expected")


def check_window(params: SearchParams) -> None:
    """Raise InvalidParameter unless top_k and offset are in range."""
    if params.top_k < 1:
        raise InvalidParameter("top_k", f"{params.top_k}; at least 1 is expected")
    if params.offset < 0:
        raise InvalidParameter("offset", f"{params.offset}; at least 0 is expected")
    if params.offset + params.top_k > MAX_WINDOW:
        raise InvalidParameter(
            "top_k", f"offset + top_k is {params.offset + params.top_k}; at most {MAX_WINDOW} is possible"
        )


def check_page(after: str | None, limit: int) -> None:
    """Raise InvalidParameter unless a list can begin after that id and be so long."""
    if after is not None:
        check_ids((after,))
    if not 1 <= limit <= MAX_WINDOW:
        raise InvalidParameter("limit", f"{limit}; 1 to {MAX_WINDOW} is expected")


def check_query_text(text: str) -> None:
    """Raise InvalidParameter unless a record could have the text."""
    _check_text("text", text, MAX_BYTES["text"])


def check_vectors(field: str, vectors: FloatArray, dim: int, rows: int | None = None) -> FloatArray:
    """The vectors as C-contiguous (n, dim) float32.

    Raises ModelMismatch for another length, InvalidParameter for another shape, a number that is not
    finite, or where there are not `rows` of them.
    """
    matrix = np.ascontiguousarray(vectors, dtype=np.float32)
    if matrix.ndim != 2:
        raise InvalidParameter(field, f"an array of shape {matrix.shape}; (n, {dim}) is expected")
    if rows is not None and matrix.shape[0] != rows:
        raise InvalidParameter(field, f"{matrix.shape[0]} rows for {rows} records")
    if matrix.shape[0] and matrix.shape[1] != dim:
        raise ModelMismatch(f"{field} of {matrix.shape[1]} numbers; the collection holds {dim} a picture")
    if not np.isfinite(matrix).all():
        raise InvalidParameter(field, "NaN or infinity in a vector")
    return matrix


def check_record(record: ImageRecord) -> int:
    """Bytes of the record's texts. Raises InvalidParameter for a value that no column can take."""
    check_ids((record.image_id,))
    size = 0
    for field, limit in MAX_BYTES.items():
        size += _check_text(field, getattr(record, field), limit)
    for field, limit in MAX_ITEM_BYTES.items():
        items: Sequence[str] = getattr(record, field)
        if len(items) > MAX_ITEMS[field]:
            raise InvalidParameter(field, f"{len(items)} of them; at most {MAX_ITEMS[field]} are kept")
        size += sum(_check_text(field, item, limit) for item in items)
    for field, number in (
        ("size_px", record.size_px[0]),
        ("size_px", record.size_px[1]),
        ("created_at_s", record.created_at_s),
    ):
        if number not in _INT64:
            raise InvalidParameter(field, f"{number}; a signed number of 64 bits is expected")
    if not 0 <= record.phash < 2**64:
        raise InvalidParameter("phash", f"{record.phash}; an unsigned number of 64 bits is expected")
    return size + _check_fields(record)


def _check_text(field: str, value: str, limit: int) -> int:
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidParameter(field, "a text that is not valid Unicode (half of a surrogate pair)") from error
    if size > limit:
        raise InvalidParameter(field, f"{size} bytes of UTF-8; at most {limit} are kept")
    return size


def _check_fields(record: ImageRecord) -> int:
    if not record.fields:
        return 2
    for key, value in record.fields.items():
        if not isinstance(key, str):
            raise InvalidParameter("fields", f"the key {key!r}; keys are texts")
        _check_scalar(key, value)
    return _check_text("fields", json.dumps(dict(record.fields), ensure_ascii=False), MAX_FIELDS_BYTES)


def _check_scalar(key: str, value: JsonScalar) -> None:
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise InvalidParameter(
            "fields", f"{key!r} is a {type(value).__name__}; texts, numbers, true, false and null are kept"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidParameter("fields", f"{key!r} is {value}; JSON has no such number")
    if isinstance(value, int) and value not in _INT64:
        raise InvalidParameter("fields", f"{key!r} is {value}; a signed number of 64 bits is expected")
