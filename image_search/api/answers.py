"""Records, hits and jobs as answers show them, with absolute URLs. How they are described: `schemas`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import current_app, request

from image_search.api.access import services, settings
from image_search.api.auth import Keys
from image_search.api.tokens import encode_query
from image_search.names import rfc3339
from image_search.services.library.trash import DeletedImage
from image_search.services.searching.answer import CheckOutcome, SearchAnswer, describe_record
from image_search.storage.keys import original_key, thumbnail_key
from image_search.types import ImageRecord, Job


def base_url() -> str:
    """Where this service is known: `public_url`, else what the request (and as many proxies as trusted) says."""
    return (settings().http_server.public_url or request.host_url).rstrip("/")


def picture_urls(image_id: str, collection: str) -> dict[str, str]:
    """Absolute, signed URLs of the original and the thumbnail: of this service, or of the S3 server itself."""
    signer = services().signer
    if signer is not None:
        return {
            "url": signer.presigned_url(original_key(image_id)),
            "thumbnail_url": signer.presigned_url(thumbnail_key(image_id)),
        }
    keys: Keys = current_app.extensions["keys"]
    base = f"{base_url()}/images/{image_id}"
    suffix = f"&collection={quote(collection)}" if collection != settings().library.collection else ""
    return {
        "url": f"{base}/file?sig={keys.sign(image_id)}{suffix}",
        "thumbnail_url": f"{base}/thumbnail?sig={keys.sign(image_id)}{suffix}",
    }


def search_answer(answer: SearchAnswer) -> dict[str, Any]:
    """The answer to a search, with its query's token and the flat fields of the older interface."""
    body = {"ok": True, **answer.as_dict()}
    if answer.query_vector is not None:
        body["query"]["id"] = encode_query(answer.query_vector, current_app.extensions["keys"])
    for place, result in enumerate(body["results"], 1):
        result |= picture_urls(result["id"], answer.collection)
        if place <= 5:
            body[f"image{place}"] = result["url"]
    timing = answer.timing_ms
    body["embedding_time"] = round(timing["decode"] + timing["embed"], 3)
    body["search_time"] = timing["search"]
    return body


def image_document(record: ImageRecord, collection: str) -> dict[str, Any]:
    """A stored picture."""
    return {"id": record.image_id, **describe_record(record), **picture_urls(record.image_id, collection)}


def checked_document(image_id: str, record: ImageRecord | None, collection: str) -> dict[str, Any]:
    """Whether a picture is held, as far as its SHA-256 tells."""
    return {
        "id": image_id,
        "held": "identical" if record else "no",
        "identical": image_document(record, collection) if record else None,
        "near_duplicates": None,
    }


def check_document(outcome: CheckOutcome, collection: str) -> dict[str, Any]:
    """Whether a picture is held, exactly or nearly."""
    near = [
        {**image_document(ranked.hit.record, collection), "score": round(ranked.hit.score, 6)}
        for ranked in outcome.near_duplicates
    ]
    document = checked_document(outcome.image_id, outcome.identical, collection)
    if near and not outcome.identical:
        document["held"] = "near_duplicate"
    return {**document, "near_duplicates": near}


def deleted_document(deleted: DeletedImage) -> dict[str, Any]:
    """A picture in the trash: without URLs, as nobody is shown its files."""
    return {
        "id": deleted.record.image_id,
        **describe_record(deleted.record),
        "deleted_at": rfc3339(deleted.deleted_at_s),
    }


def job_document(job: Job) -> dict[str, Any]:
    """A job and how far it is."""
    return {
        "id": job.job_id,
        "kind": job.kind,
        "collection": job.params.get("collection"),
        "state": job.state,
        "cancel_wanted": job.cancel_wanted,
        "can_retry": not services().jobs.why_no_retry(job),
        "total": job.total,
        "done": job.done,
        "failed": job.failed,
        "rate": round(job.rate, 2),
        "eta_s": None if job.eta_s is None else round(job.eta_s, 1),
        "error": job.error or None,
        "result": None if job.result is None else dict(job.result),
        "created_at": rfc3339(job.created_at_s),
        "started_at": None if job.started_at_s is None else rfc3339(job.started_at_s),
        "finished_at": None if job.finished_at_s is None else rfc3339(job.finished_at_s),
        "url": f"{base_url()}/jobs/{job.job_id}",
    }
