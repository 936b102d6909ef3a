"""Stored pictures: /images, /images/{id}, its /file and /thumbnail"""

from __future__ import annotations

import io
from typing import Any

from flask import Response, send_file
from flask_openapi3 import APIBlueprint

from image_search.api import answers, wire
from image_search.api.access import services
from image_search.api.operations import Content, operation
from image_search.api.schemas.images import (
    Deleted,
    DeletedList,
    DeletedQuery,
    DeleteQuery,
    ImageAnswer,
    ImageList,
    InCollection,
    ListQuery,
    Patch,
    RandomImages,
    RandomQuery,
    SignedQuery,
)
from image_search.api.schemas.values import make_cursor, seconds_of
from image_search.errors import ImageNotFound, InvalidParameter
from image_search.services.library.changes import Changes

blueprint = APIBlueprint("images", __name__)

DEFAULT_LIMIT = 100
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_FILE: dict[int, Content] = {
    200: {"description": "The picture.", "content": {"image/*": _BYTES, "application/octet-stream": _BYTES}},
    206: {"description": "The range that was asked for.", "content": {"image/*": _BYTES}},
    304: {"description": "What the browser has is still right."},
}


@operation(
    blueprint, "get", "/images", role="user", query=ListQuery, answers={200: ImageList}, problems=(404,), cost="request"
)
def list_images(query: ListQuery) -> dict[str, Any]:
    """The pictures of a collection, in order of their ids or newest first, page by page."""
    collection = wire.collection_of(query.collection)
    library = services().library
    with wire.known_cursor():
        page = (library.list_newest if query.order == "newest" else library.list_images)(
            collection, where=query.filter, after=query.cursor, limit=query.limit or DEFAULT_LIMIT
        )
    return {
        "ok": True,
        "images": [answers.image_document(record, collection) for record in page.records],
        "next": make_cursor(page.next) if page.next else None,
    }


@operation(
    blueprint,
    "get",
    "/images/random",
    role="user",
    query=RandomQuery,
    answers={200: RandomImages},
    problems=(404,),
    cost="request",
)
def random_images(query: RandomQuery) -> dict[str, Any]:
    """Pictures at random."""
    collection = wire.collection_of(query.collection)
    records = services().library.random_images(collection, query.n or 1, query.filter)
    return {"ok": True, "images": [answers.image_document(record, collection) for record in records]}


@operation(
    blueprint,
    "get",
    "/images/deleted",
    role="admin",
    query=DeletedQuery,
    answers={200: DeletedList},
    problems=(404,),
    cost="request",
)
def list_deleted(query: DeletedQuery) -> dict[str, Any]:
    """The pictures in the trash, in order of their ids, page by page."""
    with wire.known_cursor():
        page = services().library.list_deleted(
            wire.collection_of(query.collection), after=query.cursor, limit=query.limit or DEFAULT_LIMIT
        )
    return {
        "ok": True,
        "images": [answers.deleted_document(entry) for entry in page.entries],
        "next": make_cursor(page.next) if page.next else None,
    }


@operation(
    blueprint,
    "get",
    "/images/<image_id>",
    role="user",
    query=InCollection,
    answers={200: ImageAnswer},
    problems=(404,),
    cost="request",
)
def get_image(image_id: str, query: InCollection) -> dict[str, Any]:
    """What is stored of a picture."""
    collection = wire.collection_of(query.collection)
    return {"ok": True, **answers.image_document(services().library.get(collection, image_id), collection)}


@operation(
    blueprint,
    "patch",
    "/images/<image_id>",
    role="admin",
    body=Patch,
    query=InCollection,
    answers={200: ImageAnswer},
    problems=(404,),
    cost="request",
)
def update_image(image_id: str, query: InCollection, body: Patch) -> dict[str, Any]:
    """Change the words of a picture."""
    collection = wire.collection_of(query.collection)
    record = services().library.update(collection, image_id, _changes(body))
    return {"ok": True, **answers.image_document(record, collection)}


@operation(
    blueprint,
    "delete",
    "/images/<image_id>",
    role="admin",
    query=DeleteQuery,
    answers={200: Deleted},
    problems=(404,),
    cost="request",
)
def delete_image(image_id: str, query: DeleteQuery) -> dict[str, Any]:
    """Move a picture into the trash, or remove it and its files for good."""
    collection = wire.collection_of(query.collection)
    deleted = services().library.delete(collection, [image_id], permanently=bool(query.permanently))
    if not deleted:
        raise ImageNotFound(f"no picture {image_id[:64]!r}")
    return {"ok": True, "deleted": deleted}


@operation(
    blueprint,
    "post",
    "/images/<image_id>/restore",
    role="admin",
    query=InCollection,
    answers={200: ImageAnswer},
    problems=(404, 409),
    cost="request",
)
def restore_image(image_id: str, query: InCollection) -> dict[str, Any]:
    """Bring a deleted picture back; one that is there is answered as it is."""
    collection = wire.collection_of(query.collection)
    return {"ok": True, **answers.image_document(services().library.restore(collection, image_id), collection)}


@operation(
    blueprint, "get", "/images/<image_id>/file", role="signed", query=SignedQuery, answers=_FILE, problems=(404, 416)
)
def get_file(image_id: str, query: SignedQuery) -> Response:
    """The original's bytes, with ETag and ranges."""
    collection = wire.collection_of(query.collection)
    return _send(image_id, *services().library.original(image_id, collection))


@operation(
    blueprint,
    "get",
    "/images/<image_id>/thumbnail",
    role="signed",
    query=SignedQuery,
    answers=_FILE,
    problems=(404, 416),
)
def get_thumbnail(image_id: str, query: SignedQuery) -> Response:
    """A small JPEG of the picture."""
    collection = wire.collection_of(query.collection)
    return _send(f"{image_id}-t", *services().library.thumbnail(image_id, collection))


def _changes(body: Patch) -> Changes:
    """What a merge patch means: a null empties, and what it does not name stays."""
    named = body.model_fields_set
    if "created_at" in named and body.created_at is None:
        raise InvalidParameter("created_at", "can be changed, not removed")
    return Changes(
        title=(body.title or "") if "title" in named else None,
        tags=tuple(body.tags or ()) if "tags" in named else None,
        text=(body.text or "") if "text" in named else None,
        source_url=(body.source_url or "") if "source_url" in named else None,
        created_at_s=seconds_of(body.created_at) if body.created_at else None,
        fields=body.fields,
        clear_fields="fields" in named and body.fields is None,
    )


def _send(etag: str, data: bytes, content_type: str) -> Response:
    response = send_file(io.BytesIO(data), mimetype=content_type, conditional=True, etag=etag, max_age=86_400)
    # The bytes of an id never change; a shared cache must not hand them to those without a key.
    response.headers["Cache-Control"] = "private, max-age=86400, immutable"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response.headers["Content-Disposition"] = "inline"
    return response
