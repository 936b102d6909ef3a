"""The features of a collection that are there so far: raw vectors with their records, also while others write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from image_search.errors import DatasetFormatError
from image_search.interfaces import ShardFiles, VectorBatch
from image_search.services.collections import Collections
from image_search.services.ingesting.stages import shard_files
from image_search.services.raw_vectors import BATCH, LostListener, RawVectors


class Features:
    """Reads what bulk runs, single inserts and the stage `embed` kept. Needs no network."""

    def __init__(
        self,
        collections: Collections,
        shards: ShardFiles,
        raw: RawVectors,
        staged_vectors: Callable[[str], Path],
    ) -> None:
        """`staged_vectors`: where `embed` leaves the shards of a model, until `index` takes them over."""
        self._collections, self._shards, self._raw = collections, shards, raw
        self._staged_vectors = staged_vectors

    def model_id(self, collection: str) -> str:
        """The model whose features these are. Raises CollectionNotFound where there is nothing at all."""
        if not self._collections.exists(collection) and self._staged(self._collections.provider.model_id):
            return self._collections.provider.model_id
        return self._collections.spec(collection).model_id

    def count(self, collection: str) -> int:
        """About how many there are: of those that are staged some may be in the collection already."""
        store = self._collections.store
        there = store.count(store.resolve(collection)) if self._collections.exists(collection) else 0
        shards = self._staged(self.model_id(collection))
        return there + sum(self._shards.describe_vector_shard(path).count for path in shards)

    def batches(self, collection: str, lost: LostListener) -> Iterator[VectorBatch]:
        """Records and (n, raw_dim) raw vectors, each picture once; `lost` is told of rows without a vector."""
        store = self._collections.store
        physical = store.resolve(collection) if self._collections.exists(collection) else None
        # First what waits for `index`: what that takes over meanwhile is in the collection by the time it is read.
        seen: set[str] = set()
        for path in self._staged(self.model_id(collection)):
            try:
                for records, raw in self._shards.read_vector_shard(path, BATCH):
                    ids = [record.image_id for record in records]
                    known = store.get(physical, ids) if physical else {}
                    rows = [row for row, i in enumerate(ids) if i not in known and i not in seen]
                    seen.update(ids[row] for row in rows)
                    if rows:
                        yield [records[row] for row in rows], raw[rows]
            except DatasetFormatError:
                if path.exists():
                    raise
        if physical:
            for records, raw in self._raw.kept(physical, self._collections.spec(collection), lost):
                rows = [row for row, record in enumerate(records) if record.image_id not in seen]
                if rows:
                    yield [records[row] for row in rows], raw[rows]

    def _staged(self, model_id: str) -> list[Path]:
        return shard_files(self._staged_vectors(model_id))
