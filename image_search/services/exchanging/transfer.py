"""A collection to and from files: HDF5 shards with records and vectors, or a NumPy matrix with a list of files."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from image_search.errors import DatasetFormatError, EmbedderError, InvalidInput, ModelMismatch
from image_search.interfaces import (
    EmbedderProvider,
    FloatArray,
    ImageStore,
    OriginalsMode,
    ShardFiles,
    VectorArchive,
    VectorBatch,
)
from image_search.services.collections import Collections, OpenCollection
from image_search.services.exchanging.arriving import sound_rows
from image_search.services.exchanging.features import Features
from image_search.services.exchanging.finding import PictureFinder
from image_search.services.gate import PictureLocks
from image_search.services.ingesting.stages import shard_files
from image_search.services.objects import store_objects
from image_search.services.preparing import Preparer
from image_search.services.progress import Progress, ProgressListener, no_progress
from image_search.services.scanning import Source
from image_search.storage.keys import original_key
from image_search.types import Failure, ImageRecord, ShardInfo

BATCH = 1024
PICTURES_AT_ONCE = 32
"""Pictures of an import that are in memory together."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written."""

    collection: str
    images: int
    model_id: str
    projection_id: str
    dim: int
    elapsed_s: float
    lost: tuple[Failure, ...] = ()
    """Of an export of features: pictures that no raw vector is kept of."""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What was read."""

    collection: str
    added: int
    unchanged: int
    """Pictures that the collection had."""
    without_picture: int
    """Rows whose picture file is not in the image store: found by searches, shown without a picture."""
    failed: tuple[Failure, ...]
    elapsed_s: float
    interrupted: bool = False
    """Stopped before the end; what is counted is stored."""
    pictures: int = 0
    """Picture files that were found in the folder that was given, and stored."""
    not_found: tuple[Failure, ...] = ()
    """Rows whose picture is not in that folder, and why it was not taken; they are imported all the same."""


class TransferService:
    """Exports and imports collections of one library."""

    def __init__(
        self,
        collections: Collections,
        images: ImageStore,
        shards: ShardFiles,
        archive_for: Callable[[str], VectorArchive],
        preparer: Preparer,
        locks: PictureLocks,
        features: Features,
        *,
        originals: OriginalsMode,
        threads: int,
    ) -> None:
        """`originals`: how whole files enter the image store; `threads`: that look for pictures and decode them."""
        self._mode, self._threads, self._features = originals, threads, features
        self._collections, self._images, self._shards = collections, images, shards
        self._archive_for, self._preparer, self._locks = archive_for, preparer, locks

    def export(self, collection: str, path: Path, *, on_progress: ProgressListener = no_progress) -> ExportReport:
        """Write every record and its embedding into one HDF5 file, with the projection it belongs to."""
        started = time.perf_counter()
        self._check_target(path)
        spec = self._collections.spec(collection)
        store = self._collections.store
        physical = store.resolve(collection)
        total = store.count(physical)

        def batches() -> Iterator[VectorBatch]:
            done = 0
            for records, vectors in store.iterate(physical, batch_size=BATCH):
                yield records, vectors
                done += len(records)
                on_progress(Progress("exporting", done, total))

        projected = spec.projection_id != "none"
        # Needs no model: a library can be taken away from where its model is gone.
        projection = self._collections.provider.export_projection(spec.projection_id) if projected else b""
        info = ShardInfo(spec.model_id, spec.projection_id, spec.dim, total)
        count = self._shards.write_vector_shard(path, info, batches(), projection=projection)
        elapsed_s = round(time.perf_counter() - started, 3)
        return ExportReport(collection, count, spec.model_id, spec.projection_id, spec.dim, elapsed_s)

    def _check_target(self, path: Path) -> None:
        """Raise InvalidInput where there is something else than an export: a slip must not cost a picture."""
        if not path.exists():
            return
        if not path.is_file():
            raise InvalidInput(f"{path.name!r} is no regular file and is not replaced")
        try:
            self._shards.describe_vector_shard(path)
        except DatasetFormatError as error:
            raise InvalidInput(
                f"{path.name!r} is there already and is no export; it is not replaced: take another name"
            ) from error

    def export_features(
        self, collection: str, path: Path, *, on_progress: ProgressListener = no_progress
    ) -> ExportReport:
        """Write the raw vectors that are there so far, and their records, into one HDF5 file; needs no model.

        A bulk run may go on meanwhile, in this process or another: what it commits later is not in the file. Nothing
        is written, and a file that is there stays, where there is no vector yet. Raises InvalidInput.
        """
        started = time.perf_counter()
        self._check_target(path)
        model_id = self._features.model_id(collection)
        total, lost = self._features.count(collection), list[Failure]()
        found = self._features.batches(
            collection, lambda r, why: lost.append(Failure(r.source_name or r.image_id, why))
        )
        first = next(found, None)
        if first is None:
            raise InvalidInput(f"collection {collection!r} has no raw vectors yet; nothing was written")
        dim, done = int(first[1].shape[1]), 0

        def batches() -> Iterator[VectorBatch]:
            nonlocal done
            for records, vectors in chain([first], found):
                yield records, vectors
                done += len(records)
                on_progress(Progress("exporting features", done, max(total, done)))

        count = self._shards.write_vector_shard(path, ShardInfo(model_id, "none", dim, total), batches())
        elapsed_s = round(time.perf_counter() - started, 3)
        return ExportReport(collection, count, model_id, "none", dim, elapsed_s, tuple(lost))

    def import_shards(
        self,
        collection: str,
        path: Path,
        *,
        pictures: Source | None = None,
        checked: bool = False,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> ImportReport:
        """Read an exported file (or a folder of shards) into a collection; makes it as it was where there is none.

        Every row is read once before any is written, unless the caller has `checked` that: a broken one costs half an
        import else.

        Pictures that are not in the image store are looked for in the folder `pictures`, by the names that the records
        give them, and stored where the content is that of the record; also for rows that the collection has already.
        Rows that a collection cannot take are listed and end nothing. Setting `stop` ends it between two batches.

        Raises InvalidInput (no such folder), DatasetFormatError, ModelMismatch where vectors of another model or
        projection would meet.
        """
        started = time.perf_counter()
        finder = PictureFinder(pictures, self._preparer) if pictures else None
        paths, infos, provider = self.check_import(collection, path)
        first = infos[0]
        total = sum(info.count for info in infos)

        def batches() -> Iterator[VectorBatch]:
            for shard in paths:
                for batch in self._shards.read_vector_shard(shard, BATCH):
                    if stop is not None and stop.is_set():
                        return
                    yield batch

        seen = 0
        for records, _ in () if checked else batches():
            seen += len(records)
            on_progress(Progress("checking", seen, total))
        if stop is not None and stop.is_set():
            # Not all rows were looked at: a collection made now might be for a file that is refused.
            return _ended(ImportReport(collection, 0, 0, 0, (), round(time.perf_counter() - started, 3)), total)
        projected = first.projection_id != "none"
        if projected and not self._collections.exists(collection):
            self._bring_projection(provider, paths[0], first.projection_id)
        wanted_dim = provider.get(first.projection_id).dim
        # Before a collection is made: a wrong file must leave none.
        if wrong := [info.dim for info in infos if info.dim != wanted_dim]:
            raise ModelMismatch(f"{path.name}: vectors of {wrong[0]} numbers; the model gives {wanted_dim}")
        if projected:
            self._collections.create_if_absent(
                collection, lambda: self._collections.new_spec(first.projection_id, provider=provider)
            )
        else:
            self._collections.open_or_create(collection, provider)
        # Again: it may have come into being, or been replaced, since it was looked at.
        self._check_same(collection, path.name, first)
        failed: list[Failure] = []
        told = 0

        def tell(progress: Progress) -> None:
            nonlocal told
            on_progress(replace(progress, failures=tuple(failed[told:])))
            told = len(failed)

        report = self._import(
            collection,
            self._sound(batches(), failed, unit=projected),
            total,
            projection_id=first.projection_id,
            started=started,
            failed=failed,
            finder=finder,
            on_progress=tell,
        )
        return _ended(report, total)

    def import_matrix(
        self,
        collection: str,
        matrix: Path,
        files: Source,
        *,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> ImportReport:
        """Read an .npy matrix, (n, raw_dim) raw vectors of the configured model, whose rows are the listed files.

        Setting `stop` ends it between two batches.
        """
        started = time.perf_counter()
        try:
            vectors = np.load(matrix, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DatasetFormatError(f"{matrix.name}: is no NumPy matrix") from error
        files.check()
        candidates = list(files.candidates())
        raw_dim = self._collections.open_or_create(collection).embedder.raw_dim
        if vectors.ndim != 2 or vectors.dtype.kind != "f" or vectors.shape != (len(candidates), raw_dim):
            raise DatasetFormatError(
                f"{matrix.name}: {vectors.shape} {vectors.dtype}; {len(candidates)} files are listed and the model "
                f"gives {raw_dim} numbers, so ({len(candidates)}, {raw_dim}) floating point is expected"
            )
        failed: list[Failure] = []

        def batches() -> Iterator[VectorBatch]:
            for start in range(0, len(candidates), BATCH):
                if stop is not None and stop.is_set():
                    return
                records, rows = [], []
                for row in range(start, min(start + BATCH, len(candidates))):
                    candidate = candidates[row]
                    try:
                        if not np.isfinite(vectors[row]).all() or not np.any(vectors[row]):
                            raise DatasetFormatError(
                                f"row {row} of the matrix is zero or has numbers that are not finite"
                            )
                        data = self._preparer.read(candidate)
                        prepared = self._preparer.prepare(data, source_name=candidate.source_name, shortest_px=256)
                    except InvalidInput as error:
                        failed.append(Failure(candidate.source_name, str(error)))
                        continue
                    store_objects(self._images, prepared, data, candidate.path, self._mode)
                    records.append(prepared.record)
                    rows.append(row)
                yield records, np.asarray(vectors[rows], dtype=np.float32)

        report = self._import(
            collection,
            batches(),
            len(candidates),
            projection_id="none",
            started=started,
            failed=failed,
            on_progress=on_progress,
        )
        return _ended(report, len(candidates))

    def check_import(self, collection: str, path: Path) -> tuple[list[Path], list[ShardInfo], EmbedderProvider]:
        """The shards of an exported file (or a folder), what they say of themselves, and the model they belong to.

        Raises DatasetFormatError; ModelMismatch where that model is not here, or the collection has another one.
        """
        paths = shard_files(path) if path.is_dir() else [path]
        if not paths:
            raise DatasetFormatError(f"{path.name!r} holds no shards (*.h5)")
        infos = [self._shards.describe_vector_shard(p) for p in paths]
        first = infos[0]
        if any((i.model_id, i.projection_id) != (first.model_id, first.projection_id) for i in infos):
            raise DatasetFormatError(f"{path.name!r} holds shards of several models or projections")
        try:
            provider = self._collections.provider.for_model(first.model_id)
        except (ModelMismatch, EmbedderError) as error:
            raise ModelMismatch(
                f"{path.name}: vectors of model {first.model_id} cannot be used here: {error}"
            ) from error
        if self._collections.exists(collection):
            self._check_same(collection, path.name, first)
        return paths, infos, provider

    def _check_same(self, collection: str, name: str, found: ShardInfo) -> None:
        spec = self._collections.spec(collection)
        if spec.model_id != found.model_id:
            raise ModelMismatch(
                f"{name}: vectors of model {found.model_id}; collection {collection!r} holds those of "
                f"{spec.model_id}. Import it into a new collection"
            )
        if found.projection_id not in ("none", spec.projection_id):
            raise ModelMismatch(
                f"{name}: vectors of projection {found.projection_id}; collection {collection!r} has "
                f"{spec.projection_id}. Import it into a new collection"
            )

    def _bring_projection(self, provider: EmbedderProvider, path: Path, projection_id: str) -> None:
        try:
            brought = provider.import_projection(self._shards.read_projection(path))
        except EmbedderError as error:
            raise DatasetFormatError(f"{path.name}: {error}") from error
        if brought != projection_id:
            raise DatasetFormatError(f"{path.name}: carries projection {brought}, and says it is {projection_id}")

    def _sound(self, batches: Iterator[VectorBatch], failed: list[Failure], *, unit: bool) -> Iterator[VectorBatch]:
        """The rows that a collection can take, the others in `failed`."""
        for records, vectors in batches:
            kept, rows, refused = sound_rows(records, vectors, unit=unit)
            failed += refused
            yield kept, rows

    def _import(
        self,
        collection: str,
        batches: Iterator[VectorBatch],
        total: int,
        *,
        projection_id: str,
        started: float,
        failed: list[Failure],
        finder: PictureFinder | None = None,
        on_progress: ProgressListener,
    ) -> ImportReport:
        store = self._collections.store
        archive = self._archive_for(self._collections.spec(collection).model_id)
        added = unchanged = without = pictures = 0
        not_found: list[Failure] = []
        with ThreadPoolExecutor(self._threads, thread_name_prefix="import-pictures") as pool:
            for records, vectors in batches:
                if finder is not None:
                    stored, missed = self._supply(records, finder, pool)
                    pictures += stored
                    not_found += missed
                ids = [record.image_id for record in records]
                with self._locks.holding(ids):
                    known = store.get(store.resolve(collection), ids, latest=True)
                    fresh: dict[str, int] = {
                        r.image_id: row for row, r in enumerate(records) if r.image_id not in known
                    }
                    if fresh:
                        rows = list(fresh.values())
                        self._add(collection, [records[row] for row in rows], vectors[rows], projection_id, archive)
                unchanged += len(records) - len(fresh)
                added += len(fresh)
                without += sum(not self._images.exists(records[row].object_key) for row in fresh.values())
                on_progress(Progress("importing", added + unchanged + len(failed), total, len(failed)))
        store.build_index(store.resolve(collection))
        elapsed_s = round(time.perf_counter() - started, 3)
        return ImportReport(
            collection,
            added,
            unchanged,
            without,
            tuple(failed),
            elapsed_s,
            pictures=pictures,
            not_found=tuple(not_found),
        )

    def _supply(
        self, records: Sequence[ImageRecord], finder: PictureFinder, pool: ThreadPoolExecutor
    ) -> tuple[int, list[Failure]]:
        """Store the pictures that are in the folder and not in the image store; how many, and the others."""
        stored = 0
        missed: list[Failure] = []
        wanted = [r for r in records if not self._images.exists(original_key(r.image_id))]
        for start in range(0, len(wanted), PICTURES_AT_ONCE):
            some = wanted[start : start + PICTURES_AT_ONCE]
            for record, found in zip(some, pool.map(finder.find, some), strict=True):
                if isinstance(found, str):
                    missed.append(Failure(record.source_name or record.image_id, found))
                    continue
                prepared, data, path = found
                store_objects(self._images, prepared, data, path, self._mode)
                stored += 1
        return stored, missed

    def _add(
        self,
        collection: str,
        records: list[ImageRecord],
        vectors: FloatArray,
        projection_id: str,
        archive: VectorArchive,
    ) -> None:
        if projection_id == "none":
            archive.append(records, vectors)

        def write(now: OpenCollection) -> int:
            if projection_id == "none":
                return self._collections.store.upsert(now.physical, records, now.embedder.project(vectors))
            if now.spec.projection_id != projection_id:
                # An index job may have put another collection under this name since the import began.
                raise ModelMismatch(
                    f"collection {collection!r} was given projection {now.spec.projection_id} meanwhile; the file's "
                    f"vectors are of {projection_id}"
                )
            return self._collections.store.upsert(now.physical, records, vectors)

        self._collections.write(collection, write)


def _ended(report: ImportReport, total: int) -> ImportReport:
    """The report of an import of that many rows, which says whether all of them were seen."""
    return replace(report, interrupted=report.added + report.unchanged + len(report.failed) < total)
