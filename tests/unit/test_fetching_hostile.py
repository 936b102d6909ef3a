"""A picture by its URL from servers that mean harm, or just fail."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import time
from dataclasses import replace

import pytest

from image_search.errors import ImageTooLarge, UnsupportedFormat
from image_search.fetching import UrlFetcher
from tests.url_servers import (
    HURRIED,
    PATIENT,
    PICTURE,
    Script,
    Serve,
    allowing,
    always,
    answer,
    chunked,
    forever,
    local,
    redirect,
    refusal,
    server_certificate,
)

NAME = "pictures.example"


@pytest.mark.parametrize(
    "script",
    [
        lambda peer: peer.stopped.wait(),
        lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\n"),
        lambda peer: peer.drip(b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda peer: (peer.sock.sendall(b"HTTP/1.1 200 OK\r\n"), peer.drip(b"X-Header: value")),
        lambda peer: (peer.sock.sendall(answer(b"", length=False)), peer.drip(b"x")),
        lambda peer: (peer.sock.sendall(answer(b"", "Content-Length: 1000", length=False)), peer.drip(b"x")),
        lambda peer: (peer.sock.sendall(chunked(b"x", end=b"")), peer.drip(b"1\r\nx\r\n")),
        lambda peer: (peer.sock.sendall(chunked(b"x", end=b"0\r\n")), peer.drip(b"X-Trailer: 1\r\n")),
        lambda peer: (peer.stopped.wait(0.2), peer.sock.sendall(redirect("/x.jpg"))),
    ],
    ids=["silence", "status", "continue", "headers", "body", "length", "chunks", "trailers", "redirects"],
)
def test_a_slow_server_is_left_in_time(serve: Serve, script: Script) -> None:
    server = serve(script)
    began = time.monotonic()
    assert refusal(allowing(server, policy=HURRIED), local(server)).retryable
    assert time.monotonic() - began < 60


CHUNKED = answer(b"", "Transfer-Encoding: chunked", length=False)


@pytest.mark.parametrize(
    "script",
    [
        forever(answer(b"", length=False), bytes(4096)),
        forever(CHUNKED, b"1000\r\n" + bytes(4096) + b"\r\n"),
        answer(b"", "Content-Length: 100001", length=False),
        answer(b"", "Content-Length: 99999999999999999999999", length=False),
    ],
    ids=["endless", "chunks", "announced", "astronomic"],
)
def test_more_bytes_than_the_limit_are_refused(serve: Serve, script: Script | bytes) -> None:
    server = serve(script)
    with pytest.raises(ImageTooLarge, match="100,000"):
        allowing(server, policy=replace(PATIENT, max_bytes=100_000)).fetch(local(server))


def test_exactly_the_limit_is_accepted(serve: Serve) -> None:
    server = serve(answer(length=False))
    assert allowing(server, policy=replace(PATIENT, max_bytes=len(PICTURE))).fetch(local(server)) == PICTURE
    with pytest.raises(ImageTooLarge):
        allowing(server, policy=replace(PATIENT, max_bytes=len(PICTURE) - 1)).fetch(local(server))


BODY_LEAK = b"upstream secret"


@pytest.mark.parametrize(
    ("script", "retryable"),
    [
        (forever(b"HTTP/1.1 200 OK\r\n", b"X-Header: 1\r\n"), False),
        (forever(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 4096), False),
        (forever(CHUNKED, b"-1\r\n" + bytes(4096)), False),
        (forever(CHUNKED, b"x" * 4096), False),
        (answer(gzip.compress(PICTURE), "Content-Encoding: gzip"), False),
        (answer(gzip.compress(bytes(1_000_000)), "Content-Encoding: identity, gzip"), False),
        (answer(gzip.compress(PICTURE), "Transfer-Encoding: gzip, chunked"), False),
        (answer(PICTURE, f"Content-Length: {len(PICTURE) + 1}", length=False), True),
        (answer(PICTURE, "Content-Length: -1", length=False), False),
        (answer(PICTURE, "Content-Length: many", length=False), False),
        (answer(PICTURE, "Content-Length: 5"), False),
        (chunked(PICTURE, end=b""), True),
        (chunked(PICTURE, end=b"100\r\ncut short"), True),
        (answer(BODY_LEAK, status="404 upstream secret"), False),
        (answer(BODY_LEAK, status="403 Forbidden"), False),
        (answer(BODY_LEAK, status="500 Oh"), True),
        (answer(BODY_LEAK, status="503 Busy"), True),
        (answer(PICTURE, status="206 Partial Content"), False),
        (answer(b"", status="204 No Content"), False),
        (answer(b"", status="304 Not Modified"), False),
        (answer(b"", status="302 To nowhere"), False),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH_9.6\r\n", False),
        (b"+PONG\r\n", False),
        (b"HTTP/9.9 200 OK\r\n\r\n", False),
        (b"", True),
        (lambda peer: peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)), True),
    ],
)
def test_whatever_else_goes_wrong_has_the_one_text(serve: Serve, script: Script | bytes, retryable: bool) -> None:
    server = serve(script)
    error = refusal(allowing(server, policy=replace(PATIENT, max_bytes=100_000)), local(server))
    assert error.retryable is retryable
    assert error.__cause__ is not None, "the log can say why"


def test_nobody_listens(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    fetcher = UrlFetcher(replace(PATIENT, allow=(f"127.0.0.1:{port}",)))
    assert refusal(fetcher, f"http://127.0.0.1:{port}/").retryable


@pytest.mark.parametrize("kind", ["text/html", "Text/HTML; charset=utf-8", "application/xhtml+xml"])
def test_a_web_page_is_said_to_be_one(serve: Serve, kind: str) -> None:
    server = serve(answer(b"<html>", f"Content-Type: {kind}"))
    with pytest.raises(UnsupportedFormat, match="a web page, not a picture"):
        allowing(server).fetch(local(server))


def test_proxy_variables_are_not_read(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server, proxy = serve(answer()), serve(answer(b"from the proxy"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
    assert allowing(server).fetch(local(server)) == PICTURE
    assert proxy.accepted == 0


# TLS


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's side, client's side) of a certificate for pictures.example."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(server_certificate(NAME))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))


Certified = tuple[ssl.SSLContext, ssl.SSLContext]


def test_the_certificate_is_checked_for_the_name_not_the_address(serve: Serve, certified: Certified) -> None:
    names: list[str] = []
    server = serve(answer(), tls=certified[0])
    certified[0].sni_callback = lambda sock, name, context: names.append(name)
    fetcher = allowing(server, resolve=always("127.0.0.1"), tls=certified[1])
    assert fetcher.fetch(f"https://{NAME.upper()}.:{server.port}/x.jpg") == PICTURE
    assert f"\r\nHost: {NAME}:{server.port}\r\n".encode() in server.requests[0]
    for url in (f"https://other.example:{server.port}/", local(server, scheme="https")):
        assert not refusal(fetcher, url).retryable
    assert len(server.requests) == 1
    assert names[:2] == [NAME, "other.example"]


def test_a_certificate_that_nobody_vouches_for_is_refused(serve: Serve, certified: Certified) -> None:
    server = serve(answer(), tls=certified[0])
    fetcher = allowing(server, resolve=always("127.0.0.1"))
    assert not refusal(fetcher, f"https://{NAME}:{server.port}/").retryable
    assert server.requests == []


def test_tls_is_left_in_time_too(serve: Serve, certified: Certified) -> None:
    silent = serve(lambda peer: peer.stopped.wait())
    refusal(allowing(silent, policy=HURRIED), local(silent, scheme="https"))
    slow = serve(lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\n"), tls=certified[0])
    fetcher = allowing(slow, policy=HURRIED, resolve=always("127.0.0.1"), tls=certified[1])
    assert refusal(fetcher, f"https://{NAME}:{slow.port}/").retryable
