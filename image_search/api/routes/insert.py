"""POST /insert and /insert/batch"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from flask_openapi3 import APIBlueprint

from image_search.api import answers, wire
from image_search.api.access import services
from image_search.api.limits import BatchTime, take_batch
from image_search.api.operations import operation
from image_search.api.problems import attempt
from image_search.api.schemas.insert import BatchInserted, InsertBatch, Inserted, InsertParams, InsertRequest
from image_search.api.schemas.values import seconds_of
from image_search.errors import InvalidParameter
from image_search.metadata.words import Words

blueprint = APIBlueprint("insert", __name__)


@operation(
    blueprint,
    "post",
    "/insert",
    role="admin",
    body=InsertRequest,
    params=InsertParams,
    answers={201: Inserted, 200: Inserted},
    problems=(409, 502),
    cost="picture",
    strict_slashes=False,
)
def insert(body: InsertRequest) -> tuple[dict[str, Any], int]:
    """Store one picture: 201; the same bytes again: 200 and "duplicate"."""
    answer = _insert(body, wire.collection_of(body.collection))
    return answer, 201 if answer["status"] == "created" else 200


@operation(
    blueprint,
    "post",
    "/insert/batch",
    role="admin",
    body=InsertBatch,
    params=InsertBatch,
    many=True,
    answers={200: BatchInserted, 207: BatchInserted},
    cost="picture",
    strict_slashes=False,
)
def insert_batch(body: InsertBatch) -> tuple[dict[str, Any], int]:
    """Store several pictures, each for itself: 200; 207 where one of them failed.

    Each counts as one request for the limit of requests a minute, and all of them as one for those at once. Addresses
    that have not answered when the time for those of a batch is over have not been fetched.
    """
    take_batch("items", len(body.items))
    collection = wire.collection_of(body.collection)
    time = BatchTime()

    def one(given: Any) -> dict[str, Any]:
        item = wire.check(InsertRequest, given)
        return _insert(item, item.collection or collection, time.left_s())

    results = [attempt(partial(one, given)) for given in body.items]
    ends = Counter(result["status"] if result["ok"] else "failed" for result in results)
    counts = {end: ends[end] for end in ("created", "duplicate", "failed")}
    good = not counts["failed"]
    return {"ok": good, "counts": counts, "results": results}, 200 if good else 207


def _insert(body: InsertRequest, collection: str, fetch_within_s: float | None = None) -> dict[str, Any]:
    outcome = services().library.insert(
        collection,
        _picture(body, fetch_within_s),
        # `location` is what the older interface calls the name of a picture.
        source_name=body.source_name or body.location or "",
        words=Words(
            title=body.title or "",
            tags=tuple(body.tags or ()),
            text=body.text or "",
            source_url=body.source_url or "",
            fields=body.fields or {},
            created_at_s=seconds_of(body.created_at) if body.created_at else None,
        ),
        on_duplicate=body.on_duplicate or "merge",
    )
    return {"ok": True, "status": outcome.status, **answers.image_document(outcome.record, collection)}


def _picture(body: InsertRequest, fetch_within_s: float | None) -> bytes:
    if body.image is not None and body.image_url:
        raise InvalidParameter("image_url", "and image exclude each other: give exactly one picture")
    if body.image is not None:
        return body.image
    if not body.image_url:
        raise InvalidParameter("image", "is missing: give exactly one picture, as image or image_url")
    return services().fetcher.fetch(body.image_url, within_s=fetch_within_s)
