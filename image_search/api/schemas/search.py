"""POST /search: what is asked and what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from image_search.api.schemas.base import Answer, CollectionName, ImageId, Part, Picture, Request, with_old_key
from image_search.api.schemas.images import Described
from image_search.ranking import MAX_TOP_K, MAX_WINDOW

Probe = Annotated[int, Field(ge=1, le=32_768)]


class SearchParams(Request):
    """A search, without its picture."""

    collection: CollectionName | None = None
    image_id: ImageId | None = None
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] | None = Field(None, description="Hits on a page; 10 by default.")
    offset: Annotated[int, Field(ge=0, lt=MAX_WINDOW)] | None = Field(
        None, description=f"Hits before this page; offset + top_k is at most {MAX_WINDOW}."
    )
    min_score: Annotated[float, Field(ge=-1, le=1)] | None = Field(None, description="Least `scores.image` of a hit.")
    ef: Probe | None = Field(None, description="HNSW: size of the candidate list.")
    nprobe: Probe | None = Field(None, description="IVF: clusters visited.")


class SearchRequest(SearchParams):
    """A search: exactly one picture input."""

    model_config = ConfigDict(json_schema_extra=with_old_key)

    image: Picture | None = None


class Scores(Part):
    """Both scores of a hit."""

    image: float | None = Field(description="Cosine similarity; null where the picture had no part in it.")
    text: float | None = Field(description="BM25; null where words had no part in it.")


class Hit(Described):
    """One result."""

    rank: int = Field(ge=1, description="1 = best, counted over all pages.")
    score: float = Field(description="What it is ranked by.")
    scores: Scores
    found_by: list[Literal["image", "text"]]
    match: Literal["identical", "near_duplicate", "similar"]


class QueryShown(Part):
    """What was asked."""

    id: str | None
    image_id: str | None
    width: int | None
    height: int | None


class Model(Part):
    """The model that a collection belongs to."""

    name: str
    dim: int
    metric: Literal["cosine"]
    projection: str


class Page(Part):
    """Which part of the answer this is."""

    offset: int
    top_k: int
    returned: int
    has_more: bool


class Timing(Part):
    """Milliseconds that each step took."""

    fetch: float
    decode: float
    embed: float
    search: float
    total: float


class SearchAnswer(Answer):
    """What was found. `image1` ... `image5`, `embedding_time`, `search_time` are for clients of the older interface."""

    collection: str
    query: QueryShown
    model: Model
    results: list[Hit]
    page: Page
    timing_ms: Timing
    image1: str = ""
    image2: str = ""
    image3: str = ""
    image4: str = ""
    image5: str = ""
    embedding_time: float
    search_time: float
