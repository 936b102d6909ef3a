"""POST /insert"""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint

from image_search.api import wire
from image_search.api.access import services
from image_search.api.operations import operation
from image_search.api.schemas.insert import Inserted, InsertParams, InsertRequest
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
    problems=(409,),
    cost="picture",
    strict_slashes=False,
)
def insert(body: InsertRequest) -> tuple[dict[str, Any], int]:
    """Store one picture: 201; the same bytes again: 200 and "duplicate"."""
    if body.image is None:
        raise InvalidParameter("image", "is missing")
    collection = wire.collection_of(body.collection)
    outcome = services().library.insert(
        collection,
        body.image,
        # `location` is what the older interface calls the name of a picture.
        source_name=body.source_name or body.location or "",
        words=Words(
            title=body.title or "",
            tags=tuple(body.tags or ()),
            text=body.text or "",
            source_url=body.source_url or "",
            fields=body.fields or {},
        ),
        on_duplicate=body.on_duplicate or "merge",
    )
    answer = {"ok": True, "status": outcome.status, **wire.image_document(outcome.record, collection)}
    return answer, 201 if outcome.status == "created" else 200
