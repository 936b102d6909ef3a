"""One bulk ingest: three threads hand chunks on through queues of one: *reading* (with a pool that decodes),
*embedding*, *writing*.

A chunk is committed in this order: raw vectors, originals and thumbnails, rows of the collection, scan cache. Each
step may be repeated without harm, so a run that was killed leaves nothing that the next one does not mend.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from image_search.errors import InvalidInput
from image_search.fingerprint import content_hash
from image_search.interfaces import FloatArray, ImageStore, OriginalsMode, VectorArchive
from image_search.metadata.embedded import embedded_words
from image_search.metadata.words import NO_WORDS, Words, unite
from image_search.records import MAX_SOURCES
from image_search.services.collections import Collections, OpenCollection
from image_search.services.gate import PictureLocks
from image_search.services.ingesting.handover import put, take
from image_search.services.ingesting.scan_cache import ScanCache
from image_search.services.ingesting.telling import Teller, Told, broken_once, named_anew
from image_search.services.objects import store_objects
from image_search.services.preparing import THUMBNAIL_TYPE, Preparer
from image_search.services.progress import Progress, ProgressListener
from image_search.services.raw_vectors import as_kept
from image_search.services.scanning import Candidate, Source, chunked
from image_search.storage.keys import original_key, thumbnail_key
from image_search.types import Failure, ImageRecord, IngestReport

MAX_CHUNK_BYTES = 64_000_000
"""Encoded bytes that one chunk holds in memory; a single larger file makes a chunk of its own."""


MAX_UNMATCHED_NAMES = 20
PREPARE_GROUP = 4
"""Pictures that one decoding thread takes at once: few enough that large ones fit into memory."""

_Fresh: TypeAlias = tuple[Candidate, Told, str, bytes]


@dataclass(frozen=True)
class IngestTuning:
    """Sizes of the pipeline."""

    threads: int
    """Threads that read and decode."""
    embed_threads: int
    """Batches that run through the network at once; more than 1 pays where each run uses one core."""
    chunk_size: int
    batch_size: int
    originals: OriginalsMode
    embedded_words: bool
    """Whether the words in the pictures' own files are taken."""


@dataclass
class _Item:
    """A new picture on its way."""

    candidate: Candidate
    told: Told
    cut: bool
    record: ImageRecord
    content_type: str
    thumbnail: bytes
    tensor: FloatArray
    data: bytes | None
    """The original's bytes where they are to be copied."""


@dataclass
class _Addition:
    """A picture that is known, seen under a name (again)."""

    candidate: Candidate
    told: Told
    image_id: str
    words: Words
    """Those that were told, and the picture's own where it was read again."""


@dataclass
class _Chunk:
    items: list[_Item] = field(default_factory=list)
    additions: list[_Addition] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    warnings: dict[str, Failure] = field(default_factory=dict)
    raw: FloatArray | None = None
    embeddings: FloatArray | None = None

    @property
    def size(self) -> int:
        return len(self.items) + len(self.additions) + len(self.failures)


@dataclass(frozen=True)
class _Added:
    """What additions make of the records that are there."""

    records: list[ImageRecord]
    """Those that change."""
    unchanged: int
    reworded: int
    """Of the unchanged: those that get new words."""
    duplicates: int
    failures: list[Failure]


class IngestRun:
    """The state of one ingest; `execute` may be called once."""

    def __init__(
        self,
        opened: OpenCollection,
        collections: Collections,
        images: ImageStore,
        archive: VectorArchive,
        cache: ScanCache,
        preparer: Preparer,
        tuning: IngestTuning,
        teller: Teller,
        locks: PictureLocks,
        on_progress: ProgressListener,
        stop: threading.Event,
    ) -> None:
        self._opened, self._collections, self._images = opened, collections, images
        self._store = collections.store
        self._archive, self._cache, self._preparer, self._tuning = archive, cache, preparer, tuning
        self._teller, self._locks, self._on_progress, self._stop = teller, locks, on_progress, stop
        self._abort = threading.Event()
        self._errors: list[BaseException] = []
        self._in_flight: set[str] = set()
        self._in_flight_lock = threading.Lock()
        self._added = self._unchanged = self._reworded = self._duplicates = self._cut = 0
        self._failures: list[Failure] = []
        self._warnings: dict[str, Failure] = {}
        self._total: int | None = None

    def execute(self, source: Source) -> IngestReport:
        started = time.perf_counter()
        to_embed: queue.Queue[_Chunk | None] = queue.Queue(maxsize=1)
        to_write: queue.Queue[_Chunk | None] = queue.Queue(maxsize=1)
        stages = [
            threading.Thread(target=self._guard, args=(self._count, source), name="ingest-count"),
            threading.Thread(target=self._guard, args=(self._read, source, to_embed), name="ingest-read"),
            threading.Thread(target=self._guard, args=(self._embed, to_embed, to_write), name="ingest-embed"),
            threading.Thread(target=self._guard, args=(self._write, to_write), name="ingest-write"),
        ]
        try:
            for stage in stages:
                stage.start()
            for stage in stages:
                stage.join()
        except BaseException:
            self._abort.set()
            raise
        finally:
            self._cache.close()
        if self._errors:
            raise self._errors[0]
        interrupted = self._stop.is_set()
        if self._added and not interrupted:
            self._on_progress(Progress("indexing", self._done, self._total, len(self._failures)))
            self._archive.compact()
            self._store.build_index(self._opened.name)
        elapsed_s = time.perf_counter() - started
        # Before the end, the files of the others may be still to come.
        unmet = [] if interrupted else self._teller.unmet
        return IngestReport(
            added=self._added,
            unchanged=self._unchanged,
            duplicates=self._duplicates,
            failed=tuple(self._failures),
            images_per_second=round(self._done / max(elapsed_s, 1e-9), 2),
            elapsed_s=round(elapsed_s, 3),
            collection=self._opened.name,
            model_id=self._opened.spec.model_id,
            interrupted=interrupted,
            cut=self._cut,
            warnings=tuple(self._warnings.values()),
            reworded=self._reworded,
            unmatched=len(unmet),
            unmatched_names=tuple(unmet[:MAX_UNMATCHED_NAMES]),
        )

    @property
    def _done(self) -> int:
        return self._added + self._unchanged + self._duplicates + len(self._failures)

    def _guard(self, stage: Callable[..., None], *arguments: object) -> None:
        try:
            stage(*arguments)
        except BaseException as error:  # noqa: BLE001 - raised again by execute(), on the caller's thread
            self._errors.append(error)
            self._abort.set()

    def _count(self, source: Source) -> None:
        self._total = source.count()

    def _read(self, source: Source, out: queue.Queue[_Chunk | None]) -> None:
        with ThreadPoolExecutor(self._tuning.threads, thread_name_prefix="ingest-decode") as pool:
            for candidates in chunked(source.candidates(), self._tuning.chunk_size, MAX_CHUNK_BYTES):
                if not put(out, self._read_chunk(candidates, pool), give_up=self._stopping):
                    return
        put(out, None, give_up=self._stopping)

    def _read_chunk(self, candidates: list[Candidate], pool: ThreadPoolExecutor) -> _Chunk:
        # Only sidecars are worth a thread: the metadata file is in memory.
        tell = pool.map if any(candidate.sidecars for candidate in candidates) else map
        told = dict(zip(candidates, tell(self._teller.tell, candidates), strict=True))
        chunk = _Chunk(warnings=broken_once(list(told.values())))
        cached = self._cache.find(candidates)
        known = set(self._get(list(cached.values())))
        unread = []
        for candidate in candidates:
            if cached.get(candidate.path, "") in known:
                chunk.additions.append(_addition(candidate, told[candidate], cached[candidate.path]))
            else:
                unread.append(candidate)
        read = list(pool.map(self._read_one, unread))
        # Claimed first, asked for after: what an earlier chunk has claimed it has written before it lets go.
        claimed = {image_id for image_id, _ in read if image_id and self._claim(image_id)}
        known = set(self._get(list(claimed)))
        self._release(list(known))
        fresh: list[_Fresh] = []
        for candidate, (image_id, data) in zip(unread, read, strict=True):
            if isinstance(data, str):
                chunk.failures.append(Failure(candidate.source_name, data))
            elif image_id in known:
                self._restore_objects(candidate, image_id, data)
                own = embedded_words(data) if self._teller.embedded else NO_WORDS
                chunk.additions.append(_addition(candidate, told[candidate], image_id, own))
            elif image_id in claimed:
                claimed.remove(image_id)
                fresh.append((candidate, told[candidate], image_id, data))
            else:
                chunk.additions.append(_addition(candidate, told[candidate], image_id))
        groups = [fresh[start : start + PREPARE_GROUP] for start in range(0, len(fresh), PREPARE_GROUP)]
        broken: dict[str, str] = {}
        for items, failures in pool.map(self._prepare_group, groups):
            chunk.items += items
            broken |= failures
        self._release(list(broken))
        # The same broken bytes under a second name are broken there too.
        chunk.failures += [Failure(c.source_name, broken[i]) for c, _, i, _ in fresh if i in broken]
        chunk.failures += [
            Failure(a.candidate.source_name, broken[a.image_id]) for a in chunk.additions if a.image_id in broken
        ]
        chunk.additions = [a for a in chunk.additions if a.image_id not in broken]
        return chunk

    def _read_one(self, candidate: Candidate) -> tuple[str, bytes | str]:
        """(image_id, bytes), or ("", reason)."""
        try:
            data = self._preparer.read(candidate)
        except InvalidInput as error:
            return "", str(error)
        return content_hash(data), data

    def _prepare_group(self, group: list[_Fresh]) -> tuple[list[_Item], dict[str, str]]:
        """The pictures, and why the others are none, by image_id."""
        embedder = self._opened.embedder
        prepared, failures = [], {}
        for candidate, told, image_id, data in group:
            try:
                done = self._preparer.prepare(
                    data,
                    image_id=image_id,
                    source_name=candidate.source_name,
                    words=told.words,
                    embedded=self._teller.embedded,
                    shortest_px=embedder.shortest_px,
                )
            except InvalidInput as error:
                failures[image_id] = str(error)
                continue
            prepared.append((candidate, told, done, data if self._tuning.originals == "copy" else None))
        if not prepared:
            return [], failures
        tensors = embedder.preprocess([done.image for _, _, done, _ in prepared])
        # The decoded pictures stay behind here: a chunk of large ones would fill the memory.
        items = [
            _Item(candidate, told, done.cut, done.record, done.content_type, done.thumbnail, tensor, kept)
            for (candidate, told, done, kept), tensor in zip(prepared, tensors, strict=True)
        ]
        return items, failures

    def _restore_objects(self, candidate: Candidate, image_id: str, data: bytes) -> None:
        """Bring the files of a picture whose row was imported without them."""
        if self._images.exists(original_key(image_id)):
            return
        prepared = self._preparer.prepare(data, image_id=image_id, shortest_px=self._opened.embedder.shortest_px)
        store_objects(self._images, prepared, data, candidate.path, self._tuning.originals)

    def _claim(self, image_id: str) -> bool:
        """Whether this thread is the first of this run to see the picture."""
        with self._in_flight_lock:
            if image_id in self._in_flight:
                return False
            self._in_flight.add(image_id)
            return True

    def _release(self, image_ids: Sequence[str]) -> None:
        with self._in_flight_lock:
            self._in_flight.difference_update(image_ids)

    def _embed(self, chunks: queue.Queue[_Chunk | None], out: queue.Queue[_Chunk | None]) -> None:
        embedder = self._opened.embedder
        size = self._tuning.batch_size
        with ThreadPoolExecutor(self._tuning.embed_threads, thread_name_prefix="ingest-network") as pool:
            for chunk in take(chunks, give_up=self._stopping):
                if chunk.items:
                    tensors = [item.tensor for item in chunk.items]
                    batches = [np.stack(tensors[start : start + size]) for start in range(0, len(tensors), size)]
                    chunk.raw = as_kept(np.concatenate(list(pool.map(embedder.embed_raw, batches))))
                    chunk.embeddings = embedder.project(chunk.raw)
                if not put(out, chunk, give_up=self._abort.is_set):
                    return
        # Also after a stop: the writer finishes the chunk it has and must learn that no other comes.
        put(out, None, give_up=self._abort.is_set)

    def _write(self, chunks: queue.Queue[_Chunk | None]) -> None:
        for chunk in take(chunks, give_up=self._abort.is_set):
            self._commit(chunk)
            self._on_progress(Progress("ingesting", self._done, self._total, len(self._failures)))

    def _commit(self, chunk: _Chunk) -> None:
        records = [item.record for item in chunk.items]
        known: set[str] = set()
        if chunk.raw is not None:
            self._archive.append(records, chunk.raw)
            # All of a chunk at once: others may write the same pictures, and neither must undo what the other wrote.
            with self._locks.holding([record.image_id for record in records]):
                known = self._collections.write(self._opened.name, lambda now: self._upsert(now, chunk))
        arrived = [_arrived_meanwhile(item) for item in chunk.items if item.record.image_id in known]
        unchanged, duplicates = self._add_sources([*arrived, *chunk.additions])
        self._cache.remember(
            [(item.candidate, item.record.image_id) for item in chunk.items]
            + [(addition.candidate, addition.image_id) for addition in chunk.additions]
        )
        told: list[_Item | _Addition] = [*chunk.items, *chunk.additions]
        self._cache.remember_told(self._opened.name, [(one.candidate, one.told.digest) for one in told])
        self._release([record.image_id for record in records])
        self._added += len(records) - len(known)
        self._unchanged += unchanged
        self._duplicates += duplicates
        self._failures += chunk.failures
        self._cut += sum(item.cut for item in chunk.items) + sum(a.words.cut for a in chunk.additions)
        self._warnings |= chunk.warnings

    def _upsert(self, now: OpenCollection, chunk: _Chunk) -> set[str]:
        """Write the new pictures; the ids of those that came another way since they were looked for, left alone."""
        raw, embeddings = chunk.raw, chunk.embeddings
        if raw is None or embeddings is None:
            return set()
        known = set(self._store.get(now.physical, [item.record.image_id for item in chunk.items], latest=True))
        # Within the gate like the rows, so that no purge of the same pictures finds files without their rows.
        for item in chunk.items:
            if item.record.image_id not in known or not self._images.exists(item.record.object_key):
                self._store_objects(item)
        rows = [row for row, item in enumerate(chunk.items) if item.record.image_id not in known]
        if not rows:
            return known
        if now.spec.projection_id != self._opened.spec.projection_id:
            # The collection was rebuilt with another projection since this run began.
            embeddings = now.embedder.project(raw)
        self._store.upsert(now.physical, [chunk.items[row].record for row in rows], embeddings[rows])
        return known

    def _store_objects(self, item: _Item) -> None:
        record, content_type = item.record, item.content_type
        if item.data is None:
            mode = self._tuning.originals
            self._images.put_file(record.object_key, item.candidate.path, content_type, mode)
        else:
            self._images.put(record.object_key, item.data, content_type)
        self._images.put(thumbnail_key(record.image_id), item.thumbnail, THUMBNAIL_TYPE)

    def _add_sources(self, additions: list[_Addition]) -> tuple[int, int]:
        """Let the records know their further names and words; returns (unchanged, duplicates)."""
        added = self._named_anew(additions)
        if added.records:
            # Merged again: what is changed is mostly nothing, and then a run over a known folder takes no locks.
            with self._locks.holding([addition.image_id for addition in additions]):
                added = self._named_anew(additions, latest=True)
                if records := added.records:
                    self._collections.write(self._opened.name, lambda now: self._store.update(now.physical, records))
        self._failures += added.failures
        self._reworded += added.reworded
        return added.unchanged, added.duplicates

    def _named_anew(self, additions: list[_Addition], *, latest: bool = False) -> _Added:
        records = self._get([addition.image_id for addition in additions], latest=latest)
        before = self._cache.find_told(self._opened.name, [addition.candidate for addition in additions])
        changed: dict[str, ImageRecord] = {}
        failures: list[Failure] = []
        unchanged = reworded = duplicates = 0
        for addition in additions:
            if (old := records.get(addition.image_id)) is None:
                reason = "was deleted from the library while it was ingested again"
                failures.append(Failure(addition.candidate.source_name, reason))
                continue
            name, digest = addition.candidate.source_name, addition.told.digest
            told_before = before.get(addition.candidate.path)
            merged = named_anew(old, name, addition.words, told_before=told_before, told_now=digest)
            # A picture with as many names as are kept takes no other: that is nothing new at the next run either.
            nothing_new = name in old.sources or len(old.sources) >= MAX_SOURCES
            unchanged += nothing_new
            duplicates += not nothing_new
            if merged != old:
                reworded += nothing_new
                records[addition.image_id] = changed[addition.image_id] = merged
        return _Added(list(changed.values()), unchanged, reworded, duplicates, failures)

    def _stopping(self) -> bool:
        return self._stop.is_set() or self._abort.is_set()

    def _get(self, image_ids: list[str], *, latest: bool = False) -> dict[str, ImageRecord]:
        return self._store.get(self._opened.name, image_ids, latest=latest) if image_ids else {}


def _arrived_meanwhile(item: _Item) -> _Addition:
    r = item.record
    return _Addition(
        item.candidate, item.told, r.image_id, Words(r.title, r.tags, r.text, r.source_url, dict(r.fields))
    )


def _addition(candidate: Candidate, told: Told, image_id: str, own: Words = NO_WORDS) -> _Addition:
    return _Addition(candidate, told, image_id, unite(told.words, own))
