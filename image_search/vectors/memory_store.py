"""Exact search over NumPy arrays: the test double of every vector store, and the ground truth of evaluations."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from image_search.errors import CollectionExists, CollectionNotFound, Conflict, VectorStoreError
from image_search.filters import Filter, matches
from image_search.interfaces import FloatArray
from image_search.types import SCHEMA_VERSION, CollectionSpec, ImageRecord, SearchHit, SearchParams
from image_search.vectors.bm25 import bm25_scores
from image_search.vectors.checks import (
    check_ids,
    check_name,
    check_page,
    check_query_text,
    check_record,
    check_vectors,
    check_window,
)
from image_search.vectors.sampling import sample_records
from image_search.vectors.words import query_words, record_words


@dataclass
class _Collection:
    spec: CollectionSpec
    records: dict[str, ImageRecord] = field(default_factory=dict)
    embeddings: dict[str, FloatArray] = field(default_factory=dict)
    updated_at_ms: dict[str, int] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    matrix: FloatArray | None = None
    """Rows of `embeddings` in the order of `ids`; None after a write, made again by the next search."""
    words: dict[str, Counter[str]] = field(default_factory=dict)
    """How often each word is in a record, of those records that a search by words has looked at."""

    def put(self, record: ImageRecord, embedding: FloatArray) -> None:
        self.records[record.image_id] = dataclasses.replace(record, fields=dict(record.fields))
        self.embeddings[record.image_id] = embedding
        self.updated_at_ms[record.image_id] = time.time_ns() // 1_000_000
        self.words.pop(record.image_id, None)
        self.matrix = None

    def counted_words(self) -> dict[str, Counter[str]]:
        for image_id, record in self.records.items():
            if image_id not in self.words:
                self.words[image_id] = Counter(record_words(record))
        return dict(self.words)

    def gallery(self) -> tuple[list[str], FloatArray]:
        if self.matrix is None:
            self.ids = sorted(self.embeddings)
            rows = [self.embeddings[image_id] for image_id in self.ids]
            self.matrix = np.stack(rows) if rows else np.empty((0, self.spec.dim), np.float32)
        return self.ids, self.matrix


class MemoryVectorStore:
    """A VectorStore that forgets everything with the process. One lock makes it safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._collections: dict[str, _Collection] = {}
        self._aliases: dict[str, str] = {}

    @property
    def supports_text(self) -> bool:
        """Always: words are counted here, without English endings."""
        return True

    def create_collection(self, name: str, spec: CollectionSpec) -> None:
        """Make an empty collection. Raises CollectionExists, also where an alias has the name."""
        check_name("collection", name)
        if spec.schema_version != SCHEMA_VERSION:
            raise VectorStoreError(f"schema version {spec.schema_version}; {SCHEMA_VERSION} is written here")
        with self._lock:
            if name in self._collections or name in self._aliases:
                raise CollectionExists(f"collection {name!r} exists already")
            self._collections[name] = _Collection(spec)

    def describe_collection(self, name: str) -> CollectionSpec:
        """The spec it was created with."""
        with self._lock:
            return self._open(name).spec

    def list_collections(self) -> list[str]:
        """Names of the collections, sorted."""
        with self._lock:
            return sorted(self._collections)

    def drop_collection(self, name: str) -> None:
        """Remove a collection; an absent one is fine. Raises Conflict while an alias points to it."""
        with self._lock:
            pointing = sorted(alias for alias, target in self._aliases.items() if target == name)
            if pointing:
                raise Conflict(f"collection {name!r} is in use: the alias {pointing[0]!r} points to it")
            self._collections.pop(name, None)

    def point(self, alias: str, name: str, *, new: bool = False) -> None:
        """Let `alias` mean `name`. Raises CollectionExists where a collection is called like the alias."""
        check_name("alias", alias)
        with self._lock:
            if alias in self._collections:
                raise CollectionExists(f"{alias!r} is a collection: an alias needs a name of its own")
            if name not in self._collections:
                raise CollectionNotFound(f"no collection {name!r}")
            if new and self._aliases.get(alias, name) != name:
                raise CollectionExists(f"the alias {alias!r} exists already")
            self._aliases[alias] = name

    def resolve(self, name: str) -> str:
        """The collection's own name. Raises CollectionNotFound."""
        with self._lock:
            target = self._aliases.get(name, name)
            if target not in self._collections:
                raise CollectionNotFound(f"no collection {name!r}")
            return target

    def aliases(self) -> dict[str, str]:
        """Every alias and its collection."""
        with self._lock:
            return dict(self._aliases)

    def upsert(self, name: str, records: Sequence[ImageRecord], embeddings: FloatArray) -> int:
        """Write the records with copies of their (n, dim) embeddings."""
        with self._lock:
            collection = self._open(name)
            matrix = check_vectors("embeddings", embeddings, collection.spec.dim, rows=len(records)).copy()
            for record in records:
                check_record(record)
            for record, embedding in zip(records, matrix, strict=True):
                collection.put(record, embedding)
        return len(records)

    def update(self, name: str, records: Sequence[ImageRecord]) -> int:
        """Replace the records that are there and keep their embeddings; returns how many were."""
        with self._lock:
            collection = self._open(name)
            for record in records:
                check_record(record)
            known = {r.image_id: r for r in records if r.image_id in collection.embeddings}
            for image_id, record in known.items():
                collection.put(record, collection.embeddings[image_id])
            return len(known)

    def search(
        self, name: str, queries: FloatArray, params: SearchParams, where: Filter | None = None
    ) -> list[list[SearchHit]]:
        """Exact hits of (n, dim) queries; `ef` and `nprobe` have nothing to tune here."""
        check_window(params)
        with self._lock:
            collection = self._open(name)
            matrix = check_vectors("queries", queries, collection.spec.dim)
            ids, gallery = collection.gallery()
            records = dict(collection.records)
        if where is not None:
            kept = [i for i, image_id in enumerate(ids) if matches(where, records[image_id])]
            ids, gallery = [ids[i] for i in kept], gallery[kept]
        return [_search_one(query, ids, gallery, records, params) for query in matrix]

    def search_text(self, name: str, text: str, params: SearchParams, where: Filter | None = None) -> list[SearchHit]:
        """Hits by BM25 over all records of the collection."""
        check_window(params)
        check_query_text(text)
        with self._lock:
            collection = self._open(name)
            records = dict(collection.records)
            counted = collection.counted_words()
        scores = bm25_scores(query_words(text), counted)
        found = [image_id for image_id in scores if where is None or matches(where, records[image_id])]
        found.sort(key=lambda image_id: (-scores[image_id], image_id))
        return [SearchHit(records[i], scores[i]) for i in found[params.offset : params.offset + params.top_k]]

    def get(self, name: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, ImageRecord]:
        """The records of those ids that exist."""
        check_ids(image_ids)
        with self._lock:
            records = self._open(name).records
            return {image_id: records[image_id] for image_id in image_ids if image_id in records}

    def get_embeddings(self, name: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, FloatArray]:
        """Copies of the (dim,) embeddings of those ids that exist."""
        check_ids(image_ids)
        with self._lock:
            rows = self._open(name).embeddings
            return {image_id: rows[image_id].copy() for image_id in image_ids if image_id in rows}

    def iterate(
        self, name: str, *, batch_size: int = 1000, updated_since_ms: int | None = None, latest: bool = False
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every row of the moment of the call that is still there when its batch is made."""
        with self._lock:
            collection = self._open(name)
            since_ms = 0 if updated_since_ms is None else updated_since_ms
            ids = sorted(i for i, written_ms in collection.updated_at_ms.items() if written_ms >= since_ms)
        return self._batches(collection, ids, batch_size)

    def delete(self, name: str, image_ids: Sequence[str]) -> int:
        """Remove those rows; returns how many were there."""
        check_ids(image_ids)
        with self._lock:
            collection = self._open(name)
            known = {image_id for image_id in image_ids if image_id in collection.records}
            for image_id in known:
                del collection.records[image_id]
                del collection.embeddings[image_id]
                del collection.updated_at_ms[image_id]
                collection.words.pop(image_id, None)
            collection.matrix = None
            return len(known)

    def list_records(
        self, name: str, *, where: Filter | None = None, after: str | None = None, limit: int = 100
    ) -> list[ImageRecord]:
        """The first `limit` records after an id, in order of image_id."""
        check_page(after, limit)
        with self._lock:
            records = self._open(name).records
            ids = sorted(image_id for image_id in records if after is None or image_id > after)
            found = [records[image_id] for image_id in ids if where is None or matches(where, records[image_id])]
        return found[:limit]

    def sample(self, name: str, n: int, where: Filter | None = None) -> list[ImageRecord]:
        """At most n random records."""
        check_page(None, n)
        return sample_records(lambda after, limit: self.list_records(name, where=where, after=after, limit=limit), n)

    def count(self, name: str, where: Filter | None = None, *, latest: bool = False) -> int:
        """Number of rows that a filter holds for."""
        with self._lock:
            records = self._open(name).records
            return len(records) if where is None else sum(matches(where, record) for record in records.values())

    def build_index(self, name: str) -> None:
        """Nothing to build: raises CollectionNotFound where there is no such collection."""
        with self._lock:
            self._open(name)

    def ping(self) -> None:
        """Memory always answers."""

    def close(self) -> None:
        """Nothing to release; the rows stay as long as the object."""

    def _open(self, name: str) -> _Collection:
        return self._collections[self.resolve(name)]

    def _batches(
        self, collection: _Collection, ids: list[str], batch_size: int
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        for start in range(0, len(ids), batch_size):
            with self._lock:
                there = [i for i in ids[start : start + batch_size] if i in collection.records]
                records = [collection.records[i] for i in there]
                rows = [collection.embeddings[i] for i in there]
            if there:
                yield records, np.stack(rows)


def _search_one(
    query: FloatArray,
    ids: list[str],
    gallery: FloatArray,
    records: dict[str, ImageRecord],
    params: SearchParams,
) -> list[SearchHit]:
    """The hits of one query, out of `ids` in ascending order and their rows in `gallery`."""
    if not ids:
        return []
    rough = gallery @ query
    wanted = min(params.offset + params.top_k, len(ids))
    # A matrix product rounds equal rows differently, by where they lie: take all within a margin and score
    # them again in float64, row by row, so that equal pictures get equal scores.
    threshold = np.partition(rough, len(ids) - wanted)[len(ids) - wanted] - 1e-5
    candidates = np.flatnonzero(rough >= threshold)
    exact = np.einsum("ij,j->i", gallery[candidates].astype(np.float64), query.astype(np.float64))
    scores = exact.astype(np.float32)
    order = np.argsort(-scores, kind="stable")[params.offset : wanted]
    floor = -np.inf if params.min_score is None else params.min_score
    return [
        SearchHit(records[ids[candidates[i]]], float(np.clip(scores[i], -1.0, 1.0)))
        for i in order
        if scores[i] >= floor
    ]
