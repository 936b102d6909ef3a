"""A query is bytes -> decode -> embed -> search; or a stored picture, or words, or a picture and words -> search."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from image_search.errors import InvalidParameter
from image_search.interfaces import ImageStore, PictureFetcher
from image_search.judging import thresholds_for
from image_search.ranking import MAX_TOP_K, MAX_WINDOW, by_image
from image_search.services.collections import Collections, OpenCollection
from image_search.services.preparing import Preparer
from image_search.services.searching.answer import CheckOutcome, RankedHit, SearchAnswer
from image_search.services.searching.query import Query, QueryReader, check_query
from image_search.services.searching.retrieval import Retrieval, match_kind
from image_search.types import SearchParams

MAX_COLLAPSED = 2000
"""offset + top_k at most where doubles are collapsed: each hit is compared with all before it."""
CHECKED_NEIGHBOURS = 50
"""Nearest pictures among which near-duplicates are looked for."""


class SearchService:
    """Searches in the collections of one library. Safe to call from several threads."""

    def __init__(
        self, collections: Collections, images: ImageStore, preparer: Preparer, fetcher: PictureFetcher
    ) -> None:
        self._collections = collections
        self._reader = QueryReader(collections.store, images, preparer, fetcher)
        self._beside = ThreadPoolExecutor(8, thread_name_prefix="search-by-words")

    def search(self, collection: str, query: Query, params: SearchParams) -> SearchAnswer:
        """The pictures nearest to a picture, to words, or to both.

        Raises InvalidParameter, InvalidImage and its siblings, ImageNotFound, CollectionNotFound, ModelMismatch,
        FetchError, and what the stores raise.
        """
        check_query(query)
        check_params(params)
        if query.collapse != "none" and params.offset + params.top_k > MAX_COLLAPSED:
            raise InvalidParameter("offset", f"offset + top_k must be at most {MAX_COLLAPSED} with collapse")
        return self._collections.read(collection, lambda opened: self._search(opened, query, params))

    def check(self, collection: str, image: bytes) -> CheckOutcome:
        """Whether a collection holds this picture already: the same bytes, or the same picture in others.

        Raises what `search` raises.
        """
        return self._collections.read(collection, lambda opened: self._check(opened, image))

    def warm_up(self, collection: str) -> None:
        """Do now what the first search would wait for: load the network, open the collection, run both once."""

        def once(opened: OpenCollection) -> None:
            edge = opened.embedder.shortest_px
            query = opened.embedder.embed([Image.new("RGB", (edge, edge))])
            self._collections.store.search(opened.physical, query, SearchParams(top_k=1))

        self._collections.read(collection, once)

    def _search(self, opened: OpenCollection, query: Query, params: SearchParams) -> SearchAnswer:
        started = time.perf_counter()
        asked = self._reader.read(opened, query)
        if asked.vector is None and params.min_score is not None:
            raise InvalidParameter("min_score", "is about the likeness to a picture, and there is none")
        thresholds = thresholds_for(opened.spec.model_id, opened.spec.projection_id)
        searching = time.perf_counter()
        retrieval = Retrieval(self._collections.store, opened, query, asked, params, thresholds, self._beside)
        found, has_more = retrieval.page()
        matches = retrieval.matches(found)
        ended = time.perf_counter()
        return SearchAnswer(
            collection=opened.name,
            spec=opened.spec,
            query_vector=asked.picture,
            query_size_px=asked.size_px,
            text=asked.text,
            hits=tuple(
                RankedHit(params.offset + place, hit, match)
                for place, (hit, match) in enumerate(zip(found, matches, strict=True), 1)
            ),
            params=params,
            has_more=has_more,
            cut_off=retrieval.cut_off,
            nothing_close=retrieval.nothing_close(found),
            timing_ms={**asked.timing_ms, "search": _ms(ended - searching), "total": _ms(ended - started)},
        )

    def _check(self, opened: OpenCollection, image: bytes) -> CheckOutcome:
        store = self._collections.store
        picture, _ = self._reader.picture(opened, image, None, {})
        (hits,) = store.search(opened.physical, picture.vector.reshape(1, -1), SearchParams(top_k=CHECKED_NEIGHBOURS))
        thresholds = thresholds_for(opened.spec.model_id, opened.spec.projection_id)
        ranked = [
            RankedHit(place, hit, match_kind(picture, hit.record, hit.image_score, thresholds))
            for place, hit in enumerate(by_image(hits), 1)
        ]
        return CheckOutcome(
            picture.image_id,
            store.get(opened.physical, [picture.image_id]).get(picture.image_id),
            tuple(hit for hit in ranked if hit.match == "near_duplicate"),
        )


def check_params(params: SearchParams) -> None:
    """Raises InvalidParameter that names the field and its range."""
    if not 1 <= params.top_k <= MAX_TOP_K:
        raise InvalidParameter("top_k", f"must be from 1 to {MAX_TOP_K}, not {params.top_k}")
    if params.offset < 0 or params.offset + params.top_k > MAX_WINDOW:
        raise InvalidParameter("offset", f"must be from 0 to {MAX_WINDOW} - top_k, not {params.offset}")
    if params.min_score is not None and not -1 <= params.min_score <= 1:
        raise InvalidParameter("min_score", f"must be from -1 to 1, not {params.min_score}")
    for name, value in (("ef", params.ef), ("nprobe", params.nprobe)):
        if value is not None and not 1 <= value <= 32_768:
            raise InvalidParameter(name, f"must be from 1 to 32768, not {value}")


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
