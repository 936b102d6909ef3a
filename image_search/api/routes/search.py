"""POST /search"""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint

from image_search.api import wire
from image_search.api.access import services
from image_search.api.operations import operation
from image_search.api.schemas.search import SearchAnswer, SearchParams, SearchRequest
from image_search.errors import InvalidParameter
from image_search.services.query import Query
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
    problems=(404, 409),
    cost="picture",
    strict_slashes=False,
)
def search(body: SearchRequest) -> dict[str, Any]:
    """The pictures most similar to one picture."""
    if body.image is not None and body.image_id:
        raise InvalidParameter("image_id", "and image exclude each other: give exactly one picture")
    if body.image is None and not body.image_id:
        raise InvalidParameter("image", "is missing: give exactly one picture, as image or image_id")
    found = services().search.search(
        wire.collection_of(body.collection),
        Query(image=body.image, image_id=body.image_id or None),
        Tuning(
            top_k=body.top_k or 10,
            offset=body.offset or 0,
            min_score=body.min_score,
            ef=body.ef,
            nprobe=body.nprobe,
        ),
    )
    return wire.search_answer(found)
