"""Servers that answer by a script, for the tests of fetching, and the fetchers that may go to them."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from image_search.errors import FetchError
from image_search.fetching import NOT_FETCHED, Resolver, UrlFetcher, UrlPolicy
from tests.support import draw, jpeg

PICTURE = jpeg(draw((220, 30, 30)))
PATIENT = UrlPolicy(connect_s=60, read_s=60, total_s=120, at_once=8)
"""For what should succeed, be the machine ever so busy."""
HURRIED = UrlPolicy(connect_s=0.3, read_s=0.3, total_s=0.5)

Script = Callable[["Peer"], None]


class Peer:
    """The server's side of one connection, after the request was read."""

    def __init__(self, sock: socket.socket, request: bytes, stopped: threading.Event) -> None:
        self.sock, self.request, self.stopped = sock, request, stopped
        self.path = request.split(b" ")[1].decode()

    def drip(self, data: bytes) -> None:
        """Byte by byte, over and over, for more than a minute if the other side lets it."""
        for byte in itertools.islice(itertools.cycle(data), 3000):
            if self.stopped.wait(0.03):
                return
            self.sock.sendall(bytes([byte]))


class Server(socketserver.ThreadingTCPServer):
    """Answers each connection by its script and keeps the requests."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, script: Script, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None) -> None:
        self.script, self.tls, self.stopped = script, tls, threading.Event()
        self.requests: list[bytes] = []
        self.accepted = 0
        super().__init__((host, port), None)  # type: ignore[arg-type]
        self.port = int(self.server_address[1])

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.accepted += 1
        with contextlib.suppress(OSError):
            sock = self.tls.wrap_socket(request, server_side=True) if self.tls else request
            received = b""
            while b"\r\n\r\n" not in received and (more := sock.recv(65536)):
                received += more
            if received:
                self.requests.append(received)
                self.script(Peer(sock, received, self.stopped))
            sock.close()


Serve = Callable[..., Server]


@contextlib.contextmanager
def servers() -> Iterator[Serve]:
    """What starts servers; all of them stop at the end."""
    with contextlib.ExitStack() as running:

        def start(script: Script | bytes, **options: Any) -> Server:
            answer = script if callable(script) else lambda peer: peer.sock.sendall(script)
            server = Server(answer, **{"tls": None, **options})
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            running.callback(server.server_close)
            running.callback(server.shutdown)
            running.callback(server.stopped.set)
            return server

        yield start


def answer(body: bytes = PICTURE, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, *([f"Content-Length: {len(body)}"] if length else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(b"", f"Location: {location}", status=status)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    parts = [b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks]
    return answer(b"".join(parts) + end, "Transfer-Encoding: chunked", length=False)


def forever(head: bytes, block: bytes) -> Script:
    def script(peer: Peer) -> None:
        peer.sock.sendall(head)
        while not peer.stopped.is_set():
            peer.sock.sendall(block)

    return script


def always(*addresses: str) -> Resolver:
    return lambda name, port: list(addresses)


def allowing(*servers: Server, policy: UrlPolicy = PATIENT, **options: Any) -> UrlFetcher:
    """A fetcher that may go to these servers."""
    allow = tuple(f"{server.server_address[0]}:{server.port}" for server in servers)
    return UrlFetcher(replace(policy, allow=allow), **options)


def refusal(fetcher: UrlFetcher, url: str) -> FetchError:
    """The error, which has the one text for all."""
    with pytest.raises(FetchError) as caught:
        fetcher.fetch(url)
    assert str(caught.value) == NOT_FETCHED
    return caught.value


def local(server: Server, path: str = "/x.jpg", scheme: str = "http") -> str:
    return f"{scheme}://127.0.0.1:{server.port}{path}"


def server_certificate(name: str) -> bytes:
    """PEM of a fresh key and its self-signed certificate for `name`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
