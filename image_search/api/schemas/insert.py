"""POST /insert."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from image_search.api.schemas.base import (
    CollectionName,
    Fields,
    LongText,
    Name,
    Picture,
    Request,
    Tags,
    Title,
    Url,
    with_old_key,
)
from image_search.api.schemas.images import ImageAnswer
from image_search.records import OnDuplicate


class InsertParams(Request):
    """The words of a new picture."""

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
    fields: Fields | None = None
    on_duplicate: OnDuplicate | None = Field(
        None, description="What becomes of the words of a picture that is there already; merge by default."
    )


class InsertRequest(InsertParams):
    """A picture and its words."""

    model_config = ConfigDict(json_schema_extra=with_old_key)

    image: Picture | None = None


class Inserted(ImageAnswer):
    """What became of it."""

    status: Literal["created", "duplicate"]
