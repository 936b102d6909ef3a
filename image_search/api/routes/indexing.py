"""POST /indexing"""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from image_search.api import answers, wire
from image_search.api.access import services
from image_search.api.operations import operation
from image_search.api.schemas.jobs import IndexingRequest, JobStarted

blueprint = APIBlueprint("indexing", __name__)


@operation(
    blueprint,
    "post",
    "/indexing",
    role="admin",
    body=IndexingRequest,
    optional_body=True,
    answers={202: JobStarted},
    problems=(404, 409),
    cost="request",
    strict_slashes=False,
)
def start_indexing(body: IndexingRequest) -> tuple[Response, int, dict[str, str]]:
    """Make a collection's index anew, as a job; with another projection or index where the body names one."""
    collection = wire.collection_of(body.collection)
    services().collections.open(collection)
    work: dict[str, Any] = {"collection": collection}
    if body.projection:
        work["projection"] = body.projection
    if body.index is not None:
        work["index"] = {"kind": body.index.kind, "params": body.index.params}
    job = services().jobs.create("rebuild", work)
    services().runner.wake()
    document = answers.job_document(job)
    return jsonify({"ok": True, "job": document}), 202, {"Location": document["url"]}
