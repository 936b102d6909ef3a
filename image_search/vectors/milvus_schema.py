"""The columns of a collection in Milvus, and records as rows of it (pure: knows no client)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from image_search.errors import CollectionNotFound, InvalidParameter, VectorStoreError
from image_search.interfaces import FloatArray
from image_search.types import SCHEMA_VERSION, CollectionSpec, ImageRecord, IndexKind, IndexSpec
from image_search.vectors.checks import MAX_BYTES, MAX_ITEM_BYTES, MAX_ITEMS
from image_search.vectors.words import MAX_WORDS_BYTES, words_column

RECORD_COLUMNS = [
    "object_key", "width", "height", "sources", "title", "tags", "text", "fields", "phash", "low_detail",
    "created_at_s", "source_url",
]  # fmt: skip
"""What an ImageRecord is read from, beside the primary key."""

PHASH_COLUMN, WORDS_COLUMN, BM25_COLUMN = "phash_bits", "words", "words_bm25"

WORDS_ANALYZER: Mapping[str, Any] = {
    "tokenizer": "whitespace",
    "filter": [{"type": "stemmer", "language": "english"}],
}
"""The words come apart and folded already, from `words`; what is left is to find "dog" in "dogs". An analyser
that the engine does not know can abort it: never take one from a setting."""

_PLAIN_ANALYZER: Mapping[str, Any] = {"tokenizer": "standard"}
"""What Milvus Lite 3 has instead: no English endings, and signs (emoji) are no words."""

_MARK = "image_search"
DESCRIPTION_PROPERTY = "image_search.description"
"""Where a collection's description is kept by a server that forgets it."""

# Defaults of Milvus's own guide; a spec's params go over them.
_INDEX_PARAMS: Mapping[IndexKind, Mapping[str, int | str]] = {
    "AUTOINDEX": {},
    "FLAT": {},
    "IVF_FLAT": {"nlist": 1024},
    "IVF_SQ8": {"nlist": 1024},
    "IVF_PQ": {"nlist": 1024, "nbits": 8},
    "IVF_RABITQ": {"nlist": 1024},
    "SCANN": {"nlist": 1024},
    "HNSW": {"M": 16, "efConstruction": 200},
    "HNSW_SQ": {"M": 16, "efConstruction": 200, "sq_type": "SQ8"},
    "DISKANN": {},
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column, its type by Milvus's name and the type's parameters."""

    name: str
    kind: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server can have in one collection."""

    binary_vector: bool
    """A second vector, of bits: from Milvus 2.4 on, and not in Milvus Lite 3."""
    text: bool
    """BM25 by function: from Milvus 2.5 on."""
    like: bool = True
    """Patterns with wildcards anywhere: from Milvus 2.4 on."""
    lite3: bool = False
    """Milvus Lite 3 as a server: it forgets descriptions, and has two whole analysers only."""


def columns(dim: int, can: Capabilities) -> list[Column]:
    """The columns of a collection of (dim,) embeddings, primary key first."""
    wanted = [
        Column("image_id", "VARCHAR", {"max_length": 64, "is_primary": True}),
        Column("embedding", "FLOAT_VECTOR", {"dim": dim}),
        *(Column(name, "VARCHAR", {"max_length": limit}) for name, limit in MAX_BYTES.items()),
        *(
            Column(name, "ARRAY", {"max_capacity": MAX_ITEMS[name], "max_length": limit})
            for name, limit in MAX_ITEM_BYTES.items()
        ),
        *(Column(n, "INT64", {}) for n in ("width", "height", "phash", "created_at_s", "updated_at_ms")),
        Column("low_detail", "BOOL", {}),
        Column("fields", "JSON", {}),
    ]
    if can.binary_vector:
        wanted.append(Column(PHASH_COLUMN, "BINARY_VECTOR", {"dim": 64}))
    if can.text:
        analyzer = {"enable_analyzer": True, "analyzer_params": dict(_PLAIN_ANALYZER if can.lite3 else WORDS_ANALYZER)}
        wanted.append(Column(WORDS_COLUMN, "VARCHAR", {"max_length": MAX_WORDS_BYTES, **analyzer}))
        wanted.append(Column(BM25_COLUMN, "SPARSE_FLOAT_VECTOR", {}))
    return wanted


def indexes(spec: CollectionSpec, can: Capabilities) -> list[dict[str, Any]]:
    """Arguments of `add_index` for each indexed column, the embedding first."""
    wanted: list[dict[str, Any]] = [
        {
            "field_name": "embedding",
            "index_type": spec.index.kind,
            "metric_type": "IP",
            "params": index_params(spec),
        }
    ]
    if can.binary_vector:
        wanted.append({"field_name": PHASH_COLUMN, "index_type": "BIN_FLAT", "metric_type": "HAMMING"})
    if can.text:
        wanted.append({"field_name": BM25_COLUMN, "index_type": "SPARSE_INVERTED_INDEX", "metric_type": "BM25"})
    return wanted


def index_params(spec: CollectionSpec) -> dict[str, int | str]:
    """Build parameters of the embedding's index. Raises InvalidParameter for an unknown kind."""
    defaults = _INDEX_PARAMS.get(spec.index.kind)
    if defaults is None:
        raise InvalidParameter("index", f"{spec.index.kind!r}; one of {', '.join(get_args(IndexKind))}")
    params = {**defaults, **spec.index.params}
    if spec.index.kind == "IVF_PQ" and "m" not in params:
        # Milvus wants a divisor of the dimension; four numbers a code is the customary choice.
        params["m"] = next(m for m in range(max(spec.dim // 4, 1), 0, -1) if spec.dim % m == 0)
    return params


def search_params(index: IndexSpec, limit: int, ef: int, nprobe: int) -> dict[str, int]:
    """Search parameters of an index for `limit` hits; a candidate list shorter than that is refused by Milvus."""
    if index.kind in {"HNSW", "HNSW_SQ"}:
        return {"ef": max(ef, limit)}
    if index.kind == "DISKANN":
        return {"search_list": max(ef, limit)}
    if index.kind == "SCANN":
        return {"nprobe": nprobe, "reorder_k": max(ef, limit)}
    if index.kind.startswith("IVF"):
        return {"nprobe": nprobe}
    return {}


def to_description(spec: CollectionSpec) -> str:
    """The spec as the text of a collection's description."""
    index = {"kind": spec.index.kind, "params": dict(spec.index.params)}
    entry = {
        "schema_version": spec.schema_version,
        "model_id": spec.model_id,
        "dim": spec.dim,
        "projection_id": spec.projection_id,
        "index": index,
    }
    return json.dumps({_MARK: entry})


def is_ours(description: str) -> bool:
    """Whether a collection with that description is one of ours, of whatever schema version."""
    try:
        return _MARK in json.loads(description)
    except (ValueError, TypeError):
        return False


def from_description(name: str, description: str) -> CollectionSpec:
    """The spec in a collection's description.

    Raises CollectionNotFound where the collection is not one of ours, VectorStoreError where it is of
    another schema version.
    """
    try:
        entry = json.loads(description)[_MARK]
        version = int(entry["schema_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise CollectionNotFound(f"no collection {name!r}: what has that name is not of this program") from error
    if version != SCHEMA_VERSION:
        raise VectorStoreError(
            f"collection {name!r} has schema version {version}; this program reads {SCHEMA_VERSION}: "
            "export it with the version that wrote it, and import it here"
        )
    index = IndexSpec(entry["index"]["kind"], {str(k): int(v) for k, v in entry["index"]["params"].items()})
    return CollectionSpec(entry["model_id"], int(entry["dim"]), entry["projection_id"], index, version)


def to_row(record: ImageRecord, embedding: FloatArray, updated_at_ms: int, present: frozenset[str]) -> dict[str, Any]:
    """The row of a record, with the columns that are `present` in its collection."""
    row: dict[str, Any] = {
        "image_id": record.image_id,
        "embedding": embedding,
        "object_key": record.object_key,
        "width": record.size_px[0],
        "height": record.size_px[1],
        "sources": list(record.sources),
        "title": record.title,
        "tags": list(record.tags),
        "text": record.text,
        "fields": dict(record.fields),
        # Two's complement: Milvus has no unsigned type.
        "phash": record.phash - 2**64 if record.phash >= 2**63 else record.phash,
        "low_detail": record.low_detail,
        "created_at_s": record.created_at_s,
        "updated_at_ms": updated_at_ms,
        "source_url": record.source_url,
    }
    if PHASH_COLUMN in present:
        row[PHASH_COLUMN] = record.phash.to_bytes(8, "big")
    if WORDS_COLUMN in present:
        row[WORDS_COLUMN] = words_column(record)
    return row


def from_row(row: Mapping[str, Any], image_id: str) -> ImageRecord:
    """The record of a row that was read with RECORD_COLUMNS."""
    return ImageRecord(
        image_id=image_id,
        object_key=row["object_key"],
        size_px=(row["width"], row["height"]),
        sources=tuple(row["sources"]),
        title=row["title"],
        tags=tuple(row["tags"]),
        text=row["text"],
        fields=row["fields"],
        phash=row["phash"] % 2**64,
        low_detail=row["low_detail"],
        created_at_s=row["created_at_s"],
        source_url=row["source_url"],
    )
