"""What a search answers, as plain data for every way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from image_search.names import rfc3339
from image_search.ranking import Found, MatchKind
from image_search.services.searching.query import QueryVector
from image_search.types import CollectionSpec, ImageRecord, SearchParams


@dataclass(frozen=True, slots=True)
class RankedHit:
    """A hit with its place."""

    rank: int
    """1 = best, counted over all pages."""
    hit: Found
    match: MatchKind

    def as_dict(self) -> dict[str, Any]:
        """The result as every way out shows it; only URLs are for the HTTP interface to add."""
        hit = self.hit
        return {
            "id": hit.record.image_id,
            "rank": self.rank,
            "score": round(hit.score, 6),
            "scores": {"image": _rounded(hit.image_score), "text": _rounded(hit.text_score)},
            "found_by": [name for name, found in (("image", hit.by_image), ("text", hit.by_text)) if found],
            "match": self.match,
            "low_detail": hit.record.low_detail,
            "collapsed": list(hit.hidden),
            **describe_record(hit.record),
        }


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Everything that an answer to a query tells."""

    collection: str
    spec: CollectionSpec
    query_vector: QueryVector | None
    """Of the query picture; None where there were only words."""
    query_size_px: tuple[int, int] | None
    text: str
    """The words that were searched for."""
    hits: tuple[RankedHit, ...]
    params: SearchParams
    has_more: bool
    cut_off: float | None
    """Cosine below which nothing is close; None where it was not measured for this model and projection."""
    nothing_close: bool | None
    """Whether the words found nothing, and no picture reaches the cut-off; None where that is not known."""
    timing_ms: Mapping[str, float]
    """fetch, decode, embed, search, total."""

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain data, without the query's token and URLs."""
        width, height = self.query_size_px or (None, None)
        image_id = self.query_vector.image_id if self.query_vector else ""
        return {
            "collection": self.collection,
            "query": {"id": None, "image_id": image_id or None, "width": width, "height": height, "text": self.text},
            "model": describe_model(self.spec),
            "results": [ranked.as_dict() for ranked in self.hits],
            "page": {
                "offset": self.params.offset,
                "top_k": self.params.top_k,
                "returned": len(self.hits),
                "has_more": self.has_more,
            },
            "cut_off": self.cut_off,
            "nothing_close": self.nothing_close,
            "timing_ms": dict(self.timing_ms),
        }


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """Whether a library holds a picture already."""

    image_id: str
    """SHA-256 of the bytes that were asked for."""
    identical: ImageRecord | None
    near_duplicates: tuple[RankedHit, ...]
    """The same picture in other bytes, best first."""


def describe_record(record: ImageRecord) -> dict[str, Any]:
    """What is shown of a record, beside its id."""
    return {
        "title": record.title,
        "tags": list(record.tags),
        "text": record.text,
        "fields": dict(record.fields),
        "width": record.size_px[0],
        "height": record.size_px[1],
        "source_name": record.source_name,
        "sources": list(record.sources),
        "source_url": record.source_url,
        "created_at": rfc3339(record.created_at_s),
    }


def describe_model(spec: CollectionSpec) -> dict[str, Any]:
    """What is shown of the model that a collection belongs to."""
    return {"name": spec.model_id, "dim": spec.dim, "metric": "cosine", "projection": spec.projection_id}


def _rounded(score: float | None) -> float | None:
    return None if score is None else round(score, 6)
