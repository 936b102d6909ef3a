"""GET and DELETE /images/{id}, its /file and /thumbnail"""

from __future__ import annotations

import io
from typing import Any

from flask import Blueprint, Response, current_app, request, send_file

from image_search.api import wire
from image_search.api.access import services
from image_search.api.auth import Keys, check_role, require
from image_search.errors import ImageNotFound

blueprint = Blueprint("images", __name__)


@blueprint.get("/images/<image_id>")
@require("user")
def get_image(image_id: str) -> dict[str, Any]:
    """What is stored of a picture."""
    collection = wire.collection_of(request.args)
    return {"ok": True, **wire.image_document(services().library.get(collection, image_id), collection)}


@blueprint.delete("/images/<image_id>")
@require("admin")
def delete_image(image_id: str) -> dict[str, Any]:
    """Remove a picture from a collection."""
    deleted = services().library.delete(wire.collection_of(request.args), [image_id])
    if not deleted:
        raise ImageNotFound(f"no picture {image_id[:64]!r}")
    return {"ok": True, "deleted": deleted}


@blueprint.get("/images/<image_id>/file")
def get_file(image_id: str) -> Response:
    """The original's bytes, with ETag and ranges."""
    _check_signature(image_id)
    return _send(image_id, *services().library.original(image_id))


@blueprint.get("/images/<image_id>/thumbnail")
def get_thumbnail(image_id: str) -> Response:
    """A small JPEG of the picture."""
    _check_signature(image_id)
    return _send(f"{image_id}-t", *services().library.thumbnail(image_id))


def _check_signature(image_id: str) -> None:
    # An <img> sends no header: the URL that an answer gave carries its own permission.
    keys: Keys = current_app.extensions["keys"]
    if not keys.verify(image_id, request.args.get("sig", "")):
        check_role("user")


def _send(etag: str, data: bytes, content_type: str) -> Response:
    response = send_file(io.BytesIO(data), mimetype=content_type, conditional=True, etag=etag, max_age=86_400)
    # The bytes of an id never change; a shared cache must not hand them to those without a key.
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Content-Disposition"] = "inline"
    return response
