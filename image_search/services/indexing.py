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
from types import MappingProxyType
from typing import Any

from image_search.errors import CollectionExists, CollectionNotFound, Conflict, InvalidParameter, ModelMismatch
from image_search.interfaces import Embedder, FloatArray, ImageStore, ShardFiles, VectorArchive
from image_search.names import parse_projection
from image_search.records import merge_records
from image_search.services.collections import Collections, OpenCollection, remove_gone
from image_search.services.gate import PictureLocks
from image_search.services.jobs import JobStopped
from image_search.services.preparing import Preparer
from image_search.services.progress import Progress, ProgressListener, no_progress
from image_search.services.raw_vectors import LostListener, RawVectors
from image_search.types import CollectionSpec, Failure, ImageRecord, IndexSpec

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


class _StoppedError(Exception):
    """The caller's `stop` was set."""


class _Pass:
    """One way through a collection, told as it goes on: what could be carried over, and what could not."""

    def __init__(self, stage: str, total: int, on_progress: ProgressListener) -> None:
        self._stage, self._total, self._on_progress = stage, total, on_progress
        self._carried = self._lost = 0
        self._untold: list[Failure] = []

    def carried(self, number: int) -> None:
        self._carried += number
        untold, self._untold = tuple(self._untold), []
        done = min(self._carried + self._lost, self._total)
        self._on_progress(Progress(self._stage, done, self._total, self._lost, untold))

    def lost(self, record: ImageRecord, reason: str) -> None:
        self._lost += 1
        name = f"{record.source_name}: " if record.source_name else ""
        self._untold.append(Failure(record.image_id, f"{name}no raw vector of it is kept, and {reason}"))

    def check(self, what_now: str) -> None:
        """Raise Conflict where a picture was lost."""
        if self._untold:
            self.carried(0)
        if self._lost:
            raise Conflict(
                f"{self._lost} of {self._total} pictures have neither a raw vector that is kept nor an original from "
                f"which to make it; {what_now}"
            )


_NOTHING_CHANGED = "nothing was changed. Bring the originals back, or delete those pictures, and try again"


class IndexingService:
    """Rebuilds collections of one library."""

    def __init__(
        self,
        collections: Collections,
        images: ImageStore,
        archive_for: Callable[[str], VectorArchive],
        shards: ShardFiles,
        preparer: Preparer,
        locks: PictureLocks,
        *,
        switch_grace_s: float = 1.0,
    ) -> None:
        """`switch_grace_s`: how long after the switch the old collection stays, for searches that still read it."""
        self._collections, self._archive_for, self._shards, self._grace_s = (
            collections,
            archive_for,
            shards,
            switch_grace_s,
        )
        self._locks = locks
        self._raw = RawVectors(collections.store, images, archive_for, preparer)

    def add_shards(
        self,
        collection: str,
        paths: Sequence[Path],
        *,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> IndexReport:
        """Add the raw vectors of shard files, each of which then moves into the archive.

        Setting `stop` ends it between batches; what was added stays, and the next run goes on.

        Raises DatasetFormatError, ModelMismatch (before anything of that shard is written).
        """
        started = time.perf_counter()
        # First what may be missing: a mistyped name makes no collection.
        infos = [self._shards.describe_vector_shard(path) for path in paths]
        opened = self._collections.open_or_create(collection)
        raw_dim = opened.embedder.raw_dim
        for path, info in zip(paths, infos, strict=True):
            if (info.model_id, info.projection_id, info.dim) != (opened.spec.model_id, "none", raw_dim):
                raise ModelMismatch(
                    f"{path.name}: {info.dim} numbers of {info.model_id} ({info.projection_id}); collection "
                    f"{collection!r} takes raw vectors of {opened.spec.model_id}, {raw_dim} numbers each"
                )
        total, done, added = sum(info.count for info in infos), 0, 0
        archive = self._archive_for(opened.spec.model_id)
        for path in paths:
            for records, raw in self._shards.read_vector_shard(path, BATCH):
                if stop is not None and stop.is_set():
                    return self._report(collection, started, added=added, cancelled=True)
                with self._locks.holding([record.image_id for record in records]):
                    added += self._collections.write(collection, lambda now, r=records, v=raw: self._add(now, r, v))  # type: ignore[misc]
                done += len(records)
                on_progress(Progress("indexing", done, total))
            archive.adopt(path)
        store = self._collections.store
        store.build_index(store.resolve(collection))
        return self._report(collection, started, added=added)

    def _add(self, now: OpenCollection, records: Sequence[ImageRecord], raw: FloatArray) -> int:
        """Upsert what is new, let what is there learn further names and words; returns how many were new."""
        store = self._collections.store
        known = store.get(now.physical, [record.image_id for record in records], latest=True)
        rows = [row for row, record in enumerate(records) if record.image_id not in known]
        if rows:
            store.upsert(now.physical, [records[row] for row in rows], now.embedder.project(raw[rows]))
        merged = [merge_records(known[r.image_id], r) for r in records if r.image_id in known]
        changed = [record for record in merged if record != known[record.image_id]]
        if changed:
            store.update(now.physical, changed)
        return len(rows)

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

        Setting `stop` ends it before the switch: the old collection stays. A picture whose raw vector is lost is told
        to `on_progress`; when all have been gone through, the old collection stays for such a one, too.

        Raises InvalidParameter, CollectionNotFound, Conflict (another rebuild runs, here or on another machine; raw
        vectors are lost).
        """
        if projection is not None:
            parse_projection(projection)
        with self._collections.gate.rebuilding():
            try:
                return self._rebuild(collection, projection, index, on_progress, stop or threading.Event())
            except _StoppedError:
                return self._report(collection, time.perf_counter(), cancelled=True)

    def _rebuild(
        self,
        collection: str,
        projection: str | None,
        index: IndexSpec | None,
        on_progress: ProgressListener,
        stop: threading.Event,
    ) -> IndexReport:
        started = time.perf_counter()
        store = self._collections.store
        opened = self._collections.open_raw(collection)
        projection_id = self._projection_id(opened, projection, on_progress, stop)
        spec = self._collections.new_spec(projection_id, index or opened.spec.index, provider=opened.provider)
        embedder = opened.provider.get(projection_id)
        since_ms = self._begun_before_is_written_ms()
        leftovers = self._collections.leftovers(collection)
        try:
            fresh = self._collections.create_beside(collection, spec)
        except CollectionExists as error:
            # The next number was taken by another machine a moment before.
            raise _overtaken(collection) from error
        try:
            # Not before: the name would be taken again, and a half that another machine fills be filled by both.
            for leftover in leftovers:
                store.drop_collection(leftover)
            # The latest, which a database shows from then on.
            here = _Pass("rebuilding", store.count(opened.physical, latest=True), on_progress)
            for records, vectors in self._converted(opened, spec, embedder, here.lost):
                if stop.is_set():
                    raise _StoppedError
                store.upsert(fresh, records, vectors)
                here.carried(len(records))
            here.check(_NOTHING_CHANGED)
            store.build_index(fresh)
            # Once while others write, so that little is left for the moment in which they must wait.
            caught_up_ms = self._begun_before_is_written_ms()
            self._copy_newer(opened, fresh, spec, embedder, since_ms - CLOCK_MARGIN_MS, here.lost)
            here.check(_NOTHING_CHANGED)
            remove_gone(store, fresh, store, opened.physical)
            with self._collections.gate.switching():
                carried = self._copy_newer(opened, fresh, spec, embedder, caught_up_ms - CLOCK_MARGIN_MS, here.lost)
                here.check(_NOTHING_CHANGED)
                if store.count(fresh) != store.count(opened.physical, latest=True):
                    remove_gone(store, fresh, store, opened.physical)
                # What was written since another machine's switch is in its collection only. Between this look and the
                # switch a moment is left in which it may come: no server has a switch on condition.
                if store.resolve(collection) != opened.physical:
                    raise _overtaken(collection)
                switched_ms = _now_ms()
                store.point(collection, fresh)
        except BaseException as error:
            store.drop_collection(fresh)
            if isinstance(error, CollectionNotFound) and self._collections.exists(collection):
                # Another machine's rebuild took this one's half for a leftover, or dropped what this one copies.
                raise _overtaken(collection) from error
            raise
        try:
            self._finish(opened, fresh, spec, embedder, switched_ms, caught_up_ms, carried, here)
        except CollectionNotFound as error:
            raise Conflict(
                f"collection {collection!r} was rebuilt, and then again by another machine, before this one had "
                "brought what other machines wrote in the moment of its switch; rebuild on one machine at a time"
            ) from error
        return self._report(collection, started)

    def _finish(
        self,
        opened: OpenCollection,
        fresh: str,
        spec: CollectionSpec,
        embedder: Embedder,
        switched_ms: int,
        caught_up_ms: int,
        carried: Mapping[str, ImageRecord],
        here: _Pass,
    ) -> None:
        """Bring what writers on other machines, which the gate does not hold up, wrote after the last look and before
        they noticed the switch; and drop the old collection."""
        store = self._collections.store
        time.sleep(self._grace_s)
        written_since = {
            r.image_id
            for records, _ in store.iterate(fresh, updated_since_ms=switched_ms, latest=True)
            for r in records
        }
        since_ms = caught_up_ms - CLOCK_MARGIN_MS
        # What was carried is not brought again: it may be deleted by now.
        self._copy_newer(opened, fresh, spec, embedder, since_ms, here.lost, carried=carried, skip=written_since)
        here.check("they were written while the collection was switched, and stay in the old one until a next rebuild")
        store.drop_collection(opened.physical)

    def fit_if_configured(self, collection: str, *, on_progress: ProgressListener = no_progress) -> str | None:
        """Fit the configured pca:N where the collection has no projection yet and enough pictures; its id, or None.

        A new library cannot begin with a PCA; this brings it there once there is enough to fit it on.
        """
        wanted = self._collections.projection
        kind, dim = parse_projection(wanted)
        if kind != "pca" or self._collections.spec(collection).projection_id != "none":
            return None
        if self._collections.store.count(self._collections.store.resolve(collection)) < 10 * dim:
            return None
        return self.rebuild(collection, projection=wanted, on_progress=on_progress).projection_id

    def run_job(self, params: Mapping[str, Any], on_progress: ProgressListener, stop: threading.Event) -> None:
        """`rebuild` as a job: `collection`, and optionally `projection` and `index` {kind, params}.

        Raises JobStopped where `stop` ended it early, beside the errors of `rebuild`.
        """
        index = params.get("index")
        report = self.rebuild(
            params["collection"],
            projection=params.get("projection"),
            index=IndexSpec(index["kind"], index.get("params", {})) if index else None,
            on_progress=on_progress,
            stop=stop,
        )
        if report.cancelled:
            raise JobStopped

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

    def _projection_id(
        self, opened: OpenCollection, projection: str | None, on_progress: ProgressListener, stop: threading.Event
    ) -> str:
        provider = opened.provider
        if projection is None:
            return opened.spec.projection_id
        kind, pca_dim = parse_projection(projection)
        if kind != "pca":
            return provider.make_random(pca_dim) if kind == "random" else "none"
        count = self._collections.store.count(opened.physical)
        if count < 10 * pca_dim:
            # fit_pca refuses too, after reading everything; say it at once.
            raise InvalidParameter(
                "projection",
                f"pca:{pca_dim} wants at least {10 * pca_dim} pictures, the library has {count}; "
                f"at most pca:{max(count // 10, 1)} is sound",
            )

        def batches() -> Iterator[FloatArray]:
            here = _Pass("fitting", count, on_progress)
            for records, raw in self._raw.all(opened, here.lost):
                if stop.is_set():
                    raise _StoppedError
                here.carried(len(records))
                yield raw
            here.check(_NOTHING_CHANGED)

        return provider.fit_pca(batches(), pca_dim)

    def _converted(
        self, opened: OpenCollection, spec: CollectionSpec, embedder: Embedder, lost: LostListener
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        if spec.projection_id == opened.spec.projection_id:
            yield from self._collections.store.iterate(opened.physical, batch_size=BATCH)
            return
        for records, raw in self._raw.all(opened, lost):
            yield records, embedder.project(raw)

    def _begun_before_is_written_ms(self) -> int:
        """A moment: rows with an earlier time are all there, however long their writing took."""
        with self._collections.gate.switching():
            return _now_ms()

    def _copy_newer(
        self,
        opened: OpenCollection,
        fresh: str,
        spec: CollectionSpec,
        embedder: Embedder,
        since_ms: int,
        lost: LostListener,
        *,
        carried: Mapping[str, ImageRecord] = MappingProxyType({}),
        skip: Collection[str] = (),
    ) -> dict[str, ImageRecord]:
        """Bring rows written to the old collection since then into the new one; returns all there were by their ids.

        Left out: what an earlier call has `carried`, and, in `skip`, what the new one has newer.
        """
        store = self._collections.store
        newer = store.iterate(opened.physical, batch_size=BATCH, updated_since_ms=since_ms, latest=True)
        seen: dict[str, ImageRecord] = {}
        for records, vectors in newer:
            seen |= {record.image_id: record for record in records}
            rows = [
                row
                for row, record in enumerate(records)
                if record.image_id not in skip and carried.get(record.image_id) != record
            ]
            if not rows:
                continue
            chosen, raw = [records[row] for row in rows], vectors[rows]
            if spec.projection_id == opened.spec.projection_id:
                store.upsert(fresh, chosen, raw)
                continue
            if opened.spec.projection_id != "none":
                chosen, raw = self._raw.of(opened, chosen, lost, since_s=since_ms / 1000)
            if chosen:
                store.upsert(fresh, chosen, embedder.project(raw))
        return seen


def _overtaken(collection: str) -> Conflict:
    return Conflict(
        f"collection {collection!r} is, or was, rebuilt on another machine meanwhile: this rebuild was given up, and "
        "nothing is lost; rebuild on one machine at a time"
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
