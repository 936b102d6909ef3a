"""build_services(settings) -> Services: the one place that puts stores, networks and services together."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from image_search import adapters
from image_search.config import Settings, parse_index_params
from image_search.errors import ConfigError, ImageStoreError
from image_search.interfaces import (
    EmbedderProvider,
    ImageStore,
    PictureFetcher,
    PictureSigner,
    ShardFiles,
    VectorArchive,
    VectorStore,
)
from image_search.machine import available_cores
from image_search.services.collecting.listed_run import CollectTuning
from image_search.services.collecting.service import CollectingService
from image_search.services.collecting.waiting import Patience
from image_search.services.collections import Collections
from image_search.services.exchanging.features import Features
from image_search.services.exchanging.service import IMPORT, ExchangeService, why_not_again
from image_search.services.exchanging.transfer import TransferService
from image_search.services.gate import PictureLocks, SwitchGate
from image_search.services.indexing import IndexingService
from image_search.services.ingesting.run import IngestTuning
from image_search.services.ingesting.scan_cache import ScanCache
from image_search.services.ingesting.service import IngestService
from image_search.services.ingesting.stages import StagesService
from image_search.services.jobs import DAY_S, JobHandler, JobRunner, JobStore
from image_search.services.library.service import LibraryService
from image_search.services.library.trash import Trash
from image_search.services.measuring.evaluate import EvaluationService
from image_search.services.measuring.quantising import QuantisingService
from image_search.services.migrating import MigrationService, Side
from image_search.services.preparing import Preparer
from image_search.services.raw_vectors import RawVectors
from image_search.services.searching.kept_queries import KeptQueries
from image_search.services.searching.service import SearchService
from image_search.storage.keys import model_slug
from image_search.types import IndexSpec, Job

_BATCH_SIZES: Mapping[str, int] = {"cpu": 16, "cuda": 64}
_CARD_THREADS = 2


@runtime_checkable
class _Announcing(Protocol):
    def announce(self, http: str | None) -> None: ...


@dataclass(frozen=True)
class Services:
    """The services of one library over its stores. Make it after a fork; close it at the end."""

    settings: Settings
    store: VectorStore
    images: ImageStore
    provider: EmbedderProvider
    shards: ShardFiles
    max_pixels: int
    network_threads: int
    """Threads of one run of the network."""

    @cached_property
    def collections(self) -> Collections:
        """Collections by the names that people use."""
        return Collections(
            self.store,
            self.provider,
            projection=self.settings.embedding.projection,
            default_index=self._default_index,
            gate=SwitchGate(self.settings.data_dir / "switch.lock"),
        )

    @cached_property
    def locks(self) -> PictureLocks:
        """Keeps writers of one picture from each other."""
        return PictureLocks(self.settings.data_dir / "locks")

    @cached_property
    def signer(self) -> PictureSigner | None:
        """Who signs the addresses of pictures; None where they lead to this service. Raises ConfigError."""
        if self.settings.storage.image_urls == "proxy":
            return None
        if not isinstance(self.images, PictureSigner):
            raise ConfigError("storage.image_urls = presigned: needs an S3 server, storage.backend = minio")
        return self.images

    @cached_property
    def preparer(self) -> Preparer:
        """Decodes pictures within the limits of this way in."""
        imaging = self.settings.imaging
        return Preparer(imaging.thumbnail_px, self.max_pixels, imaging.max_local_bytes)

    @cached_property
    def ingest(self) -> IngestService:
        """Folders into collections."""
        tuning = IngestTuning(
            threads=self._threads,
            embed_threads=self._embed_threads,
            chunk_size=max(1, self.settings.ingest.chunk_size),
            batch_size=self._batch_size,
            originals=self.settings.ingest.originals,
            embedded_words=self.settings.ingest.embedded_words,
        )
        return IngestService(
            self.collections, self.images, self.archive_for, self._scan_cache, self.preparer, tuning, self.locks
        )

    @cached_property
    def search(self) -> SearchService:
        """Queries."""
        return SearchService(self.collections, self.images, self.preparer, self.fetcher)

    @cached_property
    def kept_queries(self) -> KeptQueries | None:
        """Where the pictures of HTTP searches are kept; None where they are not."""
        return KeptQueries(self.images) if self.settings.http_server.keep_queries else None

    @cached_property
    def fetcher(self) -> PictureFetcher:
        """Pictures by their URL."""
        return adapters.url_fetcher(self.settings)

    @cached_property
    def library(self) -> LibraryService:
        """Single pictures and the status."""
        return LibraryService(
            self.collections,
            self.images,
            self.preparer,
            Trash(self.collections, self.images, self._raw_vectors),
            self.locks,
            keeps_deleted=self.settings.library.trash_days > 0,
        )

    @cached_property
    def indexing(self) -> IndexingService:
        """Rebuilds."""
        return IndexingService(self.collections, self.images, self.archive_for, self.shards, self.preparer, self.locks)

    @cached_property
    def stages(self) -> StagesService:
        """Pictures and vectors into shards."""
        return StagesService(
            self.images,
            self.shards,
            self.preparer,
            originals=self.settings.ingest.originals,
            embedded_words=self.settings.ingest.embedded_words,
            threads=self._threads,
        )

    @cached_property
    def transfer(self) -> TransferService:
        """Collections to and from files."""
        return TransferService(
            self.collections,
            self.images,
            self.shards,
            self.archive_for,
            self.preparer,
            self.locks,
            self.features,
            originals=self.settings.ingest.originals,
            threads=self._threads,
        )

    @cached_property
    def features(self) -> Features:
        """Raw vectors that are there so far."""
        return Features(self.collections, self.shards, self._raw_vectors, self.staged_vectors)

    @cached_property
    def exchange(self) -> ExchangeService:
        """Collections as files that are sent."""
        return ExchangeService(self.transfer, self.shards, self.jobs, self._exchange_folder)

    @property
    def _exchange_folder(self) -> Path:
        return self.settings.data_dir / "exchange"

    @cached_property
    def evaluation(self) -> EvaluationService:
        """Quality on labelled folders."""
        return EvaluationService(
            self.collections,
            self.preparer,
            threads=self._threads,
            embed_threads=self._embed_threads,
            batch_size=self._batch_size,
        )

    @cached_property
    def quantising(self) -> QuantisingService:
        """Pictures to calibrate an int8 network with."""
        return QuantisingService(self.preparer, self._threads)

    @cached_property
    def jobs(self) -> JobStore:
        """Long-running tasks."""
        checks = {IMPORT: lambda job: why_not_again(self._exchange_folder, job)}
        return JobStore(self.settings.data_dir / "jobs.sqlite", retry_checks=checks)

    @cached_property
    def runner(self) -> JobRunner:
        """The thread that works on them; not started."""
        handlers: Mapping[str, JobHandler] = {
            "rebuild": lambda params, on_progress, stop: self.indexing.run_job(params, on_progress, stop),
            IMPORT: lambda params, on_progress, stop: self.exchange.run_job(params, on_progress, stop),
        }
        return JobRunner(self.jobs, handlers, daily=self._tend, on_end=self._job_ended)

    def _job_ended(self, job: Job, problem: Exception | None) -> None:
        if job.kind == IMPORT:
            self.exchange.ended(job, problem)

    @property
    def staged_pictures(self) -> Path:
        """Where `preprocess` leaves its shards."""
        return self.settings.data_dir / "staged" / "pictures"

    def staged_vectors(self, model_id: str) -> Path:
        """Where `embed` leaves the shards of a model."""
        return self.settings.data_dir / "staged" / "vectors" / model_slug(model_id)

    @property
    def batch_size(self) -> int:
        """Pictures in one run of the network."""
        return self._batch_size

    def archive_for(self, model_id: str) -> VectorArchive:
        """The raw vectors that bulk runs of one model kept."""
        return adapters.vector_archive(self.settings.data_dir / "vectors" / model_slug(model_id), model_id)

    def announce(self, address: str) -> None:
        """Let other processes that use this library know where it is served."""
        if isinstance(self.store, _Announcing):
            self.store.announce(address)

    def close(self) -> None:
        """Stop the job runner and release the stores."""
        if "runner" in self.__dict__:
            self.runner.close()
        self.store.close()

    def purge_daily(self) -> int:
        """Empty the trash of what is too old, unless that was done within a day; returns how many pictures left it.

        It reads every entry of every collection's trash: too much for each deletion of a large library.
        """
        try:
            age_s = time.time() - self._purged.stat().st_mtime
        except FileNotFoundError:
            return self._purge(threading.Event())
        return 0 if 0 <= age_s < DAY_S else self._purge(threading.Event())

    def _tend(self, stop: threading.Event) -> None:
        self.exchange.tidy()
        self._purge(stop)

    def _purge(self, stop: threading.Event) -> int:
        purged = self.library.purge(older_than_s=self.settings.library.trash_days * DAY_S, stop=stop)
        if not stop.is_set():
            self._purged.touch()
        return purged

    @property
    def _purged(self) -> Path:
        return self.settings.data_dir / "purged"

    @property
    def _raw_vectors(self) -> RawVectors:
        return RawVectors(self.store, self.images, self.archive_for, self.preparer)

    def _scan_cache(self) -> ScanCache:
        return ScanCache(self.settings.data_dir / "scan.sqlite")

    def _default_index(self) -> IndexSpec:
        milvus = self.settings.milvus
        kind = milvus.index
        if kind == "auto":
            kind = "HNSW" if "://" in self.settings.milvus_uri else "FLAT"
        return IndexSpec(kind, parse_index_params(milvus.index_params))

    @property
    def _embed_threads(self) -> int:
        # A card works on one batch while the next is handed over; more at once take memory and gain nothing.
        most = _CARD_THREADS if self.provider.device == "cuda" else available_cores()
        return max(1, min(most, available_cores() // self.network_threads))

    @property
    def _threads(self) -> int:
        return self.settings.ingest.threads or available_cores()

    @property
    def _batch_size(self) -> int:
        return self.settings.embedding.batch_size or _BATCH_SIZES[self.provider.device]


def make_data_folder(settings: Settings) -> None:
    """Make the library's folder where there is none. Raises ImageStoreError, also where it cannot be written."""
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageStoreError(f"the data folder {str(folder)!r} cannot be made: {error.strerror}") from error
    if "://" not in settings.milvus_uri and not os.access(folder, os.W_OK):
        raise ImageStoreError(
            f"the data folder {str(folder)!r} cannot be written, and an embedded library writes into it also to "
            "search: copy the folder to where it can be written, and name that one (--data-dir)"
        )


def build_services(
    settings: Settings, *, max_pixels: int | None = None, bulk: bool = False, processes: int = 1
) -> Services:
    """Services over the configured stores; connects to nothing and loads nothing yet.

    `max_pixels` = None: the cap for files of the library's owner; the HTTP service passes its own. `bulk`: for many
    pictures, where a network that runs once on each core beats one that shares its work among them. `processes` that do
    the same on this machine share its cores.
    """
    make_data_folder(settings)
    network_threads = settings.embedding.threads or (1 if bulk else max(1, available_cores() // processes))
    images = adapters.image_store(settings)
    return Services(
        settings=settings,
        store=adapters.vector_store(settings),
        images=images,
        provider=adapters.embedder_provider(settings, network_threads, images),
        shards=adapters.shard_files(),
        max_pixels=max_pixels or settings.imaging.max_local_pixels,
        network_threads=network_threads,
    )


def build_collecting(settings: Settings, *, jobs: int | None, per_host: int | None) -> CollectingService:
    """What fetches pictures of the web into folders; needs no library. None = as configured.

    Raises ConfigError where fetching is switched off.
    """
    if settings.url_fetch.mode == "off":
        raise ConfigError("url_fetch.mode is off: fetching pictures by their address is switched off")
    fetch = settings.fetch
    jobs = jobs or max(1, fetch.jobs)
    patience = Patience(
        attempts=max(1, fetch.attempts), backoff_s=max(0.0, fetch.backoff_s), longest_s=max(0.0, fetch.longest_wait_s)
    )
    tuning = CollectTuning(
        jobs, per_host or max(1, fetch.per_host), settings.imaging.max_pixels, patience, settings.url_fetch.rules
    )
    pictures, archives = adapters.collecting_fetchers(settings, at_once=jobs)
    return CollectingService(pictures, archives, tuning, available_cores())


def migration(source: Services, target: Services) -> MigrationService:
    """What takes the library of the one to the stores of the other."""
    sides = (Side(side.collections, side.images, side.archive_for, side.locks) for side in (source, target))
    return MigrationService(*sides)
