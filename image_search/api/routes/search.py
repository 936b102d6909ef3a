"""POST /search and /search/batch"""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import current_app
from flask_openapi3 import APIBlueprint

from image_search.api import answers, wire
from image_search.api.access import services
from image_search.api.limits import BatchTime, take_batch
from image_search.api.metrics import observe_steps
from image_search.api.operations import operation
from image_search.api.problems import attempt
from image_search.api.schemas.search import BatchAnswer, SearchAnswer, SearchBatch, SearchParams, SearchRequest
from image_search.api.tokens import decode_query
from image_search.ranking import Weights
from image_search.services.searching.query import Crop, Query
from image_search.types import SearchParams as Tuning

blueprint = APIBlueprint("search", __name__)


@operation(
    blueprint,
    "post",
    "/search",
    role="user",
    body=SearchRequest,
    params=SearchParams,
    answers={200: SearchAnswer},
    problems=(404, 409, 502),
    cost="picture",
    strict_slashes=False,
)
def search(body: SearchRequest) -> dict[str, Any]:
    """The pictures most similar to a picture, those that words describe, or both."""
    return _search(body, wire.collection_of(body.collection))


@operation(
    blueprint,
    "post",
    "/search/batch",
    role="user",
    body=SearchBatch,
    answers={200: BatchAnswer, 207: BatchAnswer},
    cost="picture",
    strict_slashes=False,
)
def search_batch(body: SearchBatch) -> tuple[dict[str, Any], int]:
    """Several searches in one request: 200; 207 where one of them came to a problem.

    Each counts as one request for the limit of requests a minute, and all of them as one for those at once. Addresses
    that have not answered when the time for those of a batch is over have not been fetched.
    """
    take_batch("queries", len(body.queries))
    collection = wire.collection_of(body.collection)
    time = BatchTime()

    def one(given: Any) -> dict[str, Any]:
        query = wire.check(SearchRequest, given)
        return _search(query, query.collection or collection, time.left_s())

    results = [attempt(partial(one, given)) for given in body.queries]
    good = all(result["ok"] for result in results)
    return {"ok": good, "results": results}, 200 if good else 207


def _search(body: SearchRequest, collection: str, fetch_within_s: float | None = None) -> dict[str, Any]:
    known = decode_query(body.query_id, current_app.extensions["keys"]) if body.query_id else None
    found = services().search.search(
        collection,
        Query(
            image=body.image,
            image_url=body.image_url or None,
            fetch_within_s=fetch_within_s,
            image_id=body.image_id or None,
            known=known,
            text=body.text or "",
            text_of=body.text_of or "",
            weights=Weights(body.weights.image, body.weights.text) if body.weights else Weights(),
            negative_ids=tuple(body.negative_ids or ()),
            crop=Crop(body.crop.left, body.crop.top, body.crop.right, body.crop.bottom) if body.crop else None,
            where=body.filter,
            on_picture=kept.keep if (kept := services().kept_queries) else None,
            collapse=body.collapse or "none",
        ),
        Tuning(
            top_k=body.top_k or 10,
            offset=body.offset or 0,
            min_score=body.min_score,
            ef=body.ef,
            nprobe=body.nprobe,
        ),
    )
    observe_steps(found.timing_ms)
    return answers.search_answer(found)
