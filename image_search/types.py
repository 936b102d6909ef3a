"""Value types that travel between the rooms. They hold data and check nothing: checks live at the doors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

JsonScalar: TypeAlias = str | int | float | bool | None
IndexKind: TypeAlias = Literal[
    "AUTOINDEX", "FLAT", "IVF_FLAT", "IVF_SQ8", "IVF_PQ", "HNSW", "HNSW_SQ", "DISKANN", "SCANN", "IVF_RABITQ"
]

SCHEMA_VERSION = 1
"""Version of the columns of a collection; a store refuses a collection of another version."""

DEFAULT_COLLECTION = "default"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture of a library, without its bytes and without its embedding."""

    image_id: str
    """SHA-256 of the original bytes, 64 lowercase hex digits: the same picture twice is an upsert."""
    object_key: str
    """Key of the original in the bucket; never a path, never a URL."""
    size_px: tuple[int, int]
    """(width, height) of the upright picture."""
    sources: tuple[str, ...] = ()
    """What its owner called it ("n01440764/x.JPEG"): shown to people, never opened. The first is `source_name`."""
    title: str = ""
    tags: tuple[str, ...] = ()
    text: str = ""
    fields: Mapping[str, JsonScalar] = field(default_factory=dict)
    """What else the owner wants kept."""
    phash: int = 0
    """Perceptual hash, an unsigned number of 64 bits."""
    low_detail: bool = False
    created_at_s: int = 0
    """Unix time of the first insert, or what its owner's metadata says instead."""
    source_url: str = ""

    @property
    def source_name(self) -> str:
        """The first of `sources`, or ""."""
        return self.sources[0] if self.sources else ""


@dataclass(frozen=True, slots=True)
class SearchParams:
    """One search's tuning; travels with the request, so nothing shared changes while it runs."""

    top_k: int = 10
    offset: int = 0
    min_score: float | None = None
    ef: int | None = None
    """HNSW: size of the candidate list; None = the store's default."""
    nprobe: int | None = None
    """IVF: clusters visited; None = the store's default."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One answer to a query."""

    record: ImageRecord
    score: float
    """Larger is nearer, for every backend: cosine similarity in [-1, 1], or BM25, above 0, of a search by words."""


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """An index and its build parameters, as Milvus names them (`M`, `efConstruction`, `nlist`, ...)."""

    kind: IndexKind = "FLAT"
    params: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CollectionSpec:
    """What a collection is made for, written into it at birth and compared at every use."""

    model_id: str
    """name@first 12 hex digits of sha256(model file)."""
    dim: int
    """Length of the stored embeddings, after the projection."""
    projection_id: str = "none"
    index: IndexSpec = field(default_factory=IndexSpec)
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """What a shard of vectors says of itself."""

    model_id: str
    projection_id: str
    """"none" = raw vectors."""
    dim: int
    count: int


@dataclass(frozen=True, slots=True)
class Failure:
    """One item of a bulk run that could not be done."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An address of a fetch that the settings do not admit."""

    path: str
    reason: str
    admitted_by: str
    """The entry of url_fetch.allow that would admit it."""


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What a bulk ingest did. Every picture file seen is in exactly one of the first four numbers."""

    added: int
    unchanged: int
    """There before this run."""
    duplicates: int
    """The same bytes under another name: the record's `sources` grew."""
    failed: tuple[Failure, ...]
    images_per_second: float
    elapsed_s: float
    collection: str = DEFAULT_COLLECTION
    model_id: str = ""
    interrupted: bool = False
    """Stopped before the end by a signal; what is counted is stored."""
    cut: int = 0
    """Pictures of this run whose words were longer than is kept: the beginning is."""
    warnings: tuple[Failure, ...] = ()
    """Sidecars that could not be read; their pictures are ingested all the same."""
    reworded: int = 0
    """Of the unchanged: whose title, tags, text or fields were changed by what is said of them now."""
    unmatched: int = 0
    """Entries of the metadata file that name no file of this run."""
    unmatched_names: tuple[str, ...] = ()
    """The first of those."""


@dataclass(frozen=True, slots=True)
class FetchReport:
    """What a fetch from the web did. Every picture of the list is in `refused` or in one of the first six numbers."""

    fetched: int
    """New files."""
    unchanged: int
    """There before this run."""
    duplicates: int
    """Fetched, and the same bytes as another one: one file stands for both."""
    failed: tuple[Failure, ...]
    skipped: int
    """Failed for good in an earlier run, and not tried again."""
    repeated: int
    """Addresses that the list has already."""
    bytes_fetched: int
    elapsed_s: float
    folder: str
    reworded: int = 0
    """Of the unchanged: whose words in the list are others now."""
    interrupted: bool = False
    """Stopped before the end by a signal; what is counted is stored."""
    refused: tuple[Refusal, ...] = ()
    """Not asked for, now or by an earlier run with these settings; others may admit them."""


JobState: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Job:
    """A long-running task and how far it is."""

    job_id: str
    kind: str
    state: JobState
    params: Mapping[str, Any]
    total: int = 0
    done: int = 0
    failed: int = 0
    created_at_s: float = 0.0
    started_at_s: float | None = None
    finished_at_s: float | None = None
    updated_at_s: float = 0.0
    """Last sign of life of the process that runs it."""
    error: str = ""
    """Why it failed, in words for a person; "" while it did not."""
    cancel_wanted: bool = False
    """It was to end while it ran: `cancelled` once it has, `done` where it had done its work by then."""
    result: Mapping[str, Any] | None = None
    """What it brought, where its kind brings anything; None while it is not done."""

    @property
    def rate(self) -> float:
        """Items per second since the start."""
        if self.started_at_s is None:
            return 0.0
        end_s = self.finished_at_s or self.updated_at_s
        return self.done / max(end_s - self.started_at_s, 1e-3)

    @property
    def eta_s(self) -> float | None:
        """Seconds left, or None where that cannot be told yet."""
        if self.state != "running" or not self.rate or not self.total:
            return None
        return max(self.total - self.done, 0) / self.rate
