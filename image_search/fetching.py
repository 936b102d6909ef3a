"""A picture by its URL, safe by default: the one place that opens a connection to an address a user gave.

    text -> Target (one parser, for the check and for the connection) -> every address of the name, all checked
         -> a socket to a checked address -> TLS for the name -> GET -> bytes within the limits

http.client does the HTTP: over a socket that is made here it follows no redirect, reads no proxy variable, keeps no
cookie and decodes no body, which an HTTP client (urllib3, httpx2) would have to be told one by one; and every read goes
through one object that knows the deadline.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import ipaddress
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, cast

from image_search.errors import (
    BackendError,
    ConfigError,
    FetchError,
    ImageTooLarge,
    InvalidParameter,
    NotAdmitted,
    UnsupportedFormat,
)
from image_search.http_headers import content_range, retry_after_s, validator
from image_search.urls import FIELD, Allowed, IPAddress, Target, check_characters, is_lan, is_public

Resolver = Callable[[str, int], list[str]]
"""(name, port) -> every address of the name, as text; raises OSError where there is none."""

NOT_FETCHED = "the address cannot be fetched"
"""The one text for blocked, refused, unreachable, too slow and wrong: nobody learns from it what is on the inside."""

_REDIRECTS = (301, 302, 303, 307, 308)
_TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
_WEB_PAGES = ("text/html", "application/xhtml+xml")
_MAX_ADDRESSES_TRIED = 4
_LOOKUPS_AT_ONCE = 16
_CHUNK_BYTES = 1 << 14
_HEADERS = {
    "Accept": "image/*,*/*;q=0.5",
    "Accept-Encoding": "identity",
    "Connection": "close",
}


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """What may be fetched, and how much of it."""

    mode: Literal["off", "allowlist", "public"] = "public"
    """`public`: every global address and what `allow` lists; `allowlist`: only what `allow` lists."""
    allow: tuple[str, ...] = ()
    """Host names, IP addresses and networks, each with `:port` where it is another than those of `ports`. A name may
    lead into the LAN; any other address that is not global is reached only where itself or its network is listed."""
    ports: tuple[int, ...] = (80, 443)
    connect_s: float = 3.0
    """For each attempt to connect, and for the TLS handshake."""
    read_s: float = 5.0
    """For each wait for the next bytes."""
    total_s: float = 10.0
    """For everything: look-up, redirects, headers and body."""
    max_bytes: int = 20_000_000
    max_redirects: int = 3
    at_once: int = 4
    """Fetches at one time; a further one is refused: to wait would hold one more of the server's threads."""
    user_agent: str = "image-search"
    """What servers are told of us."""


@dataclass(frozen=True, slots=True)
class UrlAnswer:
    """What came back from an address; its body is read while the connection is open, and once."""

    url: str
    """Where it came from, or, of a redirect that was not followed, where it leads: judged by its form only."""
    chunks: Iterator[bytes]
    """The body as it comes; raises as `UrlFetcher.fetch` does. Empty for a redirect."""
    moved: bool = False
    """It is a redirect that was not followed."""
    start: int = 0
    """Position of the body's first byte in the whole: not 0 only where the server goes on from where it was asked."""
    total_bytes: int | None = None
    """Size of the whole; None = not told."""
    validator: str = ""
    """Stands for this content, so that a later request can go on with it; "" = it cannot."""


class UrlFetcher:
    """Fetches pictures by their URL within a policy; safe to call from several threads.

    `resolve` stands in for the system's look-up, `tls` for the certificates that the system trusts.
    Raises ConfigError for an entry of `allow` that is no host, address or network, and for a user agent that is no
    header.
    """

    def __init__(
        self, policy: UrlPolicy, *, resolve: Resolver | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        if not policy.user_agent.isascii() or not policy.user_agent.isprintable():
            raise ConfigError(f"user agent {policy.user_agent!r}: must be one line of ASCII")
        self._policy = policy
        self._allow = [Allowed.parse(text) for text in policy.allow]
        self._resolve = resolve or _system_resolve
        self._given_tls = tls
        # The system's look-up takes no time limit: it is waited for, and left behind when the time is over. The pool
        # starts its threads at the first look-up, so after a server's fork.
        self._lookups = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="lookup")
        self._places = threading.BoundedSemaphore(policy.at_once)

    def fetch(self, url: str, *, within_s: float | None = None) -> bytes:
        """The body behind `url`, as it was sent; whether it is a picture is for the decoder to say.

        `within_s`: what is left to the caller, where that may be less than `total_s`.

        Raises InvalidParameter (fetching is off, or the text is no acceptable address), ImageTooLarge,
        UnsupportedFormat (a web page), BackendError (too many fetches are under way), FetchError (everything else,
        with one text; the cause is for the log).
        """
        with self.open(url, within_s=within_s) as answer:
            return b"".join(answer.chunks)

    @contextlib.contextmanager
    def open(
        self, url: str, *, start: int = 0, same_as: str = "", follow: bool = True, within_s: float | None = None
    ) -> Iterator[UrlAnswer]:
        """The answer of `url`, whose body is read inside the `with`.

        With `start` the server is asked to go on at that byte, and with `same_as` (an earlier answer's validator) only
        if its content is still that one; it may begin at 0 all the same. Without `follow` a redirect is handed back.

        Raises what `fetch` does.
        """
        if self._policy.mode == "off":
            raise InvalidParameter(FIELD, "fetching pictures by their address is switched off; send the picture itself")
        target = self._accept(url)
        total_s = self._policy.total_s
        deadline = _Deadline(total_s if within_s is None else min(total_s, within_s))
        headers = {"Range": f"bytes={start}-"} if start else {}
        if start and same_as:
            headers["If-Range"] = same_as
        with contextlib.ExitStack() as opened:
            opened.enter_context(self._place())
            with _translate_errors():
                answer = self._answer(target, deadline, headers, follow, opened)
            yield answer

    def _answer(
        self,
        target: Target,
        deadline: _Deadline,
        headers: Mapping[str, str],
        follow: bool,
        opened: contextlib.ExitStack,
    ) -> UrlAnswer:
        for _ in range(self._policy.max_redirects + 1):
            with contextlib.ExitStack() as hop:
                response = hop.enter_context(self._get(target, deadline, headers))
                if response.status not in _REDIRECTS:
                    answer = self._checked(response, target, headers)
                    opened.push(hop.pop_all())
                    return answer
                location = response.getheader("Location")
            target = self._redirected(target, location)
            if not follow:
                return UrlAnswer(target.url, iter(()), moved=True)
        raise _Refused(f"more than {self._policy.max_redirects} redirects")

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise BackendError("too many pictures are being fetched at once", retryable=True)
        try:
            yield
        finally:
            self._places.release()

    def _accept(self, url: str) -> Target:
        target = Target.parse(url)
        ports = {*self._policy.ports, *(allowed.port for allowed in self._allow if allowed.port)}
        if target.port not in ports:
            known = ", ".join(str(port) for port in self._policy.ports)
            reason = f"port {target.port} is not accepted; accepted are {known}"
            raise NotAdmitted(FIELD, reason, admitted_by=target.admitted_by())
        return target

    def _redirected(self, target: Target, location: str | None) -> Target:
        if not location:
            raise _Refused("a redirect to nowhere")
        # http.client reads headers as Latin-1; an address that is not ASCII is UTF-8 nowadays.
        text = location.encode("latin-1").decode("utf-8")
        try:
            # Before joining too, which would quietly drop tabs and line ends.
            check_characters(text)
            return self._accept(urllib.parse.urljoin(target.url, text))
        except InvalidParameter as error:
            entry = error.admitted_by if isinstance(error, NotAdmitted) else ""
            reason = f"a redirect to what is no acceptable address ({error.reason})"
            raise _Refused(reason, admitted_by=entry) from error

    def _addresses(self, target: Target, deadline: _Deadline) -> list[IPAddress]:
        """Every address of the host, in the resolver's order; raises _Refused if a single one is not admitted."""
        if target.address is not None:
            addresses = [target.address]
        else:
            lookup = self._lookups.submit(self._resolve, target.host, target.port)
            try:
                texts = lookup.result(timeout=deadline.left_s())
            finally:
                lookup.cancel()
            addresses = list(dict.fromkeys(ipaddress.ip_address(text) for text in texts))
        for address in addresses:
            if not self._admits(target, address):
                unknown = "neither public nor" if self._policy.mode == "public" else "not"
                reason = f"{target.host} is at {address}, which is {unknown} listed in url_fetch.allow"
                raise _Refused(reason, admitted_by=target.admitted_by(address))
        if not addresses:
            raise _Refused(f"{target.host} has no address")
        return addresses

    def _admits(self, target: Target, address: IPAddress) -> bool:
        usual = target.port in self._policy.ports
        listed = [a for a in self._allow if a.port == target.port or (a.port is None and usual)]
        if any(a.network is not None and address in a.network for a in listed):
            return True
        if any(a.name == target.host for a in listed):
            return is_public(address) or is_lan(address)
        return self._policy.mode == "public" and usual and is_public(address)

    def _connect(self, target: Target, deadline: _Deadline) -> socket.socket:
        failure: OSError | None = None
        for address in self._addresses(target, deadline)[:_MAX_ADDRESSES_TRIED]:
            try:
                # A numeric address, so nothing is looked up a second time.
                return socket.create_connection(
                    (str(address), target.port), timeout=deadline.left_s(self._policy.connect_s)
                )
            except OSError as error:
                failure = error
        raise failure or OSError("no address")

    @contextlib.contextmanager
    def _get(
        self, target: Target, deadline: _Deadline, headers: Mapping[str, str]
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer to a GET, its headers read; connection and answer are closed on the way out."""
        with contextlib.ExitStack() as opened:
            sock = opened.enter_context(self._connect(target, deadline))
            if target.scheme == "https":
                sock.settimeout(deadline.left_s(self._policy.connect_s))
                sock = opened.enter_context(self._tls.wrap_socket(sock, server_hostname=target.host))
            timed = _TimedSocket(sock, deadline, self._policy.read_s, max_bytes=2 * self._policy.max_bytes + (1 << 20))
            connection = http.client.HTTPConnection(target.host, target.port)
            connection.auto_open = 0
            connection.sock = cast(socket.socket, timed)
            connection.putrequest("GET", target.path, skip_host=True, skip_accept_encoding=True)
            agent = {"User-Agent": self._policy.user_agent}
            for name, value in {"Host": target.authority, **_HEADERS, **agent, **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            yield opened.enter_context(connection.getresponse())

    def _checked(self, response: http.client.HTTPResponse, target: Target, asked: Mapping[str, str]) -> UrlAnswer:
        """The answer, its body still to come. Raises _Refused, ImageTooLarge, UnsupportedFormat."""
        if response.status != 200 and not (response.status == 206 and asked):
            raise _Refused(
                f"status {response.status}",
                retryable=response.status in _TEMPORARY,
                status=response.status,
                retry_after_s=retry_after_s(response.getheader("Retry-After")),
            )
        if response.getheader("Content-Encoding", "").strip().lower() not in ("", "identity"):
            raise _Refused("a compressed body, which was not asked for")
        if response.getheader("Transfer-Encoding") and not response.chunked:
            raise _Refused("a transfer encoding other than chunked")
        length = response.getheader("Content-Length")
        if length is not None and not response.chunked and not length.strip().isdecimal():
            raise _Refused("a Content-Length that is no number")
        if response.getheader("Content-Type", "").partition(";")[0].strip().lower() in _WEB_PAGES:
            raise UnsupportedFormat(f"{FIELD}: the address gives a web page, not a picture")
        start, total = 0, response.length
        if response.status == 206:
            part = content_range(response.getheader("Content-Range", ""))
            if part is None or asked["Range"] != f"bytes={part[0]}-":
                raise _Refused("a part that was not asked for")
            start, total = part
        if response.length is not None and start + response.length > self._policy.max_bytes:
            raise _too_large(self._policy.max_bytes)
        return UrlAnswer(
            target.url,
            self._chunks(response, self._policy.max_bytes - start),
            start=start,
            total_bytes=total,
            validator=validator(response.getheader("ETag", ""), response.getheader("Last-Modified", "")),
        )

    def _chunks(self, response: http.client.HTTPResponse, max_bytes: int) -> Iterator[bytes]:
        size = 0
        # Around the reading only: what the one who reads them raises is not the network's fault.
        while chunk := _read_chunk(response):
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(self._policy.max_bytes)
            yield chunk

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        return self._given_tls or ssl.create_default_context()


def _read_chunk(response: http.client.HTTPResponse) -> bytes:
    """The next bytes of the body, b"" at its end."""
    with _translate_errors():
        chunk = response.read(_CHUNK_BYTES)
        if not chunk and response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return chunk


def _system_resolve(name: str, port: int) -> list[str]:
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class _Deadline:
    """The end of a fetch on the monotonic clock."""

    def __init__(self, total_s: float) -> None:
        self._ends_s = time.monotonic() + total_s

    def left_s(self, at_most_s: float = float("inf")) -> float:
        """Seconds that may still be waited, more than 0. Raises TimeoutError."""
        left = self._ends_s - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time for the whole fetch is over")
        return min(left, at_most_s)


class _TimedSocket:
    """As much of a socket as http.client uses; every wait ends at the deadline, be the bytes ever so few at a time."""

    def __init__(self, sock: socket.socket, deadline: _Deadline, read_s: float, *, max_bytes: int) -> None:
        self._sock, self._deadline, self._read_s = sock, deadline, read_s
        self._bytes_left = max_bytes

    def sendall(self, data: bytes) -> None:
        self._sock.settimeout(self._deadline.left_s(self._read_s))
        self._sock.sendall(data)

    def recv_into(self, buffer: memoryview) -> int:
        self._sock.settimeout(self._deadline.left_s(self._read_s))
        count = self._sock.recv_into(buffer)
        # http.client reads a chunk of size "-1" until the end, however far that is.
        self._bytes_left -= count
        if self._bytes_left < 0:
            raise _Refused("more bytes than any picture within the limit needs")
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Nothing: http.client closes the socket before the body is read; whoever opened it closes it."""


class _Reader(io.RawIOBase):
    def __init__(self, sock: _TimedSocket) -> None:
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._sock.recv_into(buffer)


class _Refused(Exception):
    """Why a fetch was given up, for the log."""

    def __init__(
        self,
        reason: str,
        *,
        retryable: bool = False,
        status: int | None = None,
        retry_after_s: float | None = None,
        admitted_by: str = "",
    ) -> None:
        super().__init__(reason)
        self.retryable, self.status, self.retry_after_s = retryable, status, retry_after_s
        self.admitted_by = admitted_by


@contextlib.contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except (_Refused, OSError, http.client.HTTPException, ValueError) as error:
        refused = error if isinstance(error, _Refused) else _Refused("")
        raise FetchError(
            NOT_FETCHED,
            retryable=refused.retryable or _may_pass(error),
            reason=_told(error),
            status=refused.status,
            retry_after_s=refused.retry_after_s,
            admitted_by=refused.admitted_by,
        ) from error


def _told(error: Exception) -> str:
    """What happened, in words for the log."""
    if isinstance(error, http.client.IncompleteRead):
        return "the answer was cut short"
    if isinstance(error, http.client.HTTPException):
        # Its text is the other side's.
        return "no HTTP answer that can be read"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _may_pass(error: Exception) -> bool:
    """Whether the same fetch may succeed later, as far as the system's errors tell."""
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, ssl.SSLCertVerificationError):
        return False
    return isinstance(error, OSError | http.client.IncompleteRead)


def _too_large(limit: int) -> ImageTooLarge:
    return ImageTooLarge(f"the picture at that address has more than the {limit:,} bytes that are accepted")
