"""GET /jobs, /jobs/{id} and its /failures, /retry, /cancel"""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify
from flask_openapi3 import APIBlueprint

from image_search.api import answers, wire
from image_search.api.access import services
from image_search.api.operations import operation
from image_search.api.schemas.jobs import FailureList, JobAnswer, JobList, JobStarted, PageQuery
from image_search.api.schemas.values import make_cursor

blueprint = APIBlueprint("jobs", __name__)

DEFAULT_LIMIT = 100


@operation(blueprint, "get", "/jobs", role="admin", query=PageQuery, answers={200: JobList}, cost="request")
def list_jobs(query: PageQuery) -> dict[str, Any]:
    """The jobs, newest first, page by page."""
    limit = query.limit or DEFAULT_LIMIT
    with wire.known_cursor():
        found = services().jobs.list(limit + 1, query.cursor)
    return {
        "ok": True,
        "jobs": [answers.job_document(job) for job in found[:limit]],
        "next": make_cursor(found[limit - 1].job_id) if len(found) > limit else None,
    }


@operation(blueprint, "get", "/jobs/<job_id>", role="admin", answers={200: JobAnswer}, problems=(404,), cost="request")
def get_job(job_id: str) -> dict[str, Any]:
    """A job and how far it is."""
    return {"ok": True, **answers.job_document(services().jobs.get(job_id))}


@operation(
    blueprint,
    "get",
    "/jobs/<job_id>/failures",
    role="admin",
    query=PageQuery,
    answers={200: FailureList},
    problems=(404,),
    cost="request",
)
def list_failures(job_id: str, query: PageQuery) -> dict[str, Any]:
    """What a job could not do, page by page."""
    limit = query.limit or DEFAULT_LIMIT
    with wire.known_cursor():
        found = services().jobs.failures(job_id, after=int(query.cursor or "0", 16), limit=limit + 1)
    return {
        "ok": True,
        "failures": [{"number": one.number, "item": one.item, "reason": one.reason} for one in found[:limit]],
        "next": make_cursor(f"{found[limit - 1].number:x}") if len(found) > limit else None,
    }


@operation(
    blueprint,
    "post",
    "/jobs/<job_id>/retry",
    role="admin",
    answers={202: JobStarted},
    problems=(404, 409),
    cost="request",
)
def retry_job(job_id: str) -> tuple[Response, int, dict[str, str]]:
    """Do again, as a new job, what one that has ended could not do."""
    job = services().jobs.retry(job_id)
    services().runner.wake()
    document = answers.job_document(job)
    return jsonify({"ok": True, "job": document}), 202, {"Location": document["url"]}


@operation(
    blueprint,
    "post",
    "/jobs/<job_id>/cancel",
    role="admin",
    answers={200: JobAnswer},
    problems=(404,),
    cost="request",
)
def cancel_job(job_id: str) -> dict[str, Any]:
    """End a job before its end: one that waits at once, one that runs at its next step, as if it had not begun.

    What an import has brought in by then stays.
    """
    return {"ok": True, **answers.job_document(services().jobs.cancel(job_id))}
