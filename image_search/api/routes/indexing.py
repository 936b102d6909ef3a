"""POST /indexing and GET /jobs/{id}"""

from __future__ import annotations

from typing import Any, get_args

from flask import Blueprint, Response, jsonify

from image_search.api import wire
from image_search.api.access import services
from image_search.api.auth import require
from image_search.api.problems import UnknownParameters
from image_search.errors import InvalidParameter
from image_search.names import parse_projection
from image_search.types import IndexKind

blueprint = Blueprint("indexing", __name__)


@blueprint.post("/indexing", strict_slashes=False)
@require("admin")
def start_indexing() -> tuple[Response, int, dict[str, str]]:
    """Make a collection's index anew, as a job; with another projection or index where the body names one."""
    params = wire.read_submission(("projection", "index")).params
    collection = wire.collection_of(params)
    services().collections.open(collection)
    work: dict[str, Any] = {"collection": collection}
    if projection := wire.text(params, "projection", max_bytes=20):
        parse_projection(projection)
        work["projection"] = projection
    if params.get("index") is not None:
        work["index"] = _index(params["index"])
    job = services().jobs.create("rebuild", work)
    services().runner.wake()
    document = wire.job_document(job)
    return jsonify({"ok": True, "job": document}), 202, {"Location": document["url"]}


@blueprint.get("/jobs/<job_id>")
@require("admin")
def get_job(job_id: str) -> dict[str, Any]:
    """A job and how far it is."""
    return {"ok": True, **wire.job_document(services().jobs.get(job_id))}


@blueprint.post("/jobs/<job_id>/cancel")
@require("admin")
def cancel_job(job_id: str) -> dict[str, Any]:
    """End a job before its end; the library stays as it was."""
    return {"ok": True, **wire.job_document(services().jobs.cancel(job_id))}


def _index(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or value.get("kind") not in get_args(IndexKind):
        raise InvalidParameter("index", f"must be {{kind, params}} with kind one of {', '.join(get_args(IndexKind))}")
    if unknown := sorted(set(value) - {"kind", "params"}):
        raise UnknownParameters([f"index.{name}" for name in unknown], "unknown; known are kind, params")
    params = value.get("params", {})
    if not isinstance(params, dict) or not all(type(v) is int for v in params.values()):
        raise InvalidParameter("index", "params must be an object of whole numbers")
    return {"kind": value["kind"], "params": params}
