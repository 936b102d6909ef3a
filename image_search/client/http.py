"""One exchange with the service, repeated where that is safe: the one importer of httpx."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

import httpx

from image_search.client.errors import (
    ApiError,
    ClientError,
    InvalidRequest,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    error_of,
)

Transport: TypeAlias = httpx.BaseTransport
Method: TypeAlias = Literal["GET", "POST", "PATCH", "DELETE"]
Query: TypeAlias = Mapping[str, str | int | bool | None]

MAX_WAIT_S = 30.0
"""Longest that a Retry-After is waited for; whoever is told to come later than that gets the error at once."""
FIRST_WAIT_S = 0.5
"""Before the first repetition where the service does not say; doubled for each further one."""
KEEP_IDLE_S = 1.5
"""Less than the 2 s after which gunicorn closes an idle connection: a request never meets one that is just closing."""
PIECE_BYTES = 262_144

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
LOST = (
    httpx.HTTPError,
    httpx.RequestError,
    httpx.TransportError,
    httpx.TimeoutException,
    httpx.ReadTimeout,
    httpx.WriteTimeout,
    httpx.NetworkError,
    httpx.ReadError,
    httpx.WriteError,
    httpx.CloseError,
    httpx.ProtocolError,
    httpx.RemoteProtocolError,
)
UNREADABLE = (httpx.DecodingError, httpx.TooManyRedirects, httpx.HTTPStatusError, httpx.CookieConflict)
UNSENDABLE = (
    httpx.InvalidURL,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.StreamError,
    httpx.StreamConsumed,
    httpx.StreamClosed,
    httpx.RequestNotRead,
    httpx.ResponseNotRead,
    # A name with a label longer than DNS has: Python's own, from below httpx.
    UnicodeError,
)
FAILURES: tuple[type[Exception], ...] = (*UNSENT, *LOST, *UNREADABLE, *UNSENDABLE)
"""Everything that httpx raises; a test compares."""


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart body: pictures as they are, and the rest as JSON."""

    pictures: Sequence[bytes]
    params: Mapping[str, Any]


class Connection:
    """Connections to one service; safe to use from several threads."""

    def __init__(
        self, base_url: str, *, key: str, timeout_s: float, retries: int, transport: Transport | None = None
    ) -> None:
        """Opens nothing yet. Raises InvalidRequest where the address or the key cannot be one."""
        self._base, self.address = _parse_address(base_url)
        self._retries = retries
        # Not Authorization: a login for the host in ~/.netrc would take its place.
        headers = {"User-Agent": "image-search-client"} | ({"X-API-Key": check_key(key)} if key.strip() else {})
        self._client = httpx.Client(
            headers=headers,
            timeout=timeout_s,
            transport=transport,
            limits=httpx.Limits(keepalive_expiry=KEEP_IDLE_S),
            # The key would go along to wherever a redirect leads.
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close what is open."""
        self._client.close()

    def document(
        self,
        method: Method,
        path: str,
        *,
        safe: bool,
        query: Query | None = None,
        body: Mapping[str, Any] | Form | None = None,
        retries: int | None = None,
    ) -> dict[str, Any]:
        """The JSON object that the service answers. Raises ClientError.

        `safe`: it changes nothing, so it may be sent again whatever became of it. Everything else is sent again only
        where it has surely not been carried out: there was no connection, or the service said 429.
        """
        return self._document_of(self._send(method, path, safe=safe, query=query, body=body, retries=retries))

    def _document_of(self, answer: httpx.Response) -> dict[str, Any]:
        found = _json_object(answer)
        if found is None:
            raise UnexpectedAnswer(
                f"{self.address} answered {answer.status_code} with "
                f"{answer.headers.get('Content-Type', 'nothing')[:60]}, not with JSON: is it this service's address?"
            )
        return found

    def content(self, path: str, *, query: Query | None = None) -> bytes:
        """The bytes that are there. Raises ClientError."""
        return self._send("GET", path, safe=True, query=query, body=None, retries=None).content

    def download(self, path: str, target: Path, *, query: Query | None = None) -> int:
        """Write the bytes that are there into a file, whole or not at all; gives how many. Raises ClientError."""
        temporary = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        try:
            with temporary.open("xb") as file:
                try:
                    with self._client.stream("GET", self._base + path, params=_present(query)) as answer:
                        if answer.status_code >= 300:
                            answer.read()
                        self._check(answer)
                        for piece in answer.iter_bytes(PIECE_BYTES):
                            file.write(piece)
                except FAILURES as error:
                    raise translated(error, self.address) from error
                size = file.tell()
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return size

    def upload(self, path: str, source: Path, content_type: str, *, query: Query | None = None) -> dict[str, Any]:
        """The JSON object that the service answers to a file, which is sent once, in pieces. Raises ClientError."""
        with source.open("rb") as file:
            sent = {"params": _present(query), "content": file, "headers": {"Content-Type": content_type}}
            return self._document_of(self._once("POST", path, sent))

    def _send(
        self,
        method: Method,
        path: str,
        *,
        safe: bool,
        query: Query | None,
        body: Mapping[str, Any] | Form | None,
        retries: int | None,
    ) -> httpx.Response:
        left = self._retries if retries is None else retries
        options = {"params": _present(query), **_encoded(body)}
        done = 0
        while True:
            try:
                return self._once(method, path, options)
            except (Unreachable, TooManyRequests, Unavailable) as error:
                wait_s = waiting_s(error, done)
                if done >= left or not _may_repeat(error, safe) or wait_s > MAX_WAIT_S:
                    raise
            time.sleep(wait_s)
            done += 1

    def _once(self, method: Method, path: str, options: Mapping[str, Any]) -> httpx.Response:
        try:
            answer = self._client.request(method, self._base + path, **options)
        except FAILURES as error:
            raise translated(error, self.address) from error
        self._check(answer)
        return answer

    def _check(self, answer: httpx.Response) -> None:
        if answer.status_code >= 400:
            raise error_of(answer.status_code, _json_object(answer) or {}, _retry_after_s(answer))
        if answer.status_code >= 300:
            target = answer.headers.get("Location", "nowhere")[:200]
            raise UnexpectedAnswer(f"{self.address} redirects to {target!r}: give the address that it means")


def translated(error: Exception, address: str) -> ClientError:
    """Ours, for one of httpx's."""
    said = str(error) or type(error).__name__
    if isinstance(error, UNREADABLE):
        return UnexpectedAnswer(f"{address} answered what cannot be read: {said}")
    if isinstance(error, UNSENDABLE):
        return InvalidRequest(f"{address}: cannot be asked: {said}")
    if isinstance(error, UNSENT):
        return Unreachable(f"{address} cannot be reached: {said}", False)
    return Unreachable(f"{address} gave no whole answer: {said}", True)


def waiting_s(error: ApiError | Unreachable, done: int) -> float:
    """Seconds to wait before the repetition after `done` others: what the service said, else longer each time."""
    asked = error.retry_after_s if isinstance(error, ApiError) else None
    return FIRST_WAIT_S * 2.0**done if asked is None else asked


def json_text(value: Mapping[str, Any]) -> str:
    """As JSON, with times of RFC 3339. Raises InvalidRequest, and TypeError or ValueError as `json` does."""
    return json.dumps(value, allow_nan=False, default=_plain)


def check_key(key: str) -> str:
    """The key without the line end that a file has. Raises InvalidRequest, without showing it."""
    found = key.strip()
    if not (found.isascii() and found.isprintable()):
        raise InvalidRequest("key: has characters that no key has")
    return found


def _may_repeat(error: ApiError | Unreachable, safe: bool) -> bool:
    if isinstance(error, Unreachable):
        return safe or not error.maybe_done
    return safe or isinstance(error, TooManyRequests)


def _parse_address(base_url: str) -> tuple[str, str]:
    """The address to put paths behind, and how messages show it: without a login. Raises InvalidRequest."""
    shown = base_url.rpartition("@")[2][:100]
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise InvalidRequest(f"base_url: {shown!r} is no address: {error}") from error
    port = url.port
    if url.scheme not in ("http", "https") or not url.host or url.query or url.fragment:
        raise InvalidRequest(f"base_url: {shown!r}; one such as http://127.0.0.1:5000 is expected")
    if port is not None and not 1 <= port <= 65_535:
        raise InvalidRequest(f"base_url: port {port}; 1 to 65535 is expected")
    return base_url.rstrip("/"), str(url.copy_with(userinfo=b"")).rstrip("/")


def _present(query: Query | None) -> dict[str, str | int | bool]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _encoded(body: Mapping[str, Any] | Form | None) -> dict[str, Any]:
    if body is None:
        return {}
    if not isinstance(body, Form):
        return {"content": json_text(body).encode(), "headers": {"Content-Type": "application/json"}}
    # The service calls a picture by its upload's name without folders where nothing else names it: this leaves "".
    pictures = [("image", ("/", data, "application/octet-stream")) for data in body.pictures]
    return {"files": [*pictures, ("params", (None, json_text(body.params).encode(), "application/json"))]}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise InvalidRequest(f"{value}: a time with its time zone is expected")
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON")


def _json_object(answer: httpx.Response) -> dict[str, Any] | None:
    try:
        found = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _retry_after_s(answer: httpx.Response) -> float | None:
    """Seconds; the header has a number of them, or a date."""
    given = answer.headers.get("Retry-After", "").strip()
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        when = parsedate_to_datetime(given)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max((when - datetime.now(UTC)).total_seconds(), 0.0)
