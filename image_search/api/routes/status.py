"""GET /status, /livez, /readyz"""

from __future__ import annotations

from typing import Any

from flask import current_app
from flask_openapi3 import APIBlueprint

from image_search import __version__
from image_search.api import wire
from image_search.api.access import services, settings
from image_search.api.auth import Keys
from image_search.api.operations import operation
from image_search.api.schemas.base import Answer
from image_search.api.schemas.images import InCollection
from image_search.api.schemas.insert import MAX_ITEMS
from image_search.api.schemas.search import MAX_QUERIES
from image_search.api.schemas.status import StatusAnswer
from image_search.imaging import FORMATS
from image_search.machine import describe_machine
from image_search.ranking import MAX_TOP_K

blueprint = APIBlueprint("status", __name__)


@operation(
    blueprint,
    "get",
    "/status",
    role="open",
    query=InCollection,
    answers={200: StatusAnswer},
    problems=(503,),
    strict_slashes=False,
)
def status(query: InCollection) -> dict[str, Any]:
    """The library, the service and its limits; `entities_num` and the machine for older clients."""
    http = settings().http_server
    keys: Keys = current_app.extensions["keys"]
    device = services().provider.device
    found = services().library.status(wire.collection_of(query.collection))
    return {
        "ok": True,
        "entities_num": str(found.images),
        **describe_machine(uses_card=device == "cuda"),
        "device": device,
        **found.as_dict(),
        "stores": {
            "vectors": "milvus" if "://" in settings().milvus_uri else "milvus-lite",
            "images": settings().storage.backend,
        },
        "limits": {
            "max_image_bytes": http.max_image_bytes,
            "max_request_bytes": http.max_request_bytes,
            "max_import_bytes": http.max_import_bytes,
            "max_pixels": settings().imaging.max_pixels,
            "max_top_k": MAX_TOP_K,
            "max_queries": MAX_QUERIES,
            "max_items": MAX_ITEMS,
            "requests_per_minute": settings().security.requests_per_minute,
        },
        "features": {
            "text": services().store.supports_text,
            "url_fetch": settings().url_fetch.mode != "off",
            "keys": {"user": bool(keys.user), "admin": True},
        },
        "formats": list(FORMATS),
        "version": __version__,
    }


@operation(blueprint, "get", "/livez", role="open", answers={200: Answer})
def livez() -> dict[str, bool]:
    """The process answers."""
    return {"ok": True}


@operation(blueprint, "get", "/readyz", role="open", answers={200: Answer}, problems=(503,))
def readyz() -> dict[str, bool]:
    """The model is loaded and the stores are open; else a problem with 503."""
    services().library.check_ready(settings().library.collection)
    return {"ok": True}
