"""GET and DELETE /images/{id}, its /file and /thumbnail"""

from __future__ import annotations

import io
from typing import Any

from flask import Response, send_file
from flask_openapi3 import APIBlueprint

from image_search.api import wire
from image_search.api.access import services
from image_search.api.operations import Content, operation
from image_search.api.schemas.images import Deleted, ImageAnswer, InCollection, SignedQuery
from image_search.errors import ImageNotFound

blueprint = APIBlueprint("images", __name__)

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int, Content] = {
    200: {"description": "The picture.", "content": {"image/*": _BYTES, "application/octet-stream": _BYTES}},
    206: {"description": "The range that was asked for.", "content": {"image/*": _BYTES}},
    304: {"description": "What the browser has is still right."},
}


@operation(
    blueprint,
    "get",
    "/images/<image_id>",
    role="user",
    query=InCollection,
    answers={200: ImageAnswer},
    problems=(404,),
)
def get_image(image_id: str, query: InCollection) -> dict[str, Any]:
    """What is stored of a picture."""
    collection = wire.collection_of(query.collection)
    return {"ok": True, **wire.image_document(services().library.get(collection, image_id), collection)}


@operation(
    blueprint,
    "delete",
    "/images/<image_id>",
    role="admin",
    query=InCollection,
    answers={200: Deleted},
    problems=(404,),
    cost="change",
)
def delete_image(image_id: str, query: InCollection) -> dict[str, Any]:
    """Remove a picture from a collection."""
    deleted = services().library.delete(wire.collection_of(query.collection), [image_id])
    if not deleted:
        raise ImageNotFound(f"no picture {image_id[:64]!r}")
    return {"ok": True, "deleted": deleted}


@operation(
    blueprint, "get", "/images/<image_id>/file", role="signed", query=SignedQuery, answers=_FILE, problems=(404, 416)
)
def get_file(image_id: str, query: SignedQuery) -> Response:  # noqa: ARG001 - it is checked, and that is all
    """The original's bytes, with ETag and ranges."""
    return _send(image_id, *services().library.original(image_id))


@operation(
    blueprint,
    "get",
    "/images/<image_id>/thumbnail",
    role="signed",
    query=SignedQuery,
    answers=_FILE,
    problems=(404, 416),
)
def get_thumbnail(image_id: str, query: SignedQuery) -> Response:  # noqa: ARG001 - the same
    """A small JPEG of the picture."""
    return _send(f"{image_id}-t", *services().library.thumbnail(image_id))


def _send(etag: str, data: bytes, content_type: str) -> Response:
    response = send_file(io.BytesIO(data), mimetype=content_type, conditional=True, etag=etag, max_age=86_400)
    # The bytes of an id never change; a shared cache must not hand them to those without a key.
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Content-Disposition"] = "inline"
    return response
