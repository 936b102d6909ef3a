"""POST /insert."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, SkipValidation

from image_search.api.schemas.base import Part, Request, with_old_key
from image_search.api.schemas.images import ImageAnswer
from image_search.api.schemas.problem import Problem
from image_search.api.schemas.values import (
    CollectionName,
    CreatedAt,
    Fields,
    ImageUrl,
    LongText,
    Name,
    Picture,
    Tags,
    Title,
    Url,
)
from image_search.records import OnDuplicate

MAX_ITEMS = 100


class InsertParams(Request):
    """The words of a new picture, and its address where the picture itself is not sent."""

    collection: CollectionName | None = None
    source_name: Name | None = Field(None, description="What its owner calls it; shown, never opened.")
    location: Name | None = Field(
        None,
        description="The same, as the older interface calls it.",
        json_schema_extra={"deprecated": True},
    )
    title: Title | None = None
    tags: Tags | None = None
    text: LongText | None = None
    source_url: Url | None = None
    created_at: CreatedAt | None = None
    image_url: ImageUrl | None = None
    fields: Fields | None = None
    on_duplicate: OnDuplicate | None = Field(
        None, description="What becomes of the words of a picture that is there already; merge by default."
    )


class InsertRequest(InsertParams):
    """A picture and its words."""

    model_config = ConfigDict(json_schema_extra=with_old_key)

    image: Picture | None = None


class InsertBatch(Request):
    """Several pictures, each stored for itself. In a form the pictures are its parts `image`, in the items' order."""

    collection: CollectionName | None = None
    items: Annotated[list[Annotated[InsertRequest, SkipValidation]], Field(min_length=1, max_length=MAX_ITEMS)]


class Inserted(ImageAnswer):
    """What became of it."""

    status: Literal["created", "duplicate"]


class Counts(Part):
    """How many items came to which end."""

    created: int
    duplicate: int
    failed: int


class BatchInserted(Part):
    """What became of each item, in their order; `ok` where none failed."""

    ok: bool
    counts: Counts
    results: list[Inserted | Problem]
