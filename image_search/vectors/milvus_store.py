"""A vector store in Milvus: an embedded library in one `.db` file, or a server."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from image_search.errors import InvalidParameter, VectorStoreError
from image_search.filters import Filter
from image_search.interfaces import FloatArray
from image_search.types import CollectionSpec, ImageRecord, SearchHit, SearchParams
from image_search.vectors.alias_file import AliasFile
from image_search.vectors.checks import (
    check_ids,
    check_page,
    check_query_text,
    check_record,
    check_vectors,
    check_window,
)
from image_search.vectors.file_lock import FileLock
from image_search.vectors.milvus_catalogue import MilvusCatalogue
from image_search.vectors.milvus_connection import MilvusConnection
from image_search.vectors.milvus_reader import MilvusReader, in_ids
from image_search.vectors.milvus_schema import BM25_COLUMN, to_row
from image_search.vectors.milvus_search import MilvusSearch
from image_search.vectors.sampling import sample_records
from image_search.vectors.words import query_words

# Lite takes time quadratic in the rows of one call for an ARRAY column: 0.17 ms a row at 128 rows, 0.29 at 500,
# 0.61 at 2000.
_WRITE_ROWS = 192
# And Lite's upsert goes through the whole collection once a call, 2 ms for each 1,000 rows there are, be the
# ids new or not: new rows are inserted, and for the others a longer batch is cheaper.
_LITE_REPLACE_ROWS = 512
# While the engine works, pymilvus packs the next rows: one call at a time 2,900 rows/s, three 5,300.
_WRITES_IN_FLIGHT = 3
# Below the 4 MB of a gRPC server's default, with room for what a row weighs beside its texts and vector.
_WRITE_BYTES = 3_000_000
_DELETE_ROWS = 1000
_INDEX_STALLS_S = 1800.0


class MilvusVectorStore:
    """A VectorStore over `uri`: a file whose name ends in .db, or http(s)://host:port.

    Connects at first use, not before: make it after a fork. `ef` and `nprobe` are what a search takes that
    names none. On a server this object reads what it wrote at once; what another process wrote it reads within the
    bound of the server's `Bounded` consistency, five seconds.
    """

    def __init__(
        self,
        uri: str,
        *,
        token: str = "",
        db_name: str = "",
        ca_file: str = "",
        timeout_s: float = 30.0,
        ef: int = 128,
        nprobe: int = 32,
    ) -> None:
        self._connection = MilvusConnection(uri, token=token, db_name=db_name, ca_file=ca_file, timeout_s=timeout_s)
        self._is_lite = self._connection.is_lite
        alias_file = AliasFile(Path(f"{uri}.aliases.json")) if self._is_lite else None
        self._catalogue = MilvusCatalogue(self._connection, alias_file)
        self._write_lock = FileLock(Path(f"{uri}.write.lock")) if self._is_lite else None
        self._reader = MilvusReader(self._connection)
        self._search = MilvusSearch(self._connection, self._reader, ef=ef, nprobe=nprobe)

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

    def point(self, alias: str, name: str, *, new: bool = False) -> None:
        """Let `alias` mean `name`. Raises CollectionExists where a collection is called like the alias."""
        self._catalogue.point(alias, name, new=new)

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
                known = self._reader.known(opened, list(last)) if self._is_lite else set(last)
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
            self._reader.wrote(opened.name, last)
        return len(records)

    def update(self, name: str, records: Sequence[ImageRecord]) -> int:
        """Replace the records that are there and keep their embeddings; returns how many were."""
        for record in records:
            check_record(record)
        stored = self.get_embeddings(name, [record.image_id for record in records], latest=True)
        known = list({r.image_id: r for r in records if r.image_id in stored}.values())
        if known:
            self.upsert(name, known, np.stack([stored[record.image_id] for record in known]))
        return len(known)

    def search(
        self, name: str, queries: FloatArray, params: SearchParams, where: Filter | None = None
    ) -> list[list[SearchHit]]:
        """Hits of (n, dim) queries; exact with FLAT. Without `ef` and `nprobe` the store's defaults hold."""
        check_window(params)
        opened = self._catalogue.open(name)
        matrix = check_vectors("queries", queries, opened.spec.dim)
        return self._search.by_vectors(opened, matrix, params, where)

    def search_text(self, name: str, text: str, params: SearchParams, where: Filter | None = None) -> list[SearchHit]:
        """Hits by BM25. Raises InvalidParameter where the collection was made without a column for words."""
        check_window(params)
        check_query_text(text)
        opened = self._catalogue.open(name)
        if BM25_COLUMN not in opened.present:
            raise InvalidParameter(
                "text", f"the collection {opened.name!r} cannot be searched by words: a server of Milvus 2.5 makes such"
            )
        words = query_words(text)
        return self._search.by_words(opened, words, params, where) if words else []

    def get(self, name: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, ImageRecord]:
        """The records of those ids that exist."""
        check_ids(image_ids)
        return self._reader.records(self._catalogue.open(name), list(dict.fromkeys(image_ids)), latest=latest)

    def get_embeddings(self, name: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, FloatArray]:
        """The (dim,) embeddings of those ids that exist."""
        check_ids(image_ids)
        ids = list(dict.fromkeys(image_ids))
        rows = self._reader.rows(self._catalogue.open(name), ids, ["embedding"], latest=latest)
        return {row["image_id"]: np.asarray(row["embedding"], np.float32) for row in rows}

    def iterate(
        self, name: str, *, batch_size: int = 1000, updated_since_ms: int | None = None, latest: bool = False
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every row once, in order of image_id; a row written or deleted meanwhile may or may not be there."""
        if batch_size < 1:
            raise InvalidParameter("batch_size", f"{batch_size}; at least 1 is expected")
        opened = self._catalogue.open(name, fresh=True)
        return self._reader.iterate(opened, batch_size, updated_since_ms, latest=latest)

    def list_records(
        self, name: str, *, where: Filter | None = None, after: str | None = None, limit: int = 100
    ) -> list[ImageRecord]:
        """The first `limit` records after an id, in order of image_id."""
        check_page(after, limit)
        return self._reader.list_records(self._catalogue.open(name), where, after or "", limit)

    def sample(self, name: str, n: int, where: Filter | None = None) -> list[ImageRecord]:
        """At most n random records, for the price of a page."""
        check_page(None, n)
        opened = self._catalogue.open(name)
        return sample_records(lambda after, limit: self._reader.list_records(opened, where, after or "", limit), n)

    def delete(self, name: str, image_ids: Sequence[str]) -> int:
        """Remove those rows; returns how many were there."""
        check_ids(image_ids)
        opened = self._catalogue.open(name, fresh=True)
        there = list(self._reader.known(opened, list(dict.fromkeys(image_ids)), latest=True))
        for start in range(0, len(there), _DELETE_ROWS):
            removed = there[start : start + _DELETE_ROWS]
            self._connection.call("delete", opened.name, filter=in_ids(removed))
            self._reader.wrote(opened.name, removed)
        if there and not self._is_lite:
            # A server tells no timestamp of a delete, so Session would not wait for it; one strong read does,
            # and what comes after it sees the delete too.
            self._connection.call("query", opened.name, in_ids(there[-1:]), ["image_id"], consistency_level="Strong")
        return len(there)

    def count(self, name: str, where: Filter | None = None, *, latest: bool = False) -> int:
        """Number of rows that a filter holds for."""
        return self._reader.count(self._catalogue.open(name), where, latest=latest)

    def build_index(self, name: str) -> None:
        """Flush, and wait until no row is pending; an embedded library has nothing to wait for."""
        opened = self._catalogue.open(name, fresh=True)
        if self._is_lite:
            return
        self._connection.call("flush", opened.name, timeout=None)
        for column in self._connection.call("list_indexes", opened.name):
            self._wait_for_index(opened.name, column)
        self._connection.call("load_collection", opened.name, timeout=None)

    def _wait_for_index(self, name: str, column: str) -> None:
        """Return when no row is pending. Raises VectorStoreError where that goes on for long and nothing is built."""
        built, since_s = -1, time.monotonic()
        while True:
            state = self._connection.call("describe_index", name, column)
            if state["pending_index_rows"] <= 0:
                return
            if state["indexed_rows"] != built:
                built, since_s = state["indexed_rows"], time.monotonic()
            # A server that cannot build an index says that it is at it, for ever.
            if state.get("state") == "Failed" or time.monotonic() - since_s > _INDEX_STALLS_S:
                raise VectorStoreError(
                    f"the vector database does not build its index {state['index_type']}: its log says why"
                )
            time.sleep(0.5)

    def ping(self) -> None:
        """Return when the database answers. Raises VectorStoreError."""
        self._connection.call("list_collections")

    def close(self) -> None:
        """Release the connection, and the engine if this process runs it."""
        self._connection.close()
        self._catalogue.forget()

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        """Alone in an embedded library: it keeps two rows of one id where two writers insert it at once."""
        return contextlib.nullcontext() if self._write_lock is None else self._write_lock.held()


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
