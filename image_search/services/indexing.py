"""A collection made anew beside the old one: another projection, another index; and vectors that come as shards.

A rebuild copies, catches up with what was written meanwhile, keeps writers out for the rest of it, and switches the
name. Writers of other machines check after each write that the name still points to where they wrote
(`Collections.write`), and the rebuild catches up once more for them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from image_search.errors import ImageNotFound, InvalidParameter, ModelMismatch
from image_search.interfaces import Embedder, FloatArray, ImageStore, ShardFiles, VectorArchive
from image_search.services.collections import Collections, OpenCollection, wanted_pca
from image_search.services.preparing import Preparer
from image_search.services.progress import Progress, ProgressListener, no_progress
from image_search.storage.keys import original_key, vector_key
from image_search.types import CollectionSpec, ImageRecord, IndexSpec

BATCH = 1024
CLOCK_MARGIN_MS = 5_000
"""Rows are stamped by the clock of whoever writes them; a catch-up looks back further than clocks differ."""


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What an index run did."""

    collection: str
    images: int
    projection_id: str
    dim: int
    index: IndexSpec
    added: int = 0
    """Rows that came from shards."""
    elapsed_s: float = 0.0
    cancelled: bool = False


class IndexingService:
    """Rebuilds collections of one library."""

    def __init__(
        self,
        collections: Collections,
        images: ImageStore,
        archive_for: Callable[[str], VectorArchive],
        shards: ShardFiles,
        preparer: Preparer,
        *,
        switch_grace_s: float = 1.0,
    ) -> None:
        """`switch_grace_s`: how long after the switch the old collection stays, for searches that still read it."""
        self._collections, self._images, self._archive_for = collections, images, archive_for
        self._shards, self._preparer, self._grace_s = shards, preparer, switch_grace_s

    def add_shards(
        self, collection: str, paths: Sequence[Path], *, on_progress: ProgressListener = no_progress
    ) -> IndexReport:
        """Upsert the raw vectors of shard files, each of which then moves into the archive.

        Raises DatasetFormatError, ModelMismatch (before anything of that shard is written).
        """
        started = time.perf_counter()
        opened = self._collections.open_or_create(collection)
        infos = [self._shards.describe_vector_shard(path) for path in paths]
        for path, info in zip(paths, infos, strict=True):
            if info.model_id != opened.spec.model_id or info.projection_id != "none":
                raise ModelMismatch(
                    f"{path.name}: vectors of {info.model_id} ({info.projection_id}); collection {collection!r} takes "
                    f"raw vectors of {opened.spec.model_id}"
                )
        total, done = sum(info.count for info in infos), 0
        archive = self._archive_for(opened.spec.model_id)
        store = self._collections.store
        for path in paths:
            for records, raw in self._shards.read_vector_shard(path, BATCH):
                self._collections.write(
                    collection,
                    lambda now, records=records, raw=raw: store.upsert(  # type: ignore[misc]
                        now.physical, records, now.embedder.project(raw)
                    ),
                )
                done += len(records)
                on_progress(Progress("indexing", done, total))
            archive.adopt(path)
        store.build_index(store.resolve(collection))
        return self._report(collection, started, added=done)

    def rebuild(
        self,
        collection: str,
        *,
        projection: str | None = None,
        index: IndexSpec | None = None,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> IndexReport:
        """Make the collection anew with `projection` (none, pca:N fitted now, random:N; None = the one it has) and
        `index` (None = the one it has), from kept vectors; search and insert go on meanwhile.

        Setting `stop` ends it before the switch: the old collection stays. Raises InvalidParameter, CollectionNotFound.
        """
        started = time.perf_counter()
        stop = stop or threading.Event()
        store = self._collections.store
        opened = self._collections.open(collection)
        for leftover in self._collections.leftovers(collection):
            store.drop_collection(leftover)
        projection_id = self._projection_id(opened, projection, on_progress)
        spec = self._collections.new_spec(projection_id, index or opened.spec.index)
        embedder = self._collections.provider.get(projection_id)
        since_ms = _now_ms()
        fresh = self._collections.create_beside(collection, spec)
        try:
            total, done = store.count(opened.physical), 0
            for records, vectors in self._converted(opened, spec, embedder):
                if stop.is_set():
                    store.drop_collection(fresh)
                    return self._report(collection, started, cancelled=True)
                store.upsert(fresh, records, vectors)
                done += len(records)
                on_progress(Progress("rebuilding", min(done, total), total))
            store.build_index(fresh)
            # Once while others write, so that little is left for the moment in which they must wait.
            caught_up_ms = _now_ms()
            self._copy_newer(opened, fresh, spec, embedder, since_ms - CLOCK_MARGIN_MS)
            self._copy_deletions(opened, fresh)
            with self._collections.gate.switching():
                self._copy_newer(opened, fresh, spec, embedder, caught_up_ms - CLOCK_MARGIN_MS)
                if store.count(fresh) != store.count(opened.physical):
                    self._copy_deletions(opened, fresh)
                switched_ms = _now_ms()
                store.point(collection, fresh)
        except BaseException:
            store.drop_collection(fresh)
            raise
        time.sleep(self._grace_s)
        written_since = {
            r.image_id for records, _ in store.iterate(fresh, updated_since_ms=switched_ms) for r in records
        }
        # For writers on other machines, which the gate does not hold up; a writer of this one is never older.
        self._copy_newer(opened, fresh, spec, embedder, switched_ms, skip=written_since)
        store.drop_collection(opened.physical)
        return self._report(collection, started)

    def fit_if_configured(self, collection: str, *, on_progress: ProgressListener = no_progress) -> str | None:
        """Fit the configured pca:N where the collection has no projection yet and enough pictures; its id, or None.

        A new library cannot begin with a PCA; this brings it there once there is enough to fit it on.
        """
        wanted = self._collections.projection
        pca_dim = wanted_pca(wanted)
        spec = self._collections.spec(collection)
        if pca_dim is None or spec.projection_id != "none":
            return None
        if self._collections.store.count(self._collections.store.resolve(collection)) < 10 * pca_dim:
            return None
        return self.rebuild(collection, projection=wanted, on_progress=on_progress).projection_id

    def run_job(self, params: Mapping[str, Any], on_progress: ProgressListener, stop: threading.Event) -> None:
        """`rebuild` as a job: `collection`, and optionally `projection` and `index` {kind, params}."""
        index = params.get("index")
        self.rebuild(
            params["collection"],
            projection=params.get("projection"),
            index=IndexSpec(index["kind"], index.get("params", {})) if index else None,
            on_progress=on_progress,
            stop=stop,
        )

    def _report(self, collection: str, started: float, *, added: int = 0, cancelled: bool = False) -> IndexReport:
        spec = self._collections.spec(collection)
        return IndexReport(
            collection=collection,
            images=self._collections.store.count(self._collections.store.resolve(collection)),
            projection_id=spec.projection_id,
            dim=spec.dim,
            index=spec.index,
            added=added,
            elapsed_s=round(time.perf_counter() - started, 3),
            cancelled=cancelled,
        )

    def _projection_id(self, opened: OpenCollection, projection: str | None, on_progress: ProgressListener) -> str:
        provider = self._collections.provider
        if projection is None:
            return opened.spec.projection_id
        pca_dim = wanted_pca(projection)
        if pca_dim is None:
            return provider.make_random(int(projection.split(":")[1])) if ":" in projection else "none"
        count = self._collections.store.count(opened.physical)
        if count < 10 * pca_dim:
            # fit_pca refuses too, after reading everything; say it at once.
            raise InvalidParameter(
                "projection",
                f"pca:{pca_dim} wants at least {10 * pca_dim} pictures, the library has {count}; "
                f"at most pca:{max(count // 10, 1)} is sound",
            )

        def batches() -> Iterator[FloatArray]:
            done = 0
            for records, raw in self._raw(opened):
                done += len(records)
                on_progress(Progress("fitting", done, count))
                yield raw

        return provider.fit_pca(batches(), pca_dim)

    def _converted(
        self, opened: OpenCollection, spec: CollectionSpec, embedder: Embedder
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        if spec.projection_id == opened.spec.projection_id:
            yield from self._collections.store.iterate(opened.physical, batch_size=BATCH)
            return
        for records, raw in self._raw(opened):
            yield records, embedder.project(raw)

    def _raw(self, opened: OpenCollection) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every row's record and raw vector (any positive multiple of it: all uses normalise first)."""
        store = self._collections.store
        if opened.spec.projection_id == "none":
            yield from store.iterate(opened.physical, batch_size=BATCH)
            return
        seen: set[str] = set()
        for archived, raw in self._archive_for(opened.spec.model_id).iterate(BATCH):
            current = store.get(opened.physical, [record.image_id for record in archived])
            rows = []
            for row, record in enumerate(archived):
                if record.image_id in current and record.image_id not in seen:
                    seen.add(record.image_id)
                    rows.append(row)
            if rows:
                yield [current[archived[row].image_id] for row in rows], raw[rows]
        for batch, _ in store.iterate(opened.physical, batch_size=BATCH):
            missing = [record for record in batch if record.image_id not in seen]
            if missing:
                yield missing, np.stack([self._single_raw(opened, record) for record in missing])

    def _single_raw(self, opened: OpenCollection, record: ImageRecord) -> FloatArray:
        """The raw vector kept beside a picture that was inserted alone, else embedded again from its original."""
        embedder = opened.embedder
        try:
            kept = self._images.get(vector_key(record.image_id, opened.spec.model_id))
        except ImageNotFound:
            decoded = self._preparer.decode(self._images.get(original_key(record.image_id)), embedder.shortest_px)
            again: FloatArray = embedder.embed_raw(embedder.preprocess([decoded.image]))[0]
            return again
        return np.frombuffer(kept, np.float16).astype(np.float32)

    def _copy_newer(
        self,
        opened: OpenCollection,
        fresh: str,
        spec: CollectionSpec,
        embedder: Embedder,
        since_ms: int,
        *,
        skip: Collection[str] = (),
    ) -> None:
        """Bring rows written to the old collection since then into the new one, but those that it has newer."""
        store = self._collections.store
        for records, vectors in store.iterate(opened.physical, batch_size=BATCH, updated_since_ms=since_ms):
            rows = [row for row, record in enumerate(records) if record.image_id not in skip]
            if not rows:
                continue
            chosen, raw = [records[row] for row in rows], vectors[rows]
            if spec.projection_id == opened.spec.projection_id:
                store.upsert(fresh, chosen, raw)
                continue
            if opened.spec.projection_id != "none":
                raw = np.stack([self._single_raw(opened, record) for record in chosen])
            store.upsert(fresh, chosen, embedder.project(raw))

    def _copy_deletions(self, opened: OpenCollection, fresh: str) -> None:
        store = self._collections.store
        for records, _ in store.iterate(fresh, batch_size=BATCH):
            ids = [record.image_id for record in records]
            there = store.get(opened.physical, ids)
            gone = [image_id for image_id in ids if image_id not in there]
            if gone:
                store.delete(fresh, gone)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
