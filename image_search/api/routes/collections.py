"""GET /collections"""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint

from image_search.api.access import services
from image_search.api.operations import operation
from image_search.api.schemas.collections import CollectionList
from image_search.services.searching.answer import describe_model

blueprint = APIBlueprint("collections", __name__)


@operation(blueprint, "get", "/collections", role="user", answers={200: CollectionList}, cost="request")
def list_collections() -> dict[str, Any]:
    """The collections of the library, with how many pictures each has and the model it was built with."""
    return {
        "ok": True,
        "collections": [
            {"name": name, "images": images, "model": describe_model(spec)}
            for name, images, spec in services().library.collections()
        ],
    }
