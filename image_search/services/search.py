"""A query is bytes -> decode -> embed -> search; or the embedding of a stored picture -> search."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image

from image_search.errors import ImageNotFound, InvalidParameter
from image_search.fingerprint import content_hash
from image_search.interfaces import FloatArray
from image_search.ranking import MAX_TOP_K, MAX_WINDOW, MatchKind, cut_page, match_kind
from image_search.services.collections import Collections, OpenCollection
from image_search.services.preparing import Preparer
from image_search.types import CollectionSpec, ImageRecord, SearchHit, SearchParams


@dataclass(frozen=True, slots=True)
class RankedHit:
    """A hit with its place."""

    rank: int
    """1 = nearest, counted over all pages."""
    hit: SearchHit
    match: MatchKind

    def as_dict(self) -> dict[str, Any]:
        """The result as every way out shows it; only URLs are for the HTTP interface to add."""
        record = self.hit.record
        return {
            "id": record.image_id,
            "rank": self.rank,
            "score": round(self.hit.score, 6),
            "scores": {"image": round(self.hit.score, 6), "text": None},
            "found_by": ["image"],
            "match": self.match,
            **describe_record(record),
        }


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """Everything that an answer to a query tells."""

    collection: str
    spec: CollectionSpec
    query_id: str | None
    """image_id of the query picture."""
    query_size_px: tuple[int, int] | None
    hits: tuple[RankedHit, ...]
    params: SearchParams
    has_more: bool
    timing_ms: Mapping[str, float]
    """fetch, decode, embed, search, total."""

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain data, without the query's token and URLs."""
        width, height = self.query_size_px or (None, None)
        return {
            "collection": self.collection,
            "query": {"id": None, "image_id": self.query_id, "width": width, "height": height},
            "model": describe_model(self.spec),
            "results": [ranked.as_dict() for ranked in self.hits],
            "page": {
                "offset": self.params.offset,
                "top_k": self.params.top_k,
                "returned": len(self.hits),
                "has_more": self.has_more,
            },
            "timing_ms": dict(self.timing_ms),
        }


class SearchService:
    """Searches in the collections of one library."""

    def __init__(self, collections: Collections, preparer: Preparer) -> None:
        self._collections, self._preparer = collections, preparer

    def search(
        self, collection: str, params: SearchParams, *, image: bytes | None = None, image_id: str | None = None
    ) -> SearchAnswer:
        """The pictures nearest to exactly one of: the bytes of a picture, the id of a stored one.

        Raises InvalidParameter, InvalidImage and its siblings, ImageNotFound, CollectionNotFound, ModelMismatch.
        """
        check_params(params)
        if (image is None) == (image_id is None):
            raise InvalidParameter("image", "give exactly one picture: image or image_id")
        return self._collections.read(collection, lambda opened: self._search(opened, params, image, image_id))

    def warm_up(self, collection: str) -> None:
        """Do now what the first search would wait for: load the network, open the collection, run both once."""

        def once(opened: OpenCollection) -> None:
            edge = opened.embedder.shortest_px
            query = opened.embedder.embed([Image.new("RGB", (edge, edge))])
            self._collections.store.search(opened.physical, query, SearchParams(top_k=1))

        self._collections.read(collection, once)

    def _search(
        self, opened: OpenCollection, params: SearchParams, image: bytes | None, image_id: str | None
    ) -> SearchAnswer:
        started = time.perf_counter()
        size_px = None
        decoded_at = started
        if image is not None:
            decoded = self._preparer.decode(image, opened.embedder.shortest_px)
            size_px, image_id = decoded.size_px, content_hash(image)
            decoded_at = time.perf_counter()
            query = opened.embedder.embed([decoded.image])
        else:
            query = self._stored(opened, image_id or "")
        embedded_at = time.perf_counter()
        wider = replace(params, top_k=min(params.top_k + 1, MAX_WINDOW - params.offset))
        (found,) = self._collections.store.search(opened.physical, query, wider)
        hits, has_more = cut_page(found, params.top_k)
        ended = time.perf_counter()
        return SearchAnswer(
            collection=opened.name,
            spec=opened.spec,
            query_id=image_id,
            query_size_px=size_px,
            hits=tuple(
                RankedHit(params.offset + place, hit, match_kind(image_id, hit.record.image_id))
                for place, hit in enumerate(hits, 1)
            ),
            params=params,
            has_more=has_more,
            timing_ms={
                "fetch": 0.0,
                "decode": _ms(decoded_at - started),
                "embed": _ms(embedded_at - decoded_at),
                "search": _ms(ended - embedded_at),
                "total": _ms(ended - started),
            },
        )

    def _stored(self, opened: OpenCollection, image_id: str) -> FloatArray:
        found = self._collections.store.get_embeddings(opened.physical, [image_id])
        if image_id not in found:
            raise ImageNotFound(f"no picture {image_id!r} in collection {opened.name!r}")
        return found[image_id].reshape(1, -1).astype(np.float32)


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
        "created_at": datetime.fromtimestamp(record.created_at_s, UTC).isoformat().replace("+00:00", "Z"),
    }


def describe_model(spec: CollectionSpec) -> dict[str, Any]:
    """What is shown of the model that a collection belongs to."""
    return {"name": spec.model_id, "dim": spec.dim, "metric": "cosine", "projection": spec.projection_id}


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
