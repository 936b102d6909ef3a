"""GET /collections."""

from __future__ import annotations

from image_search.api.schemas.base import Answer, Part
from image_search.api.schemas.search import Model


class CollectionShown(Part):
    """A collection."""

    name: str
    images: int
    model: Model


class CollectionList(Answer):
    """All collections, sorted by name."""

    collections: list[CollectionShown]
