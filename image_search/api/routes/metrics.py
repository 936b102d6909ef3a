"""GET /metrics"""

from __future__ import annotations

from flask import Response
from flask_openapi3 import APIBlueprint

from image_search.api.metrics import CONTENT_TYPE, exposition
from image_search.api.operations import operation

blueprint = APIBlueprint("metrics", __name__)


@operation(
    blueprint,
    "get",
    "/metrics",
    role="local",
    answers={
        200: {
            "description": "Prometheus's text form, of all workers together.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    },
)
def metrics() -> Response:
    """What Prometheus collects: from this machine without a key."""
    return Response(exposition(), content_type=CONTENT_TYPE)
