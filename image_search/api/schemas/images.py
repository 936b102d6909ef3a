"""Stored pictures."""

from __future__ import annotations

from pydantic import Field

from image_search.api.schemas.base import Answer, CollectionName, Part, Request


class Described(Part):
    """What is shown of a stored picture."""

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
    url: str = Field(description="The original; signed, valid for a day at least.")
    thumbnail_url: str


class InCollection(Request):
    """Which collection is meant."""

    collection: CollectionName | None = None


class SignedQuery(InCollection):
    """The permission that the URLs in answers carry."""

    sig: str | None = Field(None, description="Signature; without it the user's key is needed, where one is set.")


class ImageAnswer(Answer, Described):
    """A stored picture."""


class Deleted(Answer):
    """How many went."""

    deleted: int
