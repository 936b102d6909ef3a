"""Errors as application/problem+json (RFC 9457), one shape for all; the table of statuses stands here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, json, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from image_search import errors

_log = logging.getLogger(__name__)

RETRY_AFTER_S = 5


@dataclass(frozen=True)
class _Kind:
    status: int
    code: str
    detail: str = ""
    """Fixed words in place of the exception's own, where those may hold an upstream's."""


STATUSES: Mapping[type[errors.ImageSearchError], _Kind] = {
    errors.InvalidParameter: _Kind(422, "invalid_parameter"),
    errors.InvalidImage: _Kind(422, "invalid_image"),
    errors.ImageTooLarge: _Kind(413, "image_too_large"),
    errors.UnsupportedFormat: _Kind(415, "unsupported_format"),
    errors.InvalidInput: _Kind(422, "invalid_input"),
    errors.CollectionNotFound: _Kind(404, "collection_not_found"),
    errors.ImageNotFound: _Kind(404, "image_not_found"),
    errors.JobNotFound: _Kind(404, "job_not_found"),
    errors.NotFound: _Kind(404, "not_found"),
    errors.CollectionExists: _Kind(409, "collection_exists"),
    errors.ModelMismatch: _Kind(409, "model_mismatch"),
    errors.Conflict: _Kind(409, "conflict"),
    errors.VectorStoreError: _Kind(503, "vector_store_unavailable", "The vector store is not available."),
    errors.ImageStoreError: _Kind(503, "image_store_unavailable", "The image store is not available."),
    errors.EmbedderError: _Kind(503, "model_unavailable", "The model is not available."),
    errors.FetchError: _Kind(502, "url_fetch_failed", "The picture could not be fetched from that address."),
    errors.BackendError: _Kind(503, "backend_unavailable", "A part of the service is not available."),
    errors.ConfigError: _Kind(503, "misconfigured", "The service is not configured completely; its log says what."),
    errors.ImageSearchError: _Kind(500, "internal_error", "Something went wrong inside the service."),
}


class AuthError(Exception):
    """The request lacks a key (401) or has one of too small a role (403)."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class InvalidRequest(errors.InvalidParameter):
    """Everything that is wrong with a request, each field with its reason."""

    def __init__(self, found: list[tuple[str, str]]) -> None:
        self.found = [(field[:100], reason[:1000]) for field, reason in found[:20]]
        super().__init__(*self.found[0])

    def __str__(self) -> str:
        fields: dict[str, list[str]] = {}
        for field, reason in self.found:
            fields.setdefault(reason, []).append(field)
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in fields.items())


def problem_document(
    status: int, code: str, detail: str, *, fields: list[dict[str, str]] | None = None, result: str | None = None
) -> dict[str, Any]:
    """A problem as plain data; `ok` and `result` are for clients of the older interface."""
    return {
        "type": f"urn:image-search:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.path,
        "code": code,
        "errors": fields or [],
        "request_id": g.get("request_id", ""),
        "ok": False,
        "result": result or detail,
    }


def attempt(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What one item of several comes to: what it answers, or its problem; others go on whatever happened to it."""
    try:
        return work()
    except errors.ImageSearchError as error:
        return _of_ours(error)
    except Exception as error:  # noqa: BLE001 - written to the log, as where it is a whole request's
        return _of_a_defect(error)


def _answer(body: dict[str, Any]) -> Response:
    status = int(body["status"])
    response = Response(json.dumps(body), status=status, content_type="application/problem+json")
    if status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _of_ours(error: errors.ImageSearchError) -> dict[str, Any]:
    kind = next(STATUSES[cls] for cls in type(error).__mro__ if cls in STATUSES)
    if isinstance(error, errors.FetchError):
        # It is the address that was wrong, or whoever stands behind it: nothing for an operator to repair.
        _log.info("request %s: not fetched: %s", g.get("request_id", ""), _why(error))
    elif kind.status >= 500:
        _log.error("request %s: %s", g.get("request_id", ""), error, exc_info=error.__cause__)
    if isinstance(error, errors.InvalidParameter):
        status, code = (400, "malformed_request") if error.malformed else (kind.status, kind.code)
        found = error.found if isinstance(error, InvalidRequest) else [(error.field[:100], error.reason)]
        fields = [{"field": field, "reason": reason} for field, reason in found]
        return problem_document(status, code, str(error), fields=fields)
    return problem_document(kind.status, kind.code, kind.detail or str(error))


def _why(error: errors.FetchError) -> str:
    """Why nothing was fetched, in our own words or the system's; never what the other side said."""
    cause = error.__cause__ or error
    ours = type(cause).__module__.startswith("image_search.")
    return str(cause)[:200] if ours or isinstance(cause, OSError) else type(cause).__name__


def _of_a_defect(error: Exception) -> dict[str, Any]:
    _log.error("request %s failed", g.get("request_id", ""), exc_info=error)
    return problem_document(500, "internal_error", STATUSES[errors.ImageSearchError].detail)


def register_problems(app: Flask) -> None:
    """Turn every exception of a request into a problem document."""

    @app.errorhandler(errors.ImageSearchError)
    def ours(error: errors.ImageSearchError) -> Response:
        return _answer(_of_ours(error))

    @app.errorhandler(AuthError)
    def unauthorised(error: AuthError) -> Response:
        code = "invalid_key" if error.status == 401 else "forbidden"
        result = "Invalid Key." if error.status == 401 else None
        return _answer(problem_document(error.status, code, error.detail, result=result))

    @app.errorhandler(RequestEntityTooLarge)
    def too_large(_error: RequestEntityTooLarge) -> Response:
        limit = request.max_content_length
        detail = f"The request is too large; at most {limit:,} bytes are accepted."
        return _answer(problem_document(413, "request_too_large", detail))

    @app.errorhandler(HTTPException)
    def http(error: HTTPException) -> Response:
        status = error.code or 500
        detail = HTTPStatus(status).description or "Not possible."
        response = _answer(problem_document(status, HTTPStatus(status).name.lower(), detail))
        for name, value in error.get_headers():
            if name in ("Allow", "Retry-After", "Content-Range"):
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        return _answer(_of_a_defect(error))
