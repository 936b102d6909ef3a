"""Which concrete class stands behind each Protocol, by the settings; imported inside the functions that make them.

So that `--help` and the unit tests load no model and open no database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from image_search.config import Settings
from image_search.errors import ImageNotFound
from image_search.interfaces import (
    EmbedderProvider,
    ImageStore,
    PictureFetcher,
    ShardFiles,
    TextEncoder,
    UrlOpener,
    VectorArchive,
    VectorStore,
)
from image_search.storage.keys import projection_key

_ARCHIVE_S = 24 * 3600.0
"""Longest time for one try at an archive: a day; it goes on where it was."""
_ARCHIVE_BYTES = 10**12


def vector_archive(folder: Path, model_id: str) -> VectorArchive:
    """The raw vectors of one model, kept in shards in a folder."""
    from image_search.datasets.hdf5 import VectorArchive as Hdf5Archive

    return Hdf5Archive(folder, model_id)


def shard_files() -> ShardFiles:
    """Readers and writers of shards."""
    import image_search.datasets.hdf5 as hdf5

    return hdf5


class _Fetcher(PictureFetcher, UrlOpener, Protocol):
    """Whole pictures, and streams."""


def url_fetcher(settings: Settings) -> PictureFetcher:
    """Pictures by their URL."""
    fetch = settings.url_fetch
    # Whatever addresses do, some threads are left for all other requests.
    at_once = max(1, min(fetch.at_once, settings.http_server.threads - 2))
    return _fetcher(settings, read_s=fetch.read_s, total_s=fetch.total_s, at_once=at_once)


def collecting_fetchers(settings: Settings, *, at_once: int) -> tuple[UrlOpener, UrlOpener]:
    """What fetches `at_once` pictures of the web side by side, and what fetches archives."""
    from image_search import __version__

    fetch = settings.fetch
    of_all = partial(
        _fetcher,
        settings,
        read_s=fetch.read_s,
        at_once=at_once,
        user_agent=fetch.user_agent or f"image-search/{__version__}",
    )
    return of_all(total_s=fetch.total_s), of_all(total_s=_ARCHIVE_S, max_bytes=_ARCHIVE_BYTES)


def _fetcher(
    settings: Settings,
    *,
    read_s: float,
    total_s: float,
    at_once: int,
    max_bytes: int | None = None,
    user_agent: str = "image-search",
) -> _Fetcher:
    """Which addresses are admitted is the same for all; `max_bytes` = None: as for a picture."""
    from image_search.fetching import UrlFetcher, UrlPolicy

    allowed = settings.url_fetch
    return UrlFetcher(
        UrlPolicy(
            mode=allowed.mode,
            allow=allowed.allow,
            ports=allowed.ports,
            connect_s=allowed.connect_s,
            read_s=read_s,
            total_s=total_s,
            max_bytes=max_bytes or settings.http_server.max_image_bytes,
            at_once=at_once,
            user_agent=user_agent,
        )
    )


def text_encoder(network: Path, tokenizer: Path | None = None) -> TextEncoder:
    """The sentence encoder in an ONNX file and its tokenizer.json (default: beside it). Raises EmbedderError."""
    from image_search.embedding.sentences import SentenceEncoder

    return SentenceEncoder(network, tokenizer or network.with_name("tokenizer.json"))


def served_at(settings: Settings) -> str | None:
    """Address of the server that serves this library already; None where there is none that is known of."""
    from image_search.vectors.lite_engine import served_at as address_of

    return None if "://" in settings.milvus_uri else address_of(Path(settings.milvus_uri))


def vector_store(settings: Settings) -> VectorStore:
    """Milvus Lite in a file or a Milvus server, by the address; not connected yet."""
    from image_search.vectors.milvus_store import MilvusVectorStore

    milvus = settings.milvus
    return MilvusVectorStore(
        settings.milvus_uri,
        token=milvus.token,
        db_name=milvus.db_name,
        ca_file=milvus.ca_file,
        timeout_s=milvus.timeout_s,
        ef=milvus.ef,
        nprobe=milvus.nprobe,
    )


def embedder_provider(settings: Settings, threads: int, images: ImageStore) -> EmbedderProvider:
    """Networks by their names, with the projections that the library has; `threads` of one run of a network."""
    from image_search.embedding.projection import ProjectionFolder
    from image_search.embedding.provider import ModelProvider

    # A bucket is for several machines: what one of them fits, the others need too.
    shared = _ProjectionBucket(images) if settings.storage.backend == "minio" else None
    return ModelProvider(
        settings.embedding.model,
        cache_dir=settings.model_cache_dir,
        projections=ProjectionFolder(settings.data_dir / "projections", shared),
        threads=threads,
        device=settings.embedding.device,
    )


class _ProjectionBucket:
    """Projections as objects beside the pictures."""

    def __init__(self, images: ImageStore) -> None:
        self._images = images

    def get(self, projection_id: str) -> bytes | None:
        try:
            return self._images.get(projection_key(projection_id))
        except ImageNotFound:
            return None

    def put(self, projection_id: str, data: bytes) -> None:
        self._images.put(projection_key(projection_id), data, "application/octet-stream")


def _local_store(settings: Settings) -> ImageStore:
    from image_search.storage.local_store import LocalImageStore

    return LocalImageStore(settings.data_dir / "images")


def _minio_store(settings: Settings) -> ImageStore:
    from image_search.storage.minio_store import MinioImageStore

    storage = settings.storage
    return MinioImageStore(
        storage.endpoint,
        storage.bucket,
        access_key=storage.access_key,
        secret_key=storage.secret_key,
        region=storage.region,
        secure=storage.secure,
        ca_file=storage.ca_file,
        timeout_s=storage.timeout_s,
        public_endpoint=storage.public_endpoint,
        url_expiry_s=storage.url_expiry_s,
    )


_IMAGE_STORES: Mapping[str, Callable[[Settings], ImageStore]] = {"local": _local_store, "minio": _minio_store}


def image_store(settings: Settings) -> ImageStore:
    """A folder or a bucket, not connected yet."""
    return _IMAGE_STORES[settings.storage.backend](settings)
