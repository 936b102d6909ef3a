"""POST /search"""

from __future__ import annotations

from typing import Any

from flask import Blueprint

from image_search.api import wire
from image_search.api.access import services
from image_search.api.auth import require
from image_search.errors import InvalidParameter
from image_search.services.query import Query
from image_search.types import SearchParams

blueprint = Blueprint("search", __name__)

_PARAMS = ("image_id", "top_k", "offset", "min_score", "ef", "nprobe")


@blueprint.post("/search", strict_slashes=False)
@require("user")
def search() -> dict[str, Any]:
    """The pictures most similar to one picture."""
    submission = wire.read_submission(_PARAMS)
    params = submission.params
    image_id = wire.text(params, "image_id", max_bytes=64) or None
    if submission.image is not None and image_id is not None:
        raise InvalidParameter("image_id", "and image exclude each other: give exactly one picture")
    if submission.image is None and image_id is None:
        raise InvalidParameter("image", "is missing: give exactly one picture, as image or image_id")
    top_k = wire.integer(params, "top_k")
    found = services().search.search(
        wire.collection_of(params),
        Query(image=submission.image, image_id=image_id),
        SearchParams(
            top_k=10 if top_k is None else top_k,
            offset=wire.integer(params, "offset") or 0,
            min_score=wire.number(params, "min_score"),
            ef=wire.integer(params, "ef"),
            nprobe=wire.integer(params, "nprobe"),
        ),
    )
    return wire.search_answer(found)
