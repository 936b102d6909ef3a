"""A library taken from one pair of stores to another, without embedding anything again.

Objects go first, then rows, then the names that people use: a target that is only half filled shows nothing, and an
interrupted run leaves nothing that the next one does not go on with. What is there already is passed over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from image_search.errors import BackendError, CollectionExists, Conflict, ImageNotFound, ModelMismatch
from image_search.imaging import SNIFF_BYTES, sniff_content_type
from image_search.interfaces import ImageStore, VectorArchive
from image_search.services.collections import Collections, remove_gone
from image_search.services.gate import PictureLocks
from image_search.services.preparing import THUMBNAIL_TYPE
from image_search.services.progress import Progress, ProgressListener, no_progress
from image_search.storage.keys import ORIGINALS, THUMBNAILS, TRASH, VECTORS, in_trash, is_key, trash_key, vector_key
from image_search.types import CollectionSpec, Failure, ImageRecord

T = TypeVar("T")

BATCH = 512
LOCKED_AT_ONCE = 32
"""Pictures whose files are moved one after the other under their locks: others wait for these meanwhile."""
_PAUSES_S = (1.0, 2.0, 4.0)
OBJECTS_AT_ONCE = 8
"""An S3 server answers a small object in some milliseconds, most of them waiting."""


@dataclass(frozen=True)
class Side:
    """The stores of a library."""

    collections: Collections
    images: ImageStore
    archive_for: Callable[[str], VectorArchive]
    locks: PictureLocks


@dataclass(frozen=True, slots=True)
class MigratedCollection:
    """What became of a collection."""

    name: str
    model_id: str
    projection_id: str
    images: int
    """Pictures in the source at the end."""
    there: int
    """Pictures in the target at the end."""
    copied: int
    """Rows written by this run; the others were there."""
    different: int
    """Pictures whose words or place in the trash differ in the target, which was left as it is."""
    deleted: int
    """Pictures in the source's trash."""


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """What a migration did."""

    collections: tuple[MigratedCollection, ...]
    objects: int
    """Originals, thumbnails and raw vectors of the source."""
    objects_copied: int
    objects_missing: int
    """Those that the target has not at the end."""
    failed: tuple[Failure, ...]
    interrupted: bool
    elapsed_s: float

    @property
    def complete(self) -> bool:
        """Whether everything of the source is in the target."""
        return not (
            self.interrupted
            or self.failed
            or self.objects_missing
            or any(c.there + c.different < c.images for c in self.collections)
        )


class _StoppedError(Exception):
    """The caller's `stop` was set."""


class MigrationService:
    """Takes the collections of one side to the other; reads the source, and never changes it."""

    def __init__(self, source: Side, target: Side) -> None:
        self._source, self._target = source, target

    def run(
        self,
        *,
        only: Sequence[str] = (),
        overwrite: bool = False,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> MigrationReport:
        """Take all files and all collections along, or `only` some collections. Setting `stop` ends it between batches.

        A collection that the target shows already gets what it lacks, and keeps what was edited or deleted there;
        `overwrite` brings the source's edits and deletions over it. What is changed in the source meanwhile may be
        missed; a repetition brings it. Others may use the target on this machine meanwhile, but not rebuild it.

        Raises ModelMismatch where the target has a collection of that name and another model or projection; Conflict
        where a collection there is being rebuilt, or came into being meanwhile.
        """
        run = _Run(self._source, self._target, on_progress, stop or threading.Event(), overwrite)
        with self._target.collections.gate.rebuilding():
            return run.report(only)


class _Run:
    def __init__(
        self, source: Side, target: Side, on_progress: ProgressListener, stop: threading.Event, overwrite: bool
    ) -> None:
        self._overwrite = overwrite
        self._source, self._target, self._on_progress, self._stop = source, target, on_progress, stop
        self._started = time.perf_counter()
        self._failed: list[Failure] = []
        self._objects = self._copied = 0

    def report(self, only: Sequence[str]) -> MigrationReport:
        names = list(only) or self._source.collections.names()
        done: list[MigratedCollection] = []
        missing = 0
        interrupted = False
        try:
            for name in names:
                self._check(name)
            for name in names:
                self._take_projection(name)
            for prefix in (ORIGINALS, THUMBNAILS, VECTORS):
                self._take_objects(prefix)
            for name in names:
                self._take_raw_vectors(name)
            done = [self._take_collection(name) for name in names]
            missing = sum(1 for prefix in (ORIGINALS, THUMBNAILS, VECTORS) for _ in self._absent(prefix))
        except _StoppedError:
            interrupted = True
        return MigrationReport(
            collections=tuple(done),
            objects=self._objects,
            objects_copied=self._copied,
            objects_missing=missing,
            failed=tuple(self._failed),
            interrupted=interrupted,
            elapsed_s=round(time.perf_counter() - self._started, 3),
        )

    def _tell(self, stage: str, done: int, total: int | None = None) -> None:
        self._on_progress(Progress(stage, done, total, len(self._failed)))
        if self._stop.is_set():
            raise _StoppedError

    def _check(self, name: str) -> None:
        if not self._target.collections.exists(name):
            return
        ours, theirs = self._source.collections.spec(name), self._target.collections.spec(name)
        if _made_for(ours) != _made_for(theirs):
            raise ModelMismatch(
                f"collection {name!r} of the target holds vectors of {theirs.model_id}, projection "
                f"{theirs.projection_id}; those here are of {ours.model_id}, projection {ours.projection_id}"
            )

    def _take_projection(self, name: str) -> None:
        projection_id = self._source.collections.spec(name).projection_id
        if projection_id != "none":
            artefact = self._source.collections.provider.export_projection(projection_id)
            self._target.collections.provider.import_projection(artefact)

    def _take_objects(self, prefix: str) -> None:
        stage = prefix.rstrip("/")
        done = 0
        absent = self._absent(prefix, counting=True)
        with ThreadPoolExecutor(OBJECTS_AT_ONCE, thread_name_prefix="migrate") as pool:
            while keys := list(islice(absent, BATCH)):
                for failure in pool.map(self._take_object, keys):
                    if failure is None:
                        self._copied += 1
                    else:
                        self._failed.append(failure)
                done += len(keys)
                self._tell(stage, done)

    def _absent(self, prefix: str, *, counting: bool = False) -> Iterator[str]:
        """Keys of the source that the target has not: both are listed in one order, side by side."""
        theirs = self._target.images.iter_keys(prefix)
        there = next(theirs, None)
        for key in self._source.images.iter_keys(prefix):
            if not is_key(key):
                continue
            self._objects += counting
            while there is not None and there < key:
                there = next(theirs, None)
            if there != key:
                yield key

    def _take_object(self, key: str) -> Failure | None:
        try:
            data = self._source.images.get(key)
        except ImageNotFound as error:
            # A reference to a file that has gone, or one that was deleted since it was listed.
            return Failure(key, str(error))
        _patiently(lambda: self._target.images.put(key, data, _content_type(key, data)))
        return None

    def _take_raw_vectors(self, name: str) -> None:
        """What bulk runs kept in files goes beside the pictures: a bucket is all that machines have in common."""
        spec = self._source.collections.spec(name)
        store, target = self._source.collections.store, self._target.images
        kept = set(target.iter_keys(vector_key("0" * 64, spec.model_id).partition("/00/")[0] + "/"))
        done = 0
        for records, raw in self._source.archive_for(spec.model_id).iterate(BATCH):
            ids = [record.image_id for record in records]
            # The archive also has pictures that were deleted since.
            wanted = set(store.get(store.resolve(name), ids))
            wanted |= {i for i in ids if i not in wanted and self._source.images.exists(trash_key(name, i))}
            rows = {vector_key(i, spec.model_id): row for row, i in enumerate(ids) if i in wanted}
            fresh = [key for key in rows if key not in kept]
            vectors = {key: raw[rows[key]].astype(np.float16).tobytes() for key in fresh}

            def put(item: tuple[str, bytes]) -> None:
                _patiently(lambda: target.put(item[0], item[1], _BYTES))

            with ThreadPoolExecutor(OBJECTS_AT_ONCE, thread_name_prefix="migrate") as pool:
                list(pool.map(put, vectors.items()))
            kept.update(fresh)
            self._objects += len(fresh)
            self._copied += len(fresh)
            done += len(ids)
            self._tell("raw vectors", done)

    def _take_collection(self, name: str) -> MigratedCollection:
        source, target = self._source.collections, self._target.collections
        spec = source.spec(name)
        exists = target.exists(name)
        physical = target.store.resolve(name) if exists else self._unfinished(name, spec)
        ours = source.store.resolve(name)
        # What people have changed in a collection that is shown there is theirs.
        keeps = exists and not self._overwrite
        total, done, copied, different = source.store.count(ours), 0, 0, 0
        for records, vectors in source.store.iterate(ours, batch_size=BATCH):
            ids = [record.image_id for record in records]
            with self._target.locks.holding(ids):
                known = target.store.get(physical, ids, latest=True)
                rows = [row for row, record in enumerate(records) if known.get(record.image_id) != record]
                if keeps:
                    lacking = [row for row in rows if self._lacks(name, records[row], known)]
                    different += len(rows) - len(lacking)
                    rows = lacking
                if rows:
                    fresh = [records[row] for row in rows]
                    copied += _patiently(lambda f=fresh, v=vectors[rows]: target.store.upsert(physical, f, v))  # type: ignore[misc]
            done += len(records)
            self._tell(f"{name}: rows", done, total)
        deleted, kept = self._take_trash(name, ours, physical, keeps=keeps)
        target.store.build_index(physical)
        if not exists:
            # Rows that an interrupted run brought and that left the source since, also for good.
            remove_gone(target.store, physical, source.store, ours)
            self._show(name, physical)
        return MigratedCollection(
            name=name,
            model_id=spec.model_id,
            projection_id=spec.projection_id,
            images=source.store.count(ours),
            there=target.store.count(physical),
            copied=copied,
            different=different + kept,
            deleted=deleted,
        )

    def _show(self, name: str, physical: str) -> None:
        store = self._target.collections.store
        try:
            store.point(name, physical, new=True)
        except CollectionExists as error:
            store.drop_collection(physical)
            # Where the other one was made for something else, trying again would not help.
            self._check(name)
            raise Conflict(
                f"collection {name!r} came into being in the target meanwhile; start the same command again: that "
                "brings what it lacks"
            ) from error

    def _lacks(self, name: str, record: ImageRecord, known: Mapping[str, ImageRecord]) -> bool:
        """Whether the target's collection neither shows the picture nor has it in its trash."""
        return record.image_id not in known and not self._target.images.exists(trash_key(name, record.image_id))

    def _unfinished(self, name: str, spec: CollectionSpec) -> str:
        """The collection that an interrupted run has begun to fill, else a new one; nobody sees it yet."""
        target = self._target.collections
        for physical in target.leftovers(name):
            if _made_for(target.store.describe_collection(physical)) == _made_for(spec):
                return physical
        return target.create_beside(name, replace(spec, index=target.default_index()))

    def _take_trash(self, name: str, ours: str, physical: str, *, keeps: bool) -> tuple[int, int]:
        """Entries of deleted pictures: how many, and how many of them were left as the target `keeps` them.

        Else what was deleted after an earlier run had brought it leaves the target.
        """
        store, target = self._source.collections.store, self._target.collections.store
        keys = (key for key in self._source.images.iter_keys(f"{TRASH}{name}/") if is_key(key))
        taken = kept = 0
        for batch in _batches(keys, LOCKED_AT_ONCE):
            ids = [in_trash(key)[1] for key in batch]
            with self._target.locks.holding(ids):
                there = target.get(physical, ids, latest=True) if keeps else {}
                kept += len(there)
                for key, image_id in zip(batch, ids, strict=True):
                    if image_id in there:
                        continue
                    failure = self._take_object(key)
                    if failure is not None:
                        self._failed.append(failure)
                shown = store.get(ours, ids)
                target.delete(physical, [i for i in ids if i not in shown and i not in there])
            taken += len(ids)
            self._tell(f"{name}: deleted pictures", taken)
        return taken, kept


_BYTES = "application/octet-stream"


def _patiently(action: Callable[[], T]) -> T:
    """What the action returns; it is tried again where a store says that this may help."""
    for pause_s in _PAUSES_S:
        try:
            return action()
        except BackendError as error:
            if not error.retryable:
                raise
            time.sleep(pause_s)
    return action()


def _made_for(spec: CollectionSpec) -> tuple[str, str, int]:
    return spec.model_id, spec.projection_id, spec.dim


def _content_type(key: str, data: bytes) -> str:
    if key.startswith(THUMBNAILS):
        return THUMBNAIL_TYPE
    if key.startswith(TRASH):
        return "application/json"
    return (sniff_content_type(data[:SNIFF_BYTES]) if key.startswith(ORIGINALS) else None) or _BYTES


def _batches(keys: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, size)):
        yield batch
