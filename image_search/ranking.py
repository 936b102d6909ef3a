"""What a rank means: two searches fused, the order of hits, doubles behind one hit, pages that tell the truth. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from image_search.types import ImageRecord, SearchHit

MatchKind: TypeAlias = Literal["identical", "near_duplicate", "similar"]
Collapse: TypeAlias = Literal["none", "identical", "near_duplicate"]
T = TypeVar("T")

MAX_TOP_K = 1000
MAX_WINDOW = 16_384
"""offset + top_k at most: what Milvus searches in one call."""


@dataclass(frozen=True, slots=True)
class Weights:
    """How much the picture's and the words' normalised scores count; each at least 0, not both 0."""

    image: float = 1.0
    text: float = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """A picture that a query found, with all that is known of how near it is."""

    record: ImageRecord
    score: float
    """What it is ranked by: the cosine, BM25, or both fused into 0 to 1."""
    image_score: float | None = None
    """Cosine to the query picture; None where there is none."""
    text_score: float | None = None
    """BM25; None where none of the words is in it."""
    by_image: bool = False
    by_text: bool = False
    hidden: tuple[str, ...] = ()
    """Ids of doubles that stand behind it."""


def by_image(hits: Iterable[SearchHit]) -> list[Found]:
    """Hits of a search by picture."""
    return [Found(hit.record, hit.score, image_score=hit.score, by_image=True) for hit in hits]


def by_text(hits: Iterable[SearchHit]) -> list[Found]:
    """Hits of a search by words."""
    return [Found(hit.record, hit.score, text_score=hit.score, by_text=True) for hit in hits]


def fuse(
    by_image: Sequence[SearchHit],
    by_text: Sequence[SearchHit],
    weights: Weights,
    *,
    cosines: Mapping[str, float],
    bm25: Mapping[str, float],
    best_bm25: float,
    cut_off: float | None = None,
) -> list[Found]:
    """What one of two searches found or both, best first, ties by id.

    `cosines` are those of pictures that only the words found, `bm25` those of words that only the picture found. A
    cosine counts as it is, those below 0 as 0; BM25, which has no upper end, counts as a part of `best_bm25`, the best
    that the query has anywhere. The fused score is their weighted mean, from 0 to 1; what comes to 0 is not found.
    Where the words found a picture, it counts as found by the picture too only from `cut_off` on.
    """
    image_scores = {**cosines, **{hit.record.image_id: hit.score for hit in by_image}}
    text_scores = {**bm25, **{hit.record.image_id: hit.score for hit in by_text}}
    seen = {hit.record.image_id for hit in by_image}
    found = []
    for image_id, record in {hit.record.image_id: hit.record for hit in (*by_text, *by_image)}.items():
        cosine, words = image_scores.get(image_id), text_scores.get(image_id)
        near = image_id in seen and (words is None or cut_off is None or image_scores[image_id] >= cut_off)
        score = fused_score(cosine or 0.0, words or 0.0, best_bm25, weights)
        if score > 0:
            found.append(Found(record, score, cosine, words, by_image=near, by_text=words is not None))
    return in_order(found)


def fused_score(cosine: float, bm25: float, best_bm25: float, weights: Weights) -> float:
    """The weighted mean of both scores, normalised to 0 to 1; grows with each of them."""
    words = bm25 / best_bm25 if best_bm25 > 0 else 0.0
    return (weights.image * max(cosine, 0.0) + weights.text * words) / (weights.image + weights.text)


def in_order(found: Iterable[Found]) -> list[Found]:
    """Best first, ties by id."""
    return sorted(found, key=lambda f: (-f.score, f.record.image_id))


def collapse(found: Sequence[Found], alike: Callable[[ImageRecord, ImageRecord], bool]) -> list[Found]:
    """Each picture once: one that is alike to a better one stands behind the first of those, which names it."""
    shown: list[tuple[Found, list[str]]] = []
    for candidate in found:
        for first, hidden in shown:
            if alike(first.record, candidate.record):
                hidden.append(candidate.record.image_id)
                break
        else:
            shown.append((candidate, []))
    return [replace(first, hidden=tuple(hidden)) for first, hidden in shown]


def cut_page(found: Sequence[T], top_k: int, offset: int = 0) -> tuple[list[T], bool]:
    """The page from `offset` on, and whether more come after it."""
    return list(found[offset : offset + top_k]), len(found) > offset + top_k
