"""The seams of the product. Each Protocol states its contract; `tests/contract` holds every implementation to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from image_search.filters import Filter
from image_search.types import CollectionSpec, ImageRecord, SearchHit, SearchParams, ShardInfo

FloatArray: TypeAlias = NDArray[np.float32]
VectorBatch: TypeAlias = tuple[Sequence[ImageRecord], FloatArray]
"""n records and their (n, dim) vectors."""
Device: TypeAlias = Literal["auto", "cpu", "cuda"]
"""Where a network is wanted to run; auto = on a graphics card where one can be used."""
OriginalsMode: TypeAlias = Literal["copy", "hardlink", "reference"]
Keeping: TypeAlias = Literal["kept", "reference", "missing"]
"""Of an original beside a file: kept without it; only a reference to this very file; not there (any more)."""


@runtime_checkable
class Embedder(Protocol):
    """Pictures in, unit vectors out. Safe to call from several threads.

    The steps are also callable one by one, because a bulk run prepares pictures in several threads and
    keeps the raw vectors: `embed(x) == project(embed_raw(preprocess(x)))`.
    """

    @property
    def model_id(self) -> str:
        """name@first 12 of sha256(file): written into every collection and dataset file, compared before use."""
        ...

    @property
    def projection_id(self) -> str:
        """Id of the fitted projection, "none" without one."""
        ...

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        ...

    @property
    def raw_dim(self) -> int:
        """Length of the network's own output."""
        ...

    @property
    def shortest_px(self) -> int:
        """Shortest edge a picture is resized to: a decoder need not deliver much more."""
        ...

    def preprocess(self, images: Sequence[Image]) -> FloatArray:
        """(n, 3, H, W) network input of n RGB pictures."""
        ...

    def embed_raw(self, tensors: FloatArray) -> FloatArray:
        """(n, raw_dim) output of the network for (n, 3, H, W) input. Raises EmbedderError."""
        ...

    def project(self, raw: FloatArray) -> FloatArray:
        """(n, dim) unit rows made of (n, raw_dim) raw vectors."""
        ...

    def embed(self, images: Sequence[Image]) -> FloatArray:
        """(n, dim) unit rows, in input order. A batch equals its pictures one by one (atol 1e-5)."""
        ...


@runtime_checkable
class EmbedderProvider(Protocol):
    """The embedders of a model: of the one that a new library takes, and by way of it those that libraries were
    built with. Safe to call from several threads."""

    @property
    def is_auto(self) -> bool:
        """Whether each library's own model is used; else one is configured by name, for all."""
        ...

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """What networks run on. Raises ConfigError where that was configured and cannot be."""
        ...

    @property
    def model_id(self) -> str:
        """Id of the model; does not load it."""
        ...

    def for_model(self, model_id: str) -> EmbedderProvider:
        """The embedders of the model with this id, to which a library belongs.

        Raises ModelMismatch where another one is configured by name, EmbedderError where its file is not here.
        """
        ...

    def get(self, projection_id: str) -> Embedder:
        """The model with a saved projection, or with "none". Raises EmbedderError, ModelMismatch."""
        ...

    def fit_pca(self, batches: Iterable[FloatArray], dim: int) -> str:
        """Fit a PCA on batches of raw vectors, save it, return its projection_id. Raises InvalidParameter."""
        ...

    def make_random(self, dim: int) -> str:
        """Make and save a random projection, return its projection_id."""
        ...

    def export_projection(self, projection_id: str) -> bytes:
        """The artefact as a file's bytes."""
        ...

    def import_projection(self, data: bytes) -> str:
        """Save an artefact from a file's bytes, return its projection_id."""
        ...


@runtime_checkable
class VectorArchive(Protocol):
    """Raw vectors of bulk runs of one model, so that a new index or projection needs no new embedding."""

    def append(self, records: Sequence[ImageRecord], raw: FloatArray) -> None:
        """Keep (n, raw_dim) raw vectors, all or none. Raises ImageStoreError."""
        ...

    def iterate(
        self, batch_size: int = 1024, *, since_s: float = 0.0
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every kept vector in batches, also of pictures deleted since; one may come twice.

        With `since_s` (Unix time) at least those that were kept since then.
        """
        ...

    def compact(self) -> None:
        """Join small files into larger ones; loses nothing when it is stopped."""
        ...

    def adopt(self, path: Path) -> None:
        """Take over a shard file of raw vectors. Raises ImageStoreError."""
        ...

    def has_adopted(self, stem: str) -> bool:
        """Whether a shard file of that name (without its suffix) was taken over."""
        ...


class ShardFiles(Protocol):
    """Reader and writer of dataset shards; `datasets.hdf5` is one."""

    def write_vector_shard(
        self, path: Path, info: ShardInfo, batches: Iterable[VectorBatch], *, projection: bytes = b""
    ) -> int:
        """Write batches of records and their vectors, whole or not at all; returns the number of rows."""
        ...

    def read_projection(self, path: Path) -> bytes:
        """The projection that a shard of projected vectors carries, b"" where it has none."""
        ...

    def describe_vector_shard(self, path: Path) -> ShardInfo:
        """Model, projection, size. Raises DatasetFormatError."""
        ...

    def check_vector_shard(
        self, path: Path, *, rows: bool = False, give_up: Callable[[], bool] = lambda: False
    ) -> None:
        """Return when a shard that came from elsewhere is sound, with `rows` each row of it. Raises DatasetFormatError.

        Whatever the file is, it neither ends nor fills this process. Returns early where `give_up` says so.
        """
        ...

    def read_vector_shard(self, path: Path, batch_size: int = 1024) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Batches of records and their vectors. Raises DatasetFormatError."""
        ...

    def write_picture_shard(
        self, path: Path, records: Sequence[ImageRecord], pictures: Sequence[bytes], *, shortest_px: int
    ) -> None:
        """Write n records and the bytes of their picture files, whole or not at all."""
        ...

    def read_picture_shard(self, path: Path, batch_size: int = 64) -> Iterator[tuple[list[ImageRecord], list[bytes]]]:
        """Batches of records and the bytes of their picture files. Raises DatasetFormatError."""
        ...


@runtime_checkable
class VectorStore(Protocol):
    """Named collections of records with one embedding each. Safe to call from several threads.

    * A name may be an alias made by `point`; every method but `point` and `drop_collection` resolves it first.
    * What a call wrote, the next call of the same object reads.
    * Raises CollectionNotFound for an unknown name, ModelMismatch for embeddings of another length,
      VectorStoreError where the database fails (`retryable` when it may come back).
    * `where` lets those records through that `filters.matches` does, no more and no fewer; None = all.
    """

    @property
    def supports_text(self) -> bool:
        """Whether collections made here can be searched by words. Raises VectorStoreError."""
        ...

    def create_collection(self, name: str, spec: CollectionSpec) -> None:
        """Make an empty collection. Raises CollectionExists."""
        ...

    def describe_collection(self, name: str) -> CollectionSpec:
        """The spec it was created with."""
        ...

    def list_collections(self) -> list[str]:
        """Names of the collections themselves (no aliases), sorted."""
        ...

    def drop_collection(self, name: str) -> None:
        """Remove a collection and its rows; an absent one is fine. Raises Conflict while an alias points to it."""
        ...

    def point(self, alias: str, name: str, *, new: bool = False) -> None:
        """Let `alias` mean collection `name` from now on in one step; `new`: CollectionExists if it means another."""
        ...

    def resolve(self, name: str) -> str:
        """The collection that an alias points to; a collection's own name is returned as it is."""
        ...

    def aliases(self) -> dict[str, str]:
        """Every alias and its collection."""
        ...

    def upsert(self, name: str, records: Sequence[ImageRecord], embeddings: FloatArray) -> int:
        """Write records with their (n, dim) unit embeddings; rows of the same image_id are replaced.

        Returns n. Of records with one image_id in one call the last wins.
        """
        ...

    def update(self, name: str, records: Sequence[ImageRecord]) -> int:
        """Replace the records' own fields and keep their embeddings; ids that are absent are passed over.

        Returns how many were there.
        """
        ...

    def search(
        self, name: str, queries: FloatArray, params: SearchParams, where: Filter | None = None
    ) -> list[list[SearchHit]]:
        """For each of (n, dim) unit queries its hits from rank `offset` on, nearest first, ties by image_id.

        At most top_k hits a query; only those of at least `min_score` where that is set.
        """
        ...

    def search_text(self, name: str, text: str, params: SearchParams, where: Filter | None = None) -> list[SearchHit]:
        """Records that have a word of `text` in title, tags or text, by BM25, from rank `offset` on, ties by image_id.

        Upper and lower case, accents and (not in every store) English endings are alike. A text without words,
        or of stop words only, finds nothing. Of the params only `top_k` and `offset` matter. A database may be
        some seconds behind in how rare it takes a word to be, never in what it finds. Raises InvalidParameter
        where the collection cannot be searched by words, and for a text of more than 65,535 bytes.
        """
        ...

    def get(self, name: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, ImageRecord]:
        """The records of those ids that exist.

        `latest`: with all that other processes have written; else what they wrote a few seconds ago may be missing
        where a server stands behind it, for which this is much faster.
        """
        ...

    def get_embeddings(self, name: str, image_ids: Sequence[str], *, latest: bool = False) -> dict[str, FloatArray]:
        """The (dim,) embeddings of those ids that exist; `latest` as for `get`."""
        ...

    def iterate(
        self, name: str, *, batch_size: int = 1000, updated_since_ms: int | None = None, latest: bool = False
    ) -> Iterator[tuple[list[ImageRecord], FloatArray]]:
        """Every row once, in batches of records and their (n, dim) embeddings, in no promised order.

        With `updated_since_ms` (Unix time) only the rows written at or after that moment; `latest` as for `get`.
        """
        ...

    def list_records(
        self, name: str, *, where: Filter | None = None, after: str | None = None, limit: int = 100
    ) -> list[ImageRecord]:
        """The first `limit` records whose id comes after `after`, in order of image_id; fewer = the end.

        With the last id as the next `after` every record is seen once that stays, whatever comes and goes.
        Raises InvalidParameter for `after` (not an id) and `limit` (1 to 16,384).
        """
        ...

    def sample(self, name: str, n: int, where: Filter | None = None) -> list[ImageRecord]:
        """n different records at random, all of them where there are not so many. Cheap in a large library."""
        ...

    def delete(self, name: str, image_ids: Sequence[str]) -> int:
        """Remove those rows, absent ones are fine. Returns how many were there."""
        ...

    def count(self, name: str, where: Filter | None = None, *, latest: bool = False) -> int:
        """Number of rows; `latest` as for `get`."""
        ...

    def build_index(self, name: str) -> None:
        """Return when every row written so far is persisted, indexed as the spec says, and searchable."""
        ...

    def ping(self) -> None:
        """Return when the database answers. Raises VectorStoreError."""
        ...

    def close(self) -> None:
        """Release the connection; calling it again is fine."""
        ...


class PictureFetcher(Protocol):
    """Pictures by their URL. Safe to call from several threads."""

    def fetch(self, url: str, *, within_s: float | None = None) -> bytes:
        """The body behind `url`; `within_s` may shorten the time that the fetcher takes of itself.

        Raises InvalidParameter (not an acceptable address, or fetching is off), ImageTooLarge, UnsupportedFormat,
        BackendError (too many are under way), FetchError with one text for blocked, refused and unreachable.
        """
        ...


class UrlAnswer(Protocol):
    """What came back from an address; its body is read while the connection is open, and once."""

    @property
    def url(self) -> str:
        """Where it came from; of a redirect, where that leads."""
        ...

    @property
    def moved(self) -> bool:
        """It is a redirect that was not followed, and has no body."""
        ...

    @property
    def start(self) -> int:
        """Position of the body's first byte in the whole."""
        ...

    @property
    def total_bytes(self) -> int | None:
        """Size of the whole; None = not told."""
        ...

    @property
    def validator(self) -> str:
        """Stands for this content, so that a later request can go on with it; "" = it cannot."""
        ...

    @property
    def chunks(self) -> Iterator[bytes]:
        """The body as it comes; raises as `UrlOpener.open` does."""
        ...


class UrlOpener(Protocol):
    """Whatever lies behind URLs, as a stream. Safe to call from several threads."""

    def open(
        self, url: str, *, start: int = 0, same_as: str = "", follow: bool = True, within_s: float | None = None
    ) -> AbstractContextManager[UrlAnswer]:
        """The answer of `url`, whose body is read inside the `with`.

        With `start` the server is asked to go on at that byte, and with `same_as` (an earlier answer's validator) only
        if its content is still that one; it may begin at 0 all the same. Without `follow` a redirect is handed back.

        Raises what `PictureFetcher.fetch` does; a FetchError carries reason, status, retry_after_s and admitted_by.
        """
        ...


@runtime_checkable
class ImageStore(Protocol):
    """Bytes under keys made by `storage.keys`. Safe to call from several threads.

    Raises InvalidParameter for a malformed key, ImageStoreError where the storage fails.
    """

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Store all of it or nothing; an existing object is replaced."""
        ...

    def put_file(self, key: str, path: Path, content_type: str, mode: OriginalsMode) -> None:
        """Store the file at `path`: by copy, as a hard link, or as a reference that is followed when read.

        A store that cannot link raises ConfigError for the two other modes; a hard link across file systems
        becomes a copy.
        """
        ...

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises ImageNotFound."""
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object."""
        ...

    def keeping(self, key: str, beside: Path | None) -> Keeping:
        """What is there of an original, and whether it would still be if the file `beside` were removed."""
        ...

    def delete(self, key: str) -> None:
        """Remove the object; an absent one is fine."""
        ...

    def iter_keys(self, prefix: str = "", *, after: str = "") -> Iterator[str]:
        """Keys that begin with `prefix` and come after `after`, sorted; those before are not gone through."""
        ...

    def ping(self) -> None:
        """Return when the storage can be read and written. Raises ImageStoreError."""
        ...


class TextEncoder(Protocol):
    """Texts in, unit vectors out: near ones mean alike. Safe to call from several threads."""

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """(n, dim) unit rows, in input order. Raises EmbedderError."""
        ...


@runtime_checkable
class PictureSigner(Protocol):
    """An ImageStore whose objects can be read by address, without a key of the store."""

    def presigned_url(self, key: str) -> str:
        """An address that reads the object for a while, for whoever has it; asks nobody whether there is one."""
        ...
