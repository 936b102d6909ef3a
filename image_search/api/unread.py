"""What a refused request leaves unread is read and thrown away, within bounds of bytes and of time."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

from flask import Flask, Response, request

DISCARDED_REQUESTS = 4
"""So many times the largest request is read of one that is refused; a client that sends still more is cut off."""
LINGER_S = 2.0
"""So long a refused client may go on sending before it is cut off: it holds a thread meanwhile."""
_PIECE_BYTES = 65_536


def register_discarding(app: Flask, max_request_bytes: int) -> None:
    """No refusal (no key, too large) is lost because its request's body was not read, and none holds a thread.

    A server that closes with something unread resets the connection, and a client that is still sending never sees
    the answer. What has come is read before the answer; if there is more to come, the answer goes out at once and is
    the connection's last one.
    """
    most_bytes = max_request_bytes * DISCARDED_REQUESTS

    @app.after_request
    def discard(response: Response) -> Response:
        if not request.environ.get("wsgi.input_terminated"):
            return response
        body, connection = request.environ["wsgi.input"], request.environ.get("gunicorn.socket")
        if connection is None:
            # Another server, as tests and notebooks use: it has no threads to run out of.
            with contextlib.suppress(OSError):
                _read(body, most_bytes)
        elif not _read_what_has_come(body, connection, most_bytes):
            body.close_after_answer()
            response.call_on_close(lambda: _linger(connection, most_bytes))
        return response


def _read(body: Any, most_bytes: int) -> bool:
    """Whether this was all of it."""
    until_s, left = time.monotonic() + LINGER_S, most_bytes
    while left > 0 and time.monotonic() < until_s:
        piece = body.read(min(left, _PIECE_BYTES))
        if not piece:
            return True
        left -= len(piece)
    return False


def _read_what_has_come(body: Any, connection: socket.socket, most_bytes: int) -> bool:
    """Whether this was all of it. Waits for nothing: a time limit of the socket would count anew for every byte."""
    before_s = connection.gettimeout()
    try:
        connection.settimeout(0)
        return _read(body, most_bytes)
    except OSError:
        return False
    finally:
        connection.settimeout(before_s)


def _linger(connection: socket.socket, most_bytes: int) -> None:
    """The answer is out: let the client come to see it."""
    until_s, left = time.monotonic() + LINGER_S, most_bytes
    before_s = connection.gettimeout()
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while left > 0 and (remaining_s := until_s - time.monotonic()) > 0:
            connection.settimeout(remaining_s)
            piece = connection.recv(_PIECE_BYTES)
            if not piece:
                break
            left -= len(piece)
    with contextlib.suppress(OSError):
        # gunicorn would wait likewise, in the one thread that takes new connections: for it this one is at its end.
        connection.shutdown(socket.SHUT_RD)
        connection.settimeout(before_s)
