"""Every exception that the client raises; no other library need be imported to catch them.

    ClientError
    ├─ InvalidRequest           it cannot be sent as it is: the address, the key, an empty id (a ValueError too)
    ├─ Unreachable              no answer; .maybe_done says whether it may have been carried out all the same
    ├─ UnexpectedAnswer         an answer, but none of this service: a proxy's page, a redirect, another program
    ├─ JobFailed                .job came to its end without its work done
    ├─ JobStillRunning          .job is not at its end in the time that was given (a TimeoutError too)
    └─ ApiError                 a problem that the service told: .status .code .detail .errors .request_id
       ├─ InvalidKey            401, 403: no valid key, or the user's for an admin's work
       ├─ NotFound              404: no such picture, collection, job
       ├─ Conflict              409: the state of the library does not admit it
       ├─ TooManyRequests       429: .retry_after_s
       ├─ Rejected              every other 4xx: something in the request is wrong, .errors says which fields
       ├─ FetchFailed           502: the service could not fetch the picture from its address
       ├─ Unavailable           502, 503, 504: starting, or a part of it is away; .retry_after_s
       └─ ServerError           every other 5xx

A file that cannot be read raises Python's own OSError, and what is no picture at all TypeError.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_search.client.answers import Job


class ClientError(Exception):
    """Base of all; its message is written for the person who runs the script."""


class InvalidRequest(ClientError, ValueError):
    """The request cannot be sent as it is."""


class Unreachable(ClientError):
    """No answer came: the service is not there, too slow, or the connection broke."""

    def __init__(self, message: str, maybe_done: bool = False) -> None:
        super().__init__(message, maybe_done)
        self.maybe_done = maybe_done
        """The request was sent, at least in part: it may have been carried out all the same."""

    def __str__(self) -> str:
        return str(self.args[0])


class UnexpectedAnswer(ClientError):
    """What answered is not this service, or is of a version that this client does not understand."""


class JobFailed(ClientError):
    """A job came to its end, failed or cancelled."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"job {self.job.id} is {self.job.state}" + (f": {self.job.error}" if self.job.error else "")


class JobStillRunning(ClientError, TimeoutError):
    """A job is not at its end in the time that was given; it goes on."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.job = job

    def __str__(self) -> str:
        return f"job {self.job.id} is still {self.job.state}: {self.job.done} of {self.job.total} are done"


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field."""

    field: str
    """Its name; `crop.left` where it is inside another."""
    reason: str


class ApiError(ClientError):
    """A problem that the service told."""

    def __init__(
        self,
        status: int,
        code: str = "",
        detail: str = "",
        errors: tuple[FieldError, ...] = (),
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        # All of them as args, so that it can be pickled: scripts use several processes.
        super().__init__(status, code, detail, errors, request_id, retry_after_s)
        self.status = status
        self.code = code
        """A name for programs, "image_not_found"; "" where what answered was not the service but a proxy."""
        self.detail = detail
        self.errors = errors
        self.request_id = request_id
        """Finds the request in the service's log."""
        self.retry_after_s = retry_after_s
        """When to come again, where the service said so."""

    def __str__(self) -> str:
        found = f"{self.detail} ({self.status}{f' {self.code}' if self.code else ''}"
        return found + (f", request {self.request_id})" if self.request_id else ")")


class InvalidKey(ApiError):
    """401, 403: no valid key, or one that may not do this."""


class NotFound(ApiError):
    """404: no such picture, collection or job."""


class Conflict(ApiError):
    """409: the state of the library does not admit the request."""


class TooManyRequests(ApiError):
    """429: more than this service is configured to take."""


class Rejected(ApiError):
    """Every other 4xx: something in the request is wrong; the same again will be too."""


class FetchFailed(ApiError):
    """502: the service could not fetch the picture from the address that it was given."""


class Unavailable(ApiError):
    """502, 503, 504: the service is starting, or a part of it is away."""


class ServerError(ApiError):
    """Every other 5xx: a defect of the service; its log says more."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: InvalidKey,
    403: InvalidKey,
    404: NotFound,
    409: Conflict,
    429: TooManyRequests,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> ApiError:
    """The exception for a problem document (RFC 9457); {} where there was none."""
    code = _text(problem, "code")
    if code == "url_fetch_failed":
        cls: type[ApiError] = FetchFailed
    else:
        cls = _BY_STATUS.get(status) or (Rejected if status < 500 else ServerError)
    given = problem.get("errors")
    errors = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    return cls(
        status,
        code,
        _text(problem, "detail") or _phrase(status),
        tuple(FieldError(_text(one, "field"), _text(one, "reason")) for one in errors),
        _text(problem, "request_id"),
        retry_after_s,
    )


def _text(found: Mapping[str, Any], name: str) -> str:
    value = found.get(name, "")
    return value if isinstance(value, str) else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no reason was given"
