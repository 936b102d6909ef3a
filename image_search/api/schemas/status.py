"""GET /status, /livez, /readyz."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from image_search.api.schemas.base import Answer, Part
from image_search.api.schemas.search import Model


class IndexShown(Part):
    """An index."""

    kind: str
    params: dict[str, int]


class ModelChoice(Part):
    """Which model a collection is used with, and why that one."""

    name: str
    why: Literal["named", "library", "default", "unusable"]
    reason: str


class Stores(Part):
    """Where things are kept."""

    vectors: Literal["milvus", "milvus-lite"]
    images: Literal["local", "minio"]


class Limits(Part):
    """The largest that is accepted."""

    max_image_bytes: int
    max_request_bytes: int
    max_import_bytes: int = Field(description="Of a file of vectors.")
    max_pixels: int
    max_top_k: int
    max_queries: int = Field(description="Searches of one batch.")
    max_items: int = Field(description="Pictures of one batch insert.")
    requests_per_minute: int = Field(description="For each key or address, each item of a batch counted; 0 = no limit.")


class KeysWanted(Part):
    """Which keys there are."""

    user: bool = Field(description="Whether searching needs a key.")
    admin: bool


class Features(Part):
    """What this service can do."""

    text: bool = Field(description="Search by words.")
    url_fetch: bool = Field(description="Pictures by their URL.")
    keys: KeysWanted


class StatusAnswer(Answer):
    """The library, the service and its limits."""

    entities_num: str = Field(description="The number of pictures as a text, for clients of the older interface.")
    cpu: str
    memory: str
    gpu: str
    device: Literal["cpu", "cuda"] = Field(description="What the network runs on.")
    collection: str
    collections: list[str]
    images: int
    model: Model | None
    index: IndexShown | None
    model_choice: ModelChoice
    stores: Stores
    limits: Limits
    features: Features
    formats: list[str]
    version: str
