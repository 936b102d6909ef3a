"""A vector store in Milvus: an embedded library in one `.db` file, or a server."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from image_search.errors import InvalidParameter
from image_search.interfaces import FloatArray
from image_search.types import CollectionSpec, ImageRecord, SearchHit, SearchParams
from image_search.vectors.alias_file import AliasFile
from image_search.vectors.checks import (
    MAX_WINDOW,
    check_ids,
    check_record,
    check_vectors,
    check_window,
)
from image_search.vectors.file_lock import FileLock
from image_search.vectors.milvus_catalogue import MilvusCatalogue, OpenCollection
from image_search.vectors.milvus_connection import MilvusConnection
from image_search.vectors.milvus_schema import (
    RECORD_COLUMNS,
    from_row,
    search_params,
    to_row,
)

# Lite takes time quadratic in the rows of one call for an ARRAY column, writing (0.17 ms a row at 128 rows,
# 0.29 at 500, 0.61 at 2000) and reading (0.11 ms a row at 128 rows, 0.58 at 1000).
_WRITE_ROWS = 192
_LITE_READ_ROWS, _SERVER_READ_ROWS = 128, 1000
# And Lite's upsert goes through the whole collection once a call, 2 ms for each 1,000 rows there are, be the
# ids new or not: new rows are inserted, and for the others a longer batch is cheaper.
_LITE_REPLACE_ROWS = 512
# While the engine works, pymilvus packs the next rows: one call at a time 2,900 rows/s, three 5,300.
_WRITES_IN_FLIGHT = 3
# Below the 4 MB of a gRPC server's default, with room for what a row weighs beside its texts and vector.
_WRITE_BYTES = 3_000_000
_ID_PAGE = 10_000
_SESSION_S = 10.0
"""A server's Bounded reads lag by 5 s at most: for so long and longer after a write we ask for Session."""
_Ranked = list[tuple[float, str]]


class MilvusVectorStore:
    """A VectorStore over `uri`: a file whose name ends in .db, or http(s)://host:port.

    Connects at first use, not before: make it after a fork. `ef` and `nprobe` are what a search takes that
    names none.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        db_name: str = "",
        timeout_s: float = 30.0,
        ef: int = 128,
        nprobe: int = 32,
    ) -> None:
        self._connection = MilvusConnection(uri, token=token, db_name=db_name, timeout_s=timeout_s)
        self._is_lite = self._connection.is_lite
        alias_file = AliasFile(Path(f"{uri}.aliases.json")) if self._is_lite else None
        self._catalogue = MilvusCatalogue(self._connection, alias_file)
        self._write_lock = FileLock(Path(f"{uri}.write.lock")) if self._is_lite else None
        self._ef = ef
        self._nprobe = nprobe
        self._written_s: dict[str, float] = {}

    @property
    def supports_text(self) -> bool:
        """Whether collections made here can be searched by words. Raises VectorStoreError."""
        return self._connection.capabilities().text

    def announce(self, http: str | None) -> None:
        """Tell other processes of an embedded library where this one serves HTTP."""
        if self._connection.engine is not None:
            self._connection.engine.announce(http)

    def create_collection(self, name: str, spec: CollectionSpec) -> None:
        """Make an empty collection. Raises CollectionExists, also where an alias has the name."""
        self._catalogue.create(name, spec)

    def describe_collection(self, name: str) -> CollectionSpec:
        """The spec it was created with, read anew."""
        return self._catalogue.open(name, fresh=True).spec

    def list_collections(self) -> list[str]:
        """Names of our collections, sorted; another program's are left out."""
        return self._catalogue.names()

    def drop_collection(self, name: str) -> None:
        """Remove a collection; an absent one is fine. Raises Conflict while an alias points to it."""
        self._catalogue.drop(name)

    def point(self, alias: str, name: str) -> None:
        """Let `alias` mean `name`. Raises CollectionExists where a collection is called like the alias."""
        self._catalogue.point(alias, name)

    def resolve(self, name: str) -> str:
        """The collection's own name. Raises CollectionNotFound."""
        return self._catalogue.open(name, fresh=True).name

    def aliases(self) -> dict[str, str]:
        """Every alias and its collection."""
        return self._catalogue.aliases()

    def upsert(self, name: str, records: Sequence[ImageRecord], embeddings: FloatArray) -> int:
        """Write the records; nothing is sent unless every one of them can be kept."""
        opened = self._catalogue.open(name, fresh=True)
        matrix = check_vectors("embeddings", embeddings, opened.spec.dim, rows=len(records))
        sizes = [check_record(record) for record in records]
        last = {record.image_id: i for i, record in enumerate(records)}
        row_bytes = 4 * opened.spec.dim + 256

        def write(task: tuple[str, list[int]]) -> None:
            method, batch = task
            now_ms = time.time_ns() // 1_000_000
            rows = [to_row(records[i], matrix[i], now_ms, opened.present) for i in batch]
            self._connection.call(method, opened.name, rows, retry_as="upsert")

        try:
            with self._writing():
                known = self._known(opened, list(last)) if self._is_lite else set(last)
                new = [i for image_id, i in last.items() if image_id not in known]
                old = [i for image_id, i in last.items() if image_id in known]
                replace_rows = _LITE_REPLACE_ROWS if self._is_lite else _WRITE_ROWS
                tasks = [("insert", batch) for batch in _batches(new, sizes, row_bytes, _WRITE_ROWS)]
                tasks += [("upsert", batch) for batch in _batches(old, sizes, row_bytes, replace_rows)]
                if len(tasks) <= 1:
                    for task in tasks:
                        write(task)
                else:
                    with ThreadPoolExecutor(_WRITES_IN_FLIGHT, thread_name_prefix="upsert") as pool:
                        list(pool.map(write, tasks))
        finally:
            self._written_s[opened.name] = time.monotonic()
        return len(records)

    def update(self, name: str, records: Sequence[ImageRecord]) -> int:
        """Replace the records that are there and keep their embeddings; returns how many were."""
        for record in records:
            check_record(record)
        stored = self.get_embeddings(name, [record.image_id for record in records])
        known = list({r.image_id: r for r in records if r.image_id in stored}.values())
        if known:
            self.upsert(name, known, np.stack([stored[record.image_id] for record in known]))
        return len(known)

    def search(self, name: str, queries: FloatArray, params: SearchParams) -> list[list[SearchHit]]:
        """Hits of (n, dim) queries; exact with FLAT. Without `ef` and `nprobe` the store's defaults hold."""
        check_window(params)
        opened = self._catalogue.open(name)
        matrix = check_vectors("queries", queries, opened.spec.dim)
        last = params.offset + params.top_k
        # One more than asked for shows whether the last rank is shared.
        limit = min(last + 1, MAX_WINDOW)
        floor = -np.inf if params.min_score is None else params.min_score
        records: dict[str, ImageRecord] = {}
        kept: list[_Ranked] = []
        # Answers of some 60,000 rows a call: a few megabytes.
        step = max(1, min(256, 65_536 // limit))
        with_records = params.offset == 0 and min(len(matrix), step) * limit <= self._read_rows
        for start in range(0, len(matrix), step):
            block = matrix[start : start + step]
            columns = RECORD_COLUMNS if with_records else []
            for query, hits in zip(block, self._ask(opened, block, limit, params, columns), strict=True):
                if with_records:
                    for i in range(len(hits)):
                        records.setdefault(hits.ids[i], from_row(hits[i]["entity"], hits.ids[i]))
                ranked = self._settle_ties(opened, query, _ranked(hits), last, params)
                kept.append([pair for pair in ranked[params.offset : last] if pair[0] >= floor])
        missing = list({image_id for pairs in kept for _, image_id in pairs if image_id not in records})
        if missing:
            records.update(self._records(opened, missing))
        # A row that was deleted since the search is no hit any more.
        return [
            [SearchHit(records[i], min(1.0, max(-1.0, score))) for score, i in pairs if i in records] for pairs in kept
        ]

    def get(self, name: str, image_ids: Sequence[str]) -> dict[str, ImageRecord]:
        """The records of those ids that exist."""
        check_ids(image_ids)
        return self._records(self._catalogue.open(name), list(dict.fromkeys(image_ids)))

    def get_embeddings(self, name: str, image_ids: Sequence[str]) -> dict[str, FloatArray]:
        """The (dim,) embeddings of those ids that exist."""
        check_ids(image_ids)
        rows = self._rows(self._catalogue.open(name), list(dict.fromkeys(image_ids)), ["embedding"])
        return {row["image_id"]: np.asarray(row["embedding"], np.float32) for row in rows}

    def iterate(
        self, name: str, *, batch_size: int = 1000, updated_since_ms: int | None = None
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every row once, in order of image_id; a row written or deleted meanwhile may or may not be there."""
        if batch_size < 1:
            raise InvalidParameter("batch_size", f"{batch_size}; at least 1 is expected")
        return self._iterate(self._catalogue.open(name, fresh=True), batch_size, updated_since_ms)

    def delete(self, name: str, image_ids: Sequence[str]) -> int:
        """Remove those rows; returns how many were there."""
        check_ids(image_ids)
        opened = self._catalogue.open(name, fresh=True)
        there = list(self._known(opened, list(dict.fromkeys(image_ids))))
        for start in range(0, len(there), _SERVER_READ_ROWS):
            self._connection.call("delete", opened.name, filter=_in(there[start : start + _SERVER_READ_ROWS]))
            self._written_s[opened.name] = time.monotonic()
        if there and not self._is_lite:
            # A server tells no timestamp of a delete, so Session would not wait for it; one strong read does,
            # and what comes after it sees the delete too.
            self._connection.call("query", opened.name, _in(there[-1:]), ["image_id"], consistency_level="Strong")
        return len(there)

    def count(self, name: str) -> int:
        """Number of rows."""
        opened = self._catalogue.open(name)
        rows = self._query(opened, "", ["count(*)"])
        return int(rows[0]["count(*)"])

    def build_index(self, name: str) -> None:
        """Flush, and wait until no row is pending; an embedded library has nothing to wait for."""
        opened = self._catalogue.open(name, fresh=True)
        if self._is_lite:
            return
        self._connection.call("flush", opened.name, timeout=None)
        for column in self._connection.call("list_indexes", opened.name):
            while self._connection.call("describe_index", opened.name, column)["pending_index_rows"] > 0:
                time.sleep(0.5)
        self._connection.call("load_collection", opened.name, timeout=None)

    def ping(self) -> None:
        """Return when the database answers. Raises VectorStoreError."""
        self._connection.call("list_collections")

    def close(self) -> None:
        """Release the connection, and the engine if this process runs it."""
        self._connection.close()
        self._catalogue.forget()

    @property
    def _read_rows(self) -> int:
        return _LITE_READ_ROWS if self._is_lite else _SERVER_READ_ROWS

    def _consistency(self, opened: OpenCollection) -> dict[str, str]:
        if self._is_lite:
            return {}
        recent = time.monotonic() - self._written_s.get(opened.name, -np.inf) < _SESSION_S
        return {"consistency_level": "Session" if recent else "Bounded"}

    def _ask(
        self, opened: OpenCollection, queries: FloatArray, limit: int, params: SearchParams, columns: list[str]
    ) -> Any:
        ef, nprobe = params.ef or self._ef, params.nprobe or self._nprobe
        tuning = search_params(opened.spec.index, limit, ef, nprobe)
        return self._connection.call(
            "search",
            opened.name,
            list(queries),
            anns_field="embedding",
            limit=limit,
            output_fields=columns,
            search_params={"metric_type": "IP", "params": tuning},
            **self._consistency(opened),
        )

    def _settle_ties(
        self, opened: OpenCollection, query: FloatArray, ranked: _Ranked, last: int, params: SearchParams
    ) -> _Ranked:
        """The ranks up to `last`, with all that share the last one, so that pages neither repeat nor omit."""
        limit = last + 1
        while len(ranked) >= limit and limit < MAX_WINDOW and ranked[last - 1][0] == ranked[-1][0]:
            limit = min(limit * 2, MAX_WINDOW)
            ranked = _ranked(self._ask(opened, query[None], limit, params, [])[0])
        return ranked

    def _query(self, opened: OpenCollection, expression: str, columns: list[str], **kwargs: Any) -> Any:
        return self._connection.call("query", opened.name, expression, columns, **self._consistency(opened), **kwargs)

    def _rows(self, opened: OpenCollection, image_ids: list[str], columns: list[str]) -> Iterator[Any]:
        for start in range(0, len(image_ids), self._read_rows):
            yield from self._query(opened, _in(image_ids[start : start + self._read_rows]), columns)

    def _known(self, opened: OpenCollection, image_ids: list[str]) -> set[str]:
        return {row["image_id"] for row in self._rows(opened, image_ids, ["image_id"])}

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        """Alone in an embedded library: it keeps two rows of one id where two writers insert it at once."""
        return contextlib.nullcontext() if self._write_lock is None else self._write_lock.held()

    def _records(self, opened: OpenCollection, image_ids: list[str]) -> dict[str, ImageRecord]:
        rows = self._rows(opened, image_ids, RECORD_COLUMNS)
        return {row["image_id"]: from_row(row, row["image_id"]) for row in rows}

    def _iterate(
        self, opened: OpenCollection, batch_size: int, updated_since_ms: int | None
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        for image_ids in _chunks(self._iterate_ids(opened, updated_since_ms), batch_size):
            rows = list(self._rows(opened, image_ids, ["embedding", *RECORD_COLUMNS]))
            if rows:
                embeddings = np.array([row["embedding"] for row in rows], np.float32)
                yield [from_row(row, row["image_id"]) for row in rows], embeddings

    def _iterate_ids(self, opened: OpenCollection, updated_since_ms: int | None) -> Iterator[str]:
        """Ids in ascending order, page after page: rows written meanwhile neither shift nor repeat others."""
        since = "" if updated_since_ms is None else f" and updated_at_ms >= {int(updated_since_ms)}"
        last = ""
        while True:
            page = self._query(opened, f'image_id > "{last}"{since}', ["image_id"], limit=_ID_PAGE)
            image_ids = sorted(row["image_id"] for row in page)
            yield from image_ids
            if len(image_ids) < _ID_PAGE:
                return
            last = image_ids[-1]


def _in(image_ids: Iterable[str]) -> str:
    """A filter for ids that `check_ids` has let through, or that Milvus has told."""
    return f"image_id in {json.dumps(list(image_ids))}"


def _ranked(hits: Any) -> _Ranked:
    """(score, image_id) of one query's hits, nearest first, ties by image_id."""
    return sorted(zip(hits.distances, hits.ids, strict=True), key=lambda pair: (-pair[0], pair[1]))


def _batches(order: Iterable[int], sizes: Sequence[int], row_bytes: int, max_rows: int) -> Iterator[list[int]]:
    """Indices in groups that make one message each."""
    batch: list[int] = []
    weight = 0
    for i in order:
        # The words column repeats the texts.
        cost = row_bytes + 4 * sizes[i]
        if batch and (len(batch) == max_rows or weight + cost > _WRITE_BYTES):
            yield batch
            batch, weight = [], 0
        batch.append(i)
        weight += cost
    if batch:
        yield batch


def _chunks(items: Iterator[str], size: int) -> Iterator[list[str]]:
    chunk: list[str] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
