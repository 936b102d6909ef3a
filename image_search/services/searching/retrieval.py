"""One query's searches in one collection: by picture, by words, by both; ordered, collapsed, paged, judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import cached_property

from image_search.filters import And, Condition, Filter, Not
from image_search.interfaces import FloatArray, VectorStore
from image_search.judging import Thresholds, closest_distance, is_near_duplicate, most_bits, phash_distance
from image_search.ranking import (
    MAX_WINDOW,
    SAME_SCORE,
    Found,
    MatchKind,
    by_image,
    by_text,
    collapse,
    cut_page,
    fuse,
    fused_score,
)
from image_search.services.collections import OpenCollection
from image_search.services.searching.query import Query, QueryVector, Resolved
from image_search.types import ImageRecord, SearchHit, SearchParams

FUSION_WINDOW = 64
"""Hits that each of two fused searches brings at first."""
SAME_PIXELS = 0.9999
"""Cosine of one picture in two files: decoders differ by less."""

_DETAILED = Condition("low_detail", "eq", (False,))
_UNIFORM = Condition("low_detail", "eq", (True,))


class Retrieval:
    """The searches of one query that is resolved."""

    def __init__(
        self,
        store: VectorStore,
        opened: OpenCollection,
        query: Query,
        asked: Resolved,
        params: SearchParams,
        thresholds: Thresholds | None,
        beside: Executor,
    ) -> None:
        """`beside` runs the search by words while the one by picture runs."""
        self._store, self._opened, self._query, self._asked = store, opened, query, asked
        self._params, self._thresholds, self._beside = params, thresholds, beside
        self._where = query.where
        if query.negative_ids:
            # What hits should be unlike is no hit.
            self._where = _and(query.where, Not(Condition("id", "in", tuple(dict.fromkeys(query.negative_ids)))))
        self._details_first = asked.picture is not None and not asked.picture.low_detail

    @property
    def cut_off(self) -> float | None:
        """Cosine below which nothing is close; None where that is not known: for this model, or less the negatives."""
        if self._thresholds is None or self._asked.vector is None or self._query.negative_ids:
            return None
        return self._thresholds.cut_off

    def page(self) -> tuple[list[Found], bool]:
        """The page that is asked for, best first, and whether more come after it."""
        if self._asked.vector is None:
            return self._grown(self._words)
        if self._asked.text:
            return self._grown(self._both)
        if self._query.collapse != "none":
            return self._grown(self._pictures)
        return self._picture_page()

    def nothing_close(self, found: Sequence[Found]) -> bool | None:
        """Whether the first page has nothing that the words found or that reaches the cut-off; None where unknown."""
        if self._params.offset:
            return None
        if not found or any(hit.by_text for hit in found):
            return not found
        cut_off = self.cut_off
        return None if cut_off is None else all((hit.image_score or -1.0) < cut_off for hit in found)

    def matches(self, found: Sequence[Found]) -> list[MatchKind]:
        """What each of the found pictures is to the query picture; `similar` where there is none."""
        picture = self._asked.picture
        if picture is None:
            return ["similar" for _ in found]
        scores: dict[str, float] = {h.record.image_id: h.image_score for h in found if h.image_score is not None}
        if self._query.negative_ids:
            # Their scores are those to another vector than the picture's.
            scores = self._cosines(list(scores), picture.vector)
        return [match_kind(picture, hit.record, scores.get(hit.record.image_id), self._thresholds) for hit in found]

    def _picture_page(self) -> tuple[list[Found], bool]:
        params = self._params
        if params.offset:
            where = _and(self._where, _DETAILED) if self._details_first else self._where
            hits = self._by_picture(params.top_k + 1, where, params.offset)
            if not self._details_first or len(hits) > params.top_k:
                return cut_page(by_image(hits), params.top_k)
        # The detailed ones end on this page, or nothing is before it.
        return cut_page(self._pictures(params.offset + params.top_k + 1), params.top_k, params.offset)

    def _grown(self, first: Callable[[int], list[Found]]) -> tuple[list[Found], bool]:
        """The page of what `first(n)` gives: the first n, fewer where there are no more; doubles collapsed."""
        params = self._params
        n = wanted = params.offset + params.top_k + 1
        while True:
            found = first(n)
            shown = self._collapsed(found)
            if len(shown) >= wanted or len(found) < n or n >= MAX_WINDOW:
                return cut_page(shown, params.top_k, params.offset)
            n = min(2 * n, MAX_WINDOW)

    def _pictures(self, n: int) -> list[Found]:
        return self._details_then_rest(lambda n, where: by_image(self._by_picture(n, where)), n)

    def _words(self, n: int) -> list[Found]:
        return by_text(self._by_words(n, self._where))

    def _both(self, n: int) -> list[Found]:
        return self._details_then_rest(self._fused, n)

    @cached_property
    def _best_bm25(self) -> float:
        """Of all that is searched, detailed or not: one measure for every page."""
        return next((hit.score for hit in self._by_words(1, self._where)), 0.0)

    def _details_then_rest(self, first: Callable[[int, Filter | None], list[Found]], n: int) -> list[Found]:
        """The first n of what `first(n, where)` ranks by score alone; nearly uniform ones after all others."""
        n = min(n, MAX_WINDOW)
        if not self._details_first:
            return first(n, self._where)
        detailed = first(n, _and(self._where, _DETAILED))
        rest = first(n - len(detailed), _and(self._where, _UNIFORM)) if len(detailed) < n else []
        return [*detailed, *rest]

    def _fused(self, n: int, where: Filter | None) -> list[Found]:
        """The n best of both searches, exactly: Fagin's threshold algorithm (Fagin, Lotem & Naor 2001).

        Both bring their best, side by side; what only one of them brought is looked up for the other. No picture that
        neither brought can have more than the two last scores come to: what is above that is final.
        """
        weights, floor = self._query.weights, self._params.min_score
        window = max(FUSION_WINDOW, 2 * n)
        while True:
            window = min(window, MAX_WINDOW)
            words = self._beside.submit(self._by_words, window, where)
            pictures = self._by_picture(window, where)
            texts = words.result()
            cosines = self._cosines(_only(texts, pictures), self._asked.vector)
            bm25 = self._bm25(_only(pictures, texts), where) if len(texts) == window else {}
            found = fuse(
                pictures, texts, weights, cosines=cosines, bm25=bm25, best_bm25=self._best_bm25, cut_off=self.cut_off
            )
            if floor is not None:
                found = [hit for hit in found if hit.image_score is not None and hit.image_score >= floor]
            if len(pictures) < window or window == MAX_WINDOW:
                return found[:n]
            last_words = texts[-1].score if len(texts) == window else 0.0
            bound = fused_score(pictures[-1].score, last_words, self._best_bm25, weights)
            # What comes to 0 is not found: where nothing unseen can come to more, this is all.
            if bound <= 0 or (len(found) >= n and found[n - 1].score > bound + SAME_SCORE):
                return found[:n]
            window *= 4

    def _collapsed(self, found: list[Found]) -> list[Found]:
        kind = self._query.collapse
        if kind == "none":
            return found
        vectors = self._store.get_embeddings(self._opened.physical, [hit.record.image_id for hit in found])

        def alike(one: ImageRecord, other: ImageRecord) -> bool:
            """Of two whose hashes are near enough."""
            if one.image_id not in vectors or other.image_id not in vectors:
                # Deleted since the search.
                return False
            cosine = float(vectors[one.image_id] @ vectors[other.image_id])
            if kind == "identical":
                return cosine >= SAME_PIXELS
            distance = phash_distance(one.phash, other.phash)
            low_detail = one.low_detail or other.low_detail
            return is_near_duplicate(distance, cosine, self._thresholds, low_detail=low_detail)

        return collapse(found, 0 if kind == "identical" else most_bits(self._thresholds), alike)

    def _by_picture(self, top_k: int, where: Filter | None, offset: int = 0) -> list[SearchHit]:
        if self._asked.vector is None:
            return []
        params = replace(self._params, offset=offset, top_k=min(top_k, MAX_WINDOW - offset))
        return self._store.search(self._opened.physical, self._asked.vector, params, where)[0]

    def _by_words(self, top_k: int, where: Filter | None) -> list[SearchHit]:
        params = SearchParams(top_k=min(top_k, MAX_WINDOW))
        return self._store.search_text(self._opened.physical, self._asked.text, params, where)

    def _bm25(self, image_ids: Sequence[str], where: Filter | None) -> dict[str, float]:
        """BM25 of those pictures that have one of the words."""
        if not image_ids:
            return {}
        these = _and(where, Condition("id", "in", tuple(image_ids)))
        return {hit.record.image_id: hit.score for hit in self._by_words(len(image_ids), these)}

    def _cosines(self, image_ids: Sequence[str], vector: FloatArray | None) -> dict[str, float]:
        """Cosines of stored pictures to a (dim,) or (1, dim) vector."""
        if vector is None or not image_ids:
            return {}
        found = self._store.get_embeddings(self._opened.physical, image_ids)
        return {image_id: min(1.0, max(-1.0, float(row @ vector.ravel()))) for image_id, row in found.items()}


def match_kind(
    picture: QueryVector, record: ImageRecord, cosine: float | None, thresholds: Thresholds | None
) -> MatchKind:
    """What a stored picture is to a query picture: the same bytes, the same picture in other bytes, or alike."""
    if picture.image_id == record.image_id:
        return "identical"
    if cosine is None:
        return "similar"
    distance = closest_distance(picture.phashes, record.phash)
    near = is_near_duplicate(distance, cosine, thresholds, low_detail=picture.low_detail or record.low_detail)
    return "near_duplicate" if near else "similar"


def _and(where: Filter | None, more: Filter) -> Filter:
    return more if where is None else And((where, more))


def _only(hits: Sequence[SearchHit], others: Sequence[SearchHit]) -> list[str]:
    """Ids of hits that are not among the others."""
    there = {hit.record.image_id for hit in others}
    return [hit.record.image_id for hit in hits if hit.record.image_id not in there]
