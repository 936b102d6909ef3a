"""POST /search: what is asked and what is answered."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, SkipValidation

from image_search.api.schemas.base import Answer, Part, Request, with_old_key
from image_search.api.schemas.images import Described
from image_search.api.schemas.problem import Problem
from image_search.api.schemas.values import (
    MAX_TOKEN_CHARACTERS,
    CollectionName,
    FilterObject,
    ImageId,
    ImageUrl,
    ListedId,
    LongText,
    Picture,
)
from image_search.ranking import MAX_TOP_K, MAX_WINDOW, Collapse
from image_search.services.searching.query import MAX_NEGATIVES

MAX_QUERIES = 32
Probe = Annotated[int, Field(ge=1, le=32_768)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Crop(Request):
    """A region of the upright picture, as fractions of its width and height; left < right, top < bottom."""

    left: Fraction = 0.0
    top: Fraction = 0.0
    right: Fraction = 1.0
    bottom: Fraction = 1.0


class Weights(Request):
    """How much the two normalised scores count; not both 0."""

    image: Annotated[float, Field(ge=0, lt=1e6)] = 1.0
    text: Annotated[float, Field(ge=0, lt=1e6)] = 1.0


class SearchParams(Request):
    """A search, without its picture: exactly one of the picture inputs, or words, or both."""

    collection: CollectionName | None = None
    image_url: ImageUrl | None = None
    image_id: ImageId | None = None
    query_id: Annotated[str, Field(max_length=MAX_TOKEN_CHARACTERS)] | None = Field(
        None, description="`query.id` of an earlier answer, good for an hour: its picture again."
    )
    text: LongText | None = Field(None, description="Words that are searched for in title, tags and text.")
    text_of: ImageId | None = Field(None, description="A stored picture whose own words are searched for.")
    weights: Weights | None = None
    negative_ids: Annotated[list[ListedId], Field(max_length=MAX_NEGATIVES)] | None = Field(
        None, description="Stored pictures that hits should be unlike: q - 0.5 * mean(negatives) is searched for."
    )
    crop: Crop | None = Field(None, description="Needs the picture itself, as image or image_url.")
    filter: FilterObject | None = None
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] | None = Field(None, description="Hits on a page; 10 by default.")
    offset: Annotated[int, Field(ge=0, lt=MAX_WINDOW)] | None = Field(
        None, description=f"Hits before this page; offset + top_k is at most {MAX_WINDOW}."
    )
    min_score: Annotated[float, Field(ge=-1, le=1)] | None = Field(None, description="Least `scores.image` of a hit.")
    collapse: Collapse | None = Field(None, description="Which doubles stand behind one hit; none by default.")
    ef: Probe | None = Field(None, description="HNSW: size of the candidate list.")
    nprobe: Probe | None = Field(None, description="IVF: clusters visited.")


class SearchRequest(SearchParams):
    """A search: exactly one picture input, or words, or both."""

    model_config = ConfigDict(json_schema_extra=with_old_key)

    image: Picture | None = None


class SearchBatch(Request):
    """Several searches, each checked and answered for itself."""

    collection: CollectionName | None = None
    queries: Annotated[list[Annotated[SearchRequest, SkipValidation]], Field(min_length=1, max_length=MAX_QUERIES)]


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
    low_detail: bool = Field(description="Nearly uniform: ranked after those that are not.")
    collapsed: list[str] = Field(description="Ids of doubles that stand behind this one.")


class QueryShown(Part):
    """What was asked."""

    id: str | None = Field(description="For `query_id` of further searches; null where there was no picture.")
    image_id: str | None = Field(description="SHA-256 of the query picture; null of a region.")
    width: int | None
    height: int | None
    text: str


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
    cut_off: float | None = Field(description="Cosine below which nothing is close; null where it was not measured.")
    nothing_close: bool | None = Field(description="Whether nothing passed it; null where that is not known.")
    timing_ms: Timing
    image1: str = ""
    image2: str = ""
    image3: str = ""
    image4: str = ""
    image5: str = ""
    embedding_time: float
    search_time: float


class BatchAnswer(Part):
    """An answer or a problem for each query, in their order; `ok` where none is a problem."""

    ok: bool
    results: list[SearchAnswer | Problem]
