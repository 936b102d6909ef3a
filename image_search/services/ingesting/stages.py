"""The way from a folder to vectors in two steps of their own: pictures into shards, vectors into shards.

The third, vectors into a collection, is `IndexingService.add_shards`. Each goes on where it was stopped: a shard is
written whole or not at all, and what is in a shard is not done again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from image_search.errors import DatasetFormatError, InvalidInput
from image_search.fingerprint import content_hash
from image_search.imaging import decode, encode_jpeg, reduce_to_shortest
from image_search.interfaces import Embedder, FloatArray, ImageStore, OriginalsMode, ShardFiles, VectorArchive
from image_search.metadata.table import EMPTY_TABLE, MetadataTable
from image_search.services.ingesting.telling import Teller, Told, broken_once
from image_search.services.objects import store_objects
from image_search.services.preparing import PreparedImage, Preparer
from image_search.services.progress import Progress, ProgressListener, no_progress
from image_search.services.scanning import Candidate, Source, chunked
from image_search.types import Failure, ImageRecord, ShardInfo

REDUCED_SHORTEST_PX = 512
"""Twice what the registered networks look at, so that a later resize still averages."""
REDUCED_QUALITY = 95
SHARD_ROWS = 512
MAX_SHARD_BYTES = 256_000_000


@dataclass(frozen=True, slots=True)
class StageReport:
    """What a stage did; `unchanged` was in a shard before."""

    added: int
    unchanged: int
    failed: tuple[Failure, ...]
    shards: int
    elapsed_s: float
    interrupted: bool = False
    cut: int = 0
    """Pictures whose words were longer than is kept."""
    warnings: tuple[Failure, ...] = ()
    """Sidecars that could not be read."""


@dataclass(frozen=True, slots=True)
class _Staged:
    """A picture for a shard."""

    record: ImageRecord
    picture: bytes
    cut: bool
    told: Told


class StagesService:
    """Stages of a bulk run that write shards."""

    def __init__(
        self,
        images: ImageStore,
        shards: ShardFiles,
        preparer: Preparer,
        *,
        originals: OriginalsMode,
        embedded_words: bool,
        threads: int,
    ) -> None:
        """`originals`: how whole files enter the image store; `embedded_words`: whether the pictures' own are taken."""
        self._images, self._shards, self._preparer, self._threads = images, shards, preparer, threads
        self._mode, self._embedded = originals, embedded_words

    def preprocess(
        self,
        source: Source,
        output: Path,
        *,
        originals: bool = False,
        metadata: MetadataTable = EMPTY_TABLE,
        embedded_words: bool | None = None,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> StageReport:
        """Pictures into shards under `output`, reduced or (`originals`) as they are, and into the image store."""
        started = time.perf_counter()
        source.check()
        known = {
            r.image_id for shard in shard_files(output) for rs, _ in self._shards.read_picture_shard(shard) for r in rs
        }
        teller = Teller(metadata, self._embedded if embedded_words is None else embedded_words)
        added = unchanged = written = cut = 0
        failures: list[Failure] = []
        warnings: dict[str, Failure] = {}
        total = source.count()
        interrupted = False
        with ThreadPoolExecutor(self._threads, thread_name_prefix="preprocess") as pool:
            for chunk in chunked(source.candidates(), SHARD_ROWS, MAX_SHARD_BYTES):
                if stop is not None and stop.is_set():
                    interrupted = True
                    break
                records: list[ImageRecord] = []
                pictures: list[bytes] = []
                results = pool.map(lambda c: self._preprocess_one(c, teller, originals, known), chunk)
                for candidate, result in zip(chunk, results, strict=True):
                    if isinstance(result, str):
                        failures.append(Failure(candidate.source_name, result))
                        continue
                    if result is None or result.record.image_id in known:
                        unchanged += 1
                        continue
                    known.add(result.record.image_id)
                    records.append(result.record)
                    pictures.append(result.picture)
                    cut += result.cut
                    warnings |= broken_once([result.told])
                if records:
                    path = output / f"pictures-{records[0].image_id[:16]}.h5"
                    shortest_px = 0 if originals else REDUCED_SHORTEST_PX
                    self._shards.write_picture_shard(path, records, pictures, shortest_px=shortest_px)
                    written += 1
                added += len(records)
                on_progress(Progress("preprocessing", added + unchanged + len(failures), total, len(failures)))
        elapsed_s = round(time.perf_counter() - started, 3)
        told = tuple(warnings.values())
        return StageReport(added, unchanged, tuple(failures), written, elapsed_s, interrupted, cut, told)

    def _preprocess_one(
        self, candidate: Candidate, teller: Teller, originals: bool, known: set[str]
    ) -> _Staged | str | None:
        """Record and bytes for the shard; None where it is in one; the reason where it is no picture."""
        try:
            data = self._preparer.read(candidate)
            if (image_id := content_hash(data)) in known:
                return None
            told = teller.tell(candidate)
            prepared = self._preparer.prepare(
                data,
                image_id=image_id,
                source_name=candidate.source_name,
                words=told.words,
                embedded=teller.embedded,
                shortest_px=REDUCED_SHORTEST_PX,
            )
        except InvalidInput as error:
            return str(error)
        store_objects(self._images, prepared, data, candidate.path, self._mode)
        return _Staged(prepared.record, data if originals else _reduced(prepared), prepared.cut, told)

    def embed(
        self,
        pictures: Path,
        output: Path,
        embedder: Embedder,
        archive: VectorArchive,
        *,
        batch_size: int,
        on_progress: ProgressListener = no_progress,
        stop: threading.Event | None = None,
    ) -> StageReport:
        """Raw vectors of every picture shard under `pictures` into shards of the same name under `output`.

        A shard whose vectors are there, or were adopted by `archive` since, is not embedded again.
        """
        started = time.perf_counter()
        shards = shard_files(pictures)
        if not shards:
            raise DatasetFormatError(f"{pictures.name!r} holds no picture shards; run `image-search preprocess` first")
        added = unchanged = written = 0
        failures: list[Failure] = []
        info = ShardInfo(embedder.model_id, "none", embedder.raw_dim, 0)
        for number, shard in enumerate(shards):
            if stop is not None and stop.is_set():
                elapsed_s = round(time.perf_counter() - started, 3)
                return StageReport(added, unchanged, tuple(failures), written, elapsed_s, interrupted=True)
            target = output / shard.name.replace("pictures-", "vectors-")
            if target.exists() or archive.has_adopted(target.stem):
                unchanged += sum(len(records) for records, _ in self._shards.read_picture_shard(shard))
            else:
                added += self._shards.write_vector_shard(
                    target, info, self._embed_shard(shard, embedder, batch_size, failures)
                )
                written += 1
            on_progress(Progress("embedding shards", number + 1, len(shards), len(failures)))
        elapsed_s = round(time.perf_counter() - started, 3)
        return StageReport(added, unchanged, tuple(failures), written, elapsed_s)

    def _embed_shard(
        self, shard: Path, embedder: Embedder, batch_size: int, failures: list[Failure]
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        def decoded(data: bytes) -> object:
            try:
                return decode(data, max_pixels=self._preparer.max_pixels, shortest_px=embedder.shortest_px).image
            except InvalidInput as error:
                return str(error)

        with ThreadPoolExecutor(self._threads, thread_name_prefix="embed-decode") as pool:
            for records, files in self._shards.read_picture_shard(shard, batch_size):
                good, images = [], []
                for record, image in zip(records, pool.map(decoded, files), strict=True):
                    if isinstance(image, str):
                        failures.append(Failure(record.source_name, image))
                    else:
                        good.append(record)
                        images.append(image)
                if good:
                    yield good, embedder.embed_raw(embedder.preprocess(images))  # type: ignore[arg-type]


def shard_files(folder: Path) -> list[Path]:
    """The shards in a folder, sorted; none where there is no folder."""
    return sorted(folder.glob("*.h5"))


def _reduced(prepared: PreparedImage) -> bytes:
    return encode_jpeg(reduce_to_shortest(prepared.image, REDUCED_SHORTEST_PX), quality=REDUCED_QUALITY)
