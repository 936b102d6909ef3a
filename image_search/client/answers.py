"""What the service answers, as frozen dataclasses with the names of the wire. `.raw` has everything that came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from image_search.client.errors import ApiError
from image_search.client.reading import Answer
from image_search.types import JsonScalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Answer):
    """What is known of a picture."""

    id: str
    """SHA-256 of its bytes."""
    title: str
    tags: tuple[str, ...]
    text: str
    fields: Mapping[str, JsonScalar]
    width: int
    height: int
    source_name: str
    sources: tuple[str, ...]
    source_url: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo(Words):
    """A stored picture."""

    url: str
    """The original; signed, valid for a day at least."""
    thumbnail_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedImage(Words):
    """A picture in the trash."""

    deleted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores(Answer):
    """Both scores of a hit."""

    image: float | None
    """Cosine similarity; None where the picture had no part in it."""
    text: float | None
    """BM25; None where words had no part in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit(ImageInfo):
    """One result of a search."""

    rank: int
    """1 = best, counted over all pages."""
    score: float
    """What it is ranked by."""
    scores: Scores
    found_by: tuple[str, ...]
    """Of "image", "text"."""
    match: str
    """"identical", "near_duplicate" or "similar"."""
    low_detail: bool
    collapsed: tuple[str, ...]
    """Ids of doubles that stand behind this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Answer):
    """What was asked."""

    id: str | None
    """For `query_id` of further searches, good for an hour; None where there was no picture."""
    image_id: str | None
    """SHA-256 of the query picture; None of a region."""
    width: int | None
    height: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Answer):
    """The model that a collection belongs to."""

    name: str
    dim: int
    metric: str
    projection: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionInfo(Answer):
    """A collection."""

    name: str
    images: int
    model: Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Answer):
    """Which part of the results this is."""

    offset: int
    top_k: int
    returned: int
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing(Answer):
    """Milliseconds that each step took."""

    fetch: float
    decode: float
    embed: float
    search: float
    total: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult(Answer):
    """What was found."""

    collection: str
    query: Query
    model: Model
    results: tuple[Hit, ...]
    """Best first."""
    page: Page
    cut_off: float | None
    """Cosine below which nothing is close; None where it was not measured."""
    nothing_close: bool | None
    """Whether nothing passed it; None where that is not known."""
    timing_ms: Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Inserted(ImageInfo):
    """What became of an insert."""

    status: str
    """"created" or "duplicate"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Answer):
    """How many items of a batch came to which end."""

    created: int
    duplicate: int
    failed: int


@dataclass(frozen=True, slots=True)
class BatchInserted:
    """What became of each item, in their order."""

    counts: Counts
    results: tuple[Inserted | ApiError, ...]
    """A problem is here, not raised: the others are stored all the same."""
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class NearDuplicate(ImageInfo):
    """The same picture in other bytes."""

    score: float
    """Cosine similarity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked(Answer):
    """Whether one picture is there."""

    id: str
    """SHA-256 of its bytes."""
    held: str
    """"identical", "near_duplicate" or "no"."""
    identical: ImageInfo | None
    near_duplicates: tuple[NearDuplicate, ...] | None
    """Best first; None where only the SHA-256 was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Answer):
    """A job and how far it is."""

    id: str
    kind: str
    collection: str | None
    """What it works on."""
    state: str
    """"queued", "running", "done", "failed" or "cancelled"."""
    cancel_wanted: bool
    """Told to stop: a running job ends at its next step, or is done before."""
    can_retry: bool
    """Whether `retry_job` takes it."""
    total: int
    done: int
    failed: int
    rate: float
    """Items per second."""
    eta_s: float | None
    """Seconds left; None where that cannot be told."""
    error: str | None
    result: Mapping[str, JsonScalar] | None
    """What it brought: of an import `added`, `unchanged`, `without_picture`, `failed`; None of other kinds."""
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether it is at its end, whichever that is."""
        return self.state not in ("queued", "running")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFailure(Answer):
    """One item that a job could not do."""

    number: int
    item: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Index(Answer):
    """An index and its build parameters."""

    kind: str
    params: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice(Answer):
    """Which model a collection is used with, and why that one."""

    name: str
    why: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Answer):
    """The largest that the service accepts."""

    max_image_bytes: int
    max_request_bytes: int
    max_import_bytes: int
    """Of a file of vectors."""
    max_pixels: int
    max_top_k: int
    max_queries: int
    """Searches of one `search_batch`."""
    max_items: int
    """Pictures of one `insert_batch`."""
    requests_per_minute: int
    """For each key or address, each item of a batch counted; 0 = no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features(Answer):
    """What the service can do."""

    text: bool
    """Search by words."""
    url_fetch: bool
    """Pictures by their URL."""
    keys: Mapping[str, bool]
    """`user`: whether searching needs a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status(Answer):
    """The library, the service and its limits."""

    collection: str
    collections: tuple[str, ...]
    images: int
    model: Model | None
    """None where there are no pictures yet."""
    index: Index | None
    model_choice: ModelChoice
    limits: Limits
    features: Features
    formats: tuple[str, ...]
    version: str
