"""Servers behind nginx that answer as a test wants, or not at all; and a client before it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from deploy.stack.web import Web


@contextmanager
def upstream(answer: bytes | None, when: threading.Event | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """host:port of a server that reads each request and answers so, or breaks off (None); and what it was sent.

    It answers when the event is set.
    """
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    data = b""
                    while b"\r\n\r\n" not in data and (piece := connection.recv(65_536)):
                        data += piece
                    if data:
                        requests.append(data)
                        if when is not None:
                            when.wait()
                        if answer is not None:
                            connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        host, port = listener.getsockname()
        yield f"{host}:{port}", requests
        if when is not None:
            when.set()
        listener.shutdown(socket.SHUT_RDWR)


@contextmanager
def nobody_there() -> Iterator[str]:
    """host:port where connections are refused, held meanwhile: nginx itself could be given a port that is just free."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{held.getsockname()[1]}"


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def client_of(running: Web) -> httpx.Client:
    return httpx.Client(base_url=running.https, verify=running.trust, trust_env=False, timeout=60)
