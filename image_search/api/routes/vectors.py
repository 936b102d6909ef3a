"""GET and POST /export, POST /import: a collection as a file."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from flask import Response, current_app, jsonify
from flask_openapi3 import APIBlueprint
from werkzeug.exceptions import TooManyRequests
from werkzeug.wsgi import FileWrapper

from image_search.api import answers, receiving, tickets, wire
from image_search.api.access import services, settings
from image_search.api.auth import Keys
from image_search.api.body import VECTORS_TYPE
from image_search.api.operations import operation
from image_search.api.schemas.images import InCollection
from image_search.api.schemas.jobs import JobStarted
from image_search.api.schemas.vectors import ExportLink, ExportQuery, ImportQuery
from image_search.names import rfc3339

blueprint = APIBlueprint("vectors", __name__)

AT_ONCE = 2
"""Exports and imports in one worker: each holds a thread for as long as its file takes to travel."""
_BYTES = {"schema": {"type": "string", "format": "binary"}}
_PIECE_BYTES = 262_144


@operation(
    blueprint,
    "post",
    "/export",
    role="admin",
    query=InCollection,
    answers={200: ExportLink},
    problems=(404,),
    cost="request",
)
def link_export(query: InCollection) -> dict[str, Any]:
    """A link to a collection's export that works without a key for five minutes, as a browser's download needs it."""
    collection = wire.collection_of(query.collection)
    services().collections.spec(collection)
    keys: Keys = current_app.extensions["keys"]
    ticket = tickets.make(collection, keys.signing)
    return {
        "ok": True,
        "url": f"{answers.base_url()}/export?collection={quote(collection)}&ticket={quote(ticket)}",
        "expires_at": rfc3339(time.time() + tickets.LIFETIME_S),
    }


@operation(
    blueprint,
    "get",
    "/export",
    role="ticket",
    query=ExportQuery,
    answers={200: {"description": "The records and vectors, as HDF5.", "content": {VECTORS_TYPE: _BYTES}}},
    problems=(404,),
    cost="request",
)
def export_vectors(query: ExportQuery) -> Response:
    """A collection's records and vectors as one HDF5 file; two at once at most, 429 beyond."""
    collection = wire.collection_of(query.collection)
    place = _take_place()
    try:
        made = services().exchange.export(collection)
    except BaseException:
        place.release()
        raise
    response = Response(FileWrapper(made.file, _PIECE_BYTES), content_type=VECTORS_TYPE)
    response.content_length = made.size_bytes
    response.headers["Content-Disposition"] = f'attachment; filename="{collection}.h5"'
    # Also where the client goes away in the middle: the server closes what it sends (not with direct_passthrough).
    response.call_on_close(made.file.close)
    response.call_on_close(place.release)
    return response


@operation(
    blueprint,
    "post",
    "/import",
    role="admin",
    query=ImportQuery,
    upload={
        VECTORS_TYPE: _BYTES,
        "application/octet-stream": _BYTES,
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {receiving.PART: _BYTES["schema"]},
                "required": [receiving.PART],
                "additionalProperties": False,
            }
        },
    },
    answers={202: JobStarted},
    problems=(409, 422),
    cost="request",
)
def import_vectors(query: ImportQuery) -> tuple[Response, int, dict[str, str]]:
    """Bring an exported file's records and vectors into a collection, as a job; made where there is none.

    A row whose picture is there already changes nothing. The pictures' own files are not in such a file: rows come
    without a picture where this library does not have it (`result.without_picture` of the job counts them).
    """
    receiving.check_kind()
    with _place():
        job = services().exchange.receive(
            wire.collection_of(query.collection),
            lambda file: receiving.receive_file(file, settings().http_server.max_import_bytes),
            name=query.name or "",
        )
    services().runner.wake()
    document = answers.job_document(job)
    return jsonify({"ok": True, "job": document}), 202, {"Location": document["url"]}


def _take_place() -> threading.BoundedSemaphore:
    places: threading.BoundedSemaphore = current_app.extensions["exchanges"]
    if not places.acquire(blocking=False):
        raise TooManyRequests
    return places


@contextmanager
def _place() -> Iterator[None]:
    places = _take_place()
    try:
        yield
    finally:
        places.release()
