"""POST /images/check"""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint

from image_search.api import answers, wire
from image_search.api.access import services
from image_search.api.operations import operation
from image_search.api.schemas.images import CheckAnswer, CheckParams, CheckRequest
from image_search.errors import InvalidParameter

blueprint = APIBlueprint("check", __name__)


@operation(
    blueprint,
    "post",
    "/images/check",
    role="user",
    body=CheckRequest,
    params=CheckParams,
    answers={200: CheckAnswer},
    problems=(404, 409, 502),
    cost="picture",
)
def check_images(body: CheckRequest) -> dict[str, Any]:
    """Whether pictures are there already: by their SHA-256 exactly, by a picture also nearly."""
    given = [
        name
        for name, value in (("image", body.image), ("image_url", body.image_url), ("sha256", body.sha256))
        if value not in (None, "")
    ]
    if len(given) > 1:
        raise InvalidParameter(given[1], f"and {given[0]} exclude each other")
    collection = wire.collection_of(body.collection)
    if body.sha256 is not None:
        known = services().library.known(collection, body.sha256)
        results = [answers.checked_document(one, known.get(one), collection) for one in body.sha256]
        return {"ok": True, "results": results}
    image = services().fetcher.fetch(body.image_url) if body.image_url else body.image
    if image is None:
        raise InvalidParameter("image", "is missing: give a picture, as image or image_url, or sha256")
    return {"ok": True, "results": [answers.check_document(services().search.check(collection, image), collection)]}
