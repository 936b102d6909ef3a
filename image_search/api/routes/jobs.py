"""GET /jobs/{id} and its /cancel"""

from __future__ import annotations

from typing import Any

from flask_openapi3 import APIBlueprint

from image_search.api import wire
from image_search.api.access import services
from image_search.api.operations import operation
from image_search.api.schemas.jobs import JobAnswer

blueprint = APIBlueprint("jobs", __name__)


@operation(blueprint, "get", "/jobs/<job_id>", role="admin", answers={200: JobAnswer}, problems=(404,))
def get_job(job_id: str) -> dict[str, Any]:
    """A job and how far it is."""
    return {"ok": True, **wire.job_document(services().jobs.get(job_id))}


@operation(blueprint, "post", "/jobs/<job_id>/cancel", role="admin", answers={200: JobAnswer}, problems=(404,))
def cancel_job(job_id: str) -> dict[str, Any]:
    """End a job before its end; the library stays as it was."""
    return {"ok": True, **wire.job_document(services().jobs.cancel(job_id))}
