"""Stored pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from image_search.api.schemas.base import Answer, Part, Request
from image_search.api.schemas.values import (
    CollectionName,
    CreatedAt,
    Cursor,
    Fields,
    FilterText,
    ImageUrl,
    ListedId,
    LongText,
    Picture,
    Tags,
    Title,
    Url,
)
from image_search.services.library.service import MAX_PAGE as MAX_LIST
from image_search.services.library.service import MAX_RANDOM


class Words(Part):
    """What is known of a picture."""

    id: str = Field(description="SHA-256 of its bytes.")
    title: str
    tags: list[str]
    text: str
    fields: dict[str, str | int | float | bool | None]
    width: int
    height: int
    source_name: str
    sources: list[str]
    source_url: str
    created_at: str = Field(description="RFC 3339.")


class Described(Words):
    """What is shown of a stored picture."""

    url: str = Field(description="The original; signed, valid for a day at least.")
    thumbnail_url: str


class InCollection(Request):
    """Which collection is meant."""

    collection: CollectionName | None = None


class ListQuery(InCollection):
    """Which pictures, and which page of them."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIST)] | None = Field(None, description="Pictures on a page; 100.")
    cursor: Cursor | None = None
    order: Literal["id", "newest"] | None = Field(
        None, description="id, the default, or the time they were added; a cursor belongs to the order it came with."
    )
    filter: FilterText | None = None


class DeletedQuery(InCollection):
    """Which page of the trash."""

    limit: Annotated[int, Field(ge=1, le=MAX_LIST)] | None = Field(None, description="Pictures on a page; 100.")
    cursor: Cursor | None = None


class RandomQuery(InCollection):
    """How many pictures, and of which."""

    n: Annotated[int, Field(ge=1, le=MAX_RANDOM)] | None = Field(None, description="How many; 1.")
    filter: FilterText | None = None


class DeleteQuery(InCollection):
    """Where, and how thoroughly."""

    permanently: bool | None = Field(None, description="Files and all, also out of the trash; it cannot be undone.")


class Patch(Request):
    """A JSON merge patch (RFC 7396): what is not named stays, null empties, a null of `fields` removes that one."""

    title: Title | None = None
    tags: Tags | None = None
    text: LongText | None = None
    source_url: Url | None = None
    created_at: CreatedAt | None = None
    fields: Fields | None = None


class CheckParams(Request):
    """Pictures that may be there already, by their SHA-256; or the address of one."""

    collection: CollectionName | None = None
    sha256: Annotated[list[ListedId], Field(min_length=1, max_length=1000)] | None = None
    image_url: ImageUrl | None = None


class CheckRequest(CheckParams):
    """Exactly one of: SHA-256 sums, a picture, its address."""

    image: Picture | None = None


class SignedQuery(InCollection):
    """The permission that the URLs in answers carry."""

    sig: str | None = Field(None, description="Signature; without it the user's key is needed, where one is set.")


class ImageAnswer(Answer, Described):
    """A stored picture."""


class Deleted(Answer):
    """How many went."""

    deleted: int


class ImageList(Answer):
    """Some pictures."""

    images: list[Described]
    next: str | None = Field(description="`cursor` of the next page; null at the end.")


class RandomImages(Answer):
    """Pictures at random; all of them where there are not so many."""

    images: list[Described]


class DeletedImage(Words):
    """A picture in the trash."""

    deleted_at: str = Field(description="RFC 3339.")


class DeletedList(Answer):
    """Some pictures of the trash."""

    images: list[DeletedImage]
    next: str | None = Field(description="`cursor` of the next page; null at the end.")


class NearDuplicate(Described):
    """The same picture in other bytes."""

    score: float = Field(description="Cosine similarity.")


class Checked(Part):
    """Whether one picture is there."""

    id: str = Field(description="SHA-256 of its bytes.")
    held: Literal["identical", "near_duplicate", "no"]
    identical: Described | None
    near_duplicates: list[NearDuplicate] | None = Field(description="Best first; null where only the sum was given.")


class CheckAnswer(Answer):
    """What is there already, in the order of the question."""

    results: list[Checked]
