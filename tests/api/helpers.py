"""What the tests of the HTTP interface share: the specification of an error, and pictures as requests carry them."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from werkzeug.test import TestResponse

from tests.support import draw, jpeg

ADMIN_KEY = "the-admin-key-of-the-tests"
USER_KEY = "the-user-key-of-the-tests"
ADMIN = {"X-API-Key": ADMIN_KEY}
USER = {"X-API-Key": USER_KEY}

RED = jpeg(draw((210, 40, 35), mark=3))
"""Red, and not one of the gallery's files."""
NEW = jpeg(draw((250, 240, 10), mark=7))
"""Yellow: like nothing in the gallery."""

PROBLEM_KEYS = {
    "type",
    "title",
    "status",
    "detail",
    "instance",
    "code",
    "errors",
    "request_id",
    "ok",
    "result",
}


def assert_problem(response: TestResponse, status: int, code: str, *, field: str | None = None) -> dict[str, Any]:
    """The one shape of every error, which is its specification; returns the document.

    * The content type is `application/problem+json` (RFC 9457), whatever the client accepts.
    * `type` is a URN that ends in `code`; `title` is the status's own phrase; `status` repeats it as a number.
    * `detail` is one sentence for a person: no path of this machine, no traceback, no exception's name.
    * `instance` is the path that was asked for.
    * `code` is a name for programs; it does not change with the wording.
    * `errors` is a list of {field, reason}; with `field`, that one is in it.
    * `request_id` is the same as in the header X-Request-ID, so that a log line can be found.
    * `ok: false` and `result` are for clients of the older interface; `result` is "Invalid Key." for 401.
    * 401 says which scheme (WWW-Authenticate), 405 which methods (Allow), 429 and 503 when to come again (Retry-After).
    * It is never cached, and no browser guesses another type.
    """
    assert response.status_code == status, (response.status_code, response.get_data()[:500])
    assert response.content_type == "application/problem+json"
    body = response.get_json(force=True)
    assert set(body) == PROBLEM_KEYS
    assert body["code"] == code, body
    assert body["type"] == f"urn:image-search:problem:{code}"
    assert body["title"] == HTTPStatus(status).phrase
    assert body["status"] == status
    assert isinstance(body["detail"], str)
    assert body["detail"]
    for internal in ("Traceback", "/tmp", "/work", "/home", ".py", "Error("):
        assert internal not in body["detail"]
    assert body["instance"] == response.request.path
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert body["ok"] is False
    assert body["result"] == ("Invalid Key." if status == 401 else body["detail"])
    for error in body["errors"]:
        assert set(error) == {"field", "reason"}
        assert all(isinstance(value, str) for value in error.values())
    if field is not None:
        assert field in [error["field"] for error in body["errors"]], body["errors"]
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    assert ("Allow" in response.headers) == (status == 405)
    assert ("Retry-After" in response.headers) == (status in (429, 503))
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) > 0
    return dict(body)


def encoded(data: bytes, prefix: str = "") -> str:
    """Base64, as a JSON body carries it."""
    return prefix + base64.b64encode(data).decode()


def part(data: bytes, name: str = "query.jpg", kind: str = "image/jpeg") -> tuple[io.BytesIO, str, str]:
    """A file part of a form."""
    return io.BytesIO(data), name, kind


def hits(body: dict[str, Any]) -> list[tuple[str, int, float]]:
    """(id, rank, score) of every result."""
    return [(result["id"], result["rank"], result["score"]) for result in body["results"]]


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header claims that size and whose pixels are not there."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def in_pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    """The bytes in pieces: http.client sends them chunked, without a Content-Length."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
