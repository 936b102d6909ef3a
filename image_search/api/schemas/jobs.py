"""POST /indexing and /jobs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from image_search.api.schemas.base import Answer, Part, Request, with_old_key
from image_search.api.schemas.values import CollectionName, Cursor, check_text
from image_search.errors import InvalidParameter
from image_search.names import parse_projection
from image_search.types import IndexKind, JobState

MAX_LIST = 500


def _projection(value: str) -> str:
    check_text(value, 20)
    try:
        parse_projection(value)
    except InvalidParameter as error:
        raise ValueError(error.reason) from None
    return value


class IndexWanted(Request):
    """An index and its build parameters."""

    kind: IndexKind
    params: dict[str, int] = Field(
        default_factory=dict, description="As Milvus names them.", json_schema_extra={"example": {"M": 16}}
    )


class IndexingRequest(Request):
    """A rebuild of a collection's index."""

    model_config = ConfigDict(json_schema_extra=with_old_key)

    collection: CollectionName | None = None
    projection: Annotated[str, AfterValidator(_projection)] | None = Field(
        None,
        description="none, pca:N or random:N; as it is where it is not named.",
        json_schema_extra={"example": "pca:256"},
    )
    index: IndexWanted | None = None


class PageQuery(Request):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIST)] | None = Field(None, description="Items on a page; 100.")
    cursor: Cursor | None = None


class JobShown(Part):
    """A job and how far it is."""

    id: str
    kind: str
    collection: str | None = Field(description="What it works on.")
    state: JobState
    cancel_wanted: bool = Field(description="Told to stop: a running job ends at its next step, or is done before.")
    can_retry: bool = Field(
        description="Whether it can be tried again: it has ended, something is left to do, and what it needs is there."
    )
    total: int
    done: int
    failed: int
    rate: float = Field(description="Items per second.")
    eta_s: float | None = Field(description="Seconds left; null where that cannot be told.")
    error: str | None = Field(description="Why it failed.")
    result: dict[str, str | int | float] | None = Field(
        description="What it brought: of an import collection, added, unchanged, without_picture, failed; else null."
    )
    created_at: str
    started_at: str | None
    finished_at: str | None
    url: str


class JobAnswer(Answer, JobShown):
    """A job."""


class JobStarted(Answer):
    """The job that was begun."""

    job: JobShown


class JobList(Answer):
    """Some jobs, newest first."""

    jobs: list[JobShown]
    next: str | None = Field(description="`cursor` of the next page; null at the end.")


class FailureShown(Part):
    """One item that a job could not do."""

    number: int
    item: str
    reason: str


class FailureList(Answer):
    """Some of a job's failures, in the order in which they were met."""

    failures: list[FailureShown]
    next: str | None = Field(description="`cursor` of the next page; null at the end.")
