"""POST /insert"""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint

from image_search.api import wire
from image_search.api.access import services
from image_search.api.auth import require
from image_search.errors import InvalidParameter
from image_search.metadata.words import Words
from image_search.records import OnDuplicate

blueprint = Blueprint("insert", __name__)

_PARAMS = ("source_name", "location", "title", "tags", "text", "source_url", "fields", "on_duplicate")
MAX_NAME_BYTES = 1024
MAX_TITLE_BYTES = 4096
"""What a vector store keeps of a title: refused here, before the picture is stored."""


@blueprint.post("/insert", strict_slashes=False)
@require("admin")
def insert() -> tuple[dict[str, Any], int]:
    """Store one picture: 201; the same bytes again: 200 and "duplicate"."""
    submission = wire.read_submission(_PARAMS)
    params = submission.params
    if submission.image is None:
        raise InvalidParameter("image", "is missing")
    collection = wire.collection_of(params)
    # `location` is what the older interface calls the name of a picture.
    name = wire.text(params, "source_name", max_bytes=MAX_NAME_BYTES)
    name = name or wire.text(params, "location", max_bytes=MAX_NAME_BYTES) or submission.file_name
    outcome = services().library.insert(
        collection,
        submission.image,
        source_name=name,
        words=Words(
            title=wire.text(params, "title", max_bytes=MAX_TITLE_BYTES),
            tags=wire.tags(params),
            text=wire.text(params, "text"),
            source_url=wire.text(params, "source_url", max_bytes=2048),
            fields=wire.fields(params),
        ),
        on_duplicate=cast(OnDuplicate, wire.one_of(params, "on_duplicate", ("merge", "skip", "replace"))),
    )
    body = {"ok": True, "status": outcome.status, **wire.image_document(outcome.record, collection)}
    return body, 201 if outcome.status == "created" else 200
