"""How much one caller may ask for, and how much is worked on at once; past that 429 with Retry-After."""

from __future__ import annotations

import hashlib
import threading

from flask import Flask, current_app, g, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import TooManyRequests

from image_search.api.auth import Keys, presented_key
from image_search.config import Settings

_COSTLY = frozenset({"search.search", "insert.insert"})
"""Endpoints that decode and embed a picture."""
_LIMITED = _COSTLY | {"images.delete_image", "indexing.start_indexing"}


def register_limits(app: Flask, settings: Settings) -> None:
    """Limit requests by `security.requests_per_minute` and `http_server.max_at_once`; 0 = no limit.

    Counted in this process: several workers allow as many times as much.
    """
    if per_minute := settings.security.requests_per_minute:
        Limiter(
            _caller,
            app=app,
            default_limits=[f"{per_minute} per minute"],
            # One allowance for all endpoints together, whichever a caller uses.
            default_limits_per_method=False,
            default_limits_exempt_when=lambda: request.endpoint not in _LIMITED,
            storage_uri="memory://",
        )
    if at_once := settings.http_server.max_at_once:
        _limit_at_once(app, threading.BoundedSemaphore(at_once))


def _limit_at_once(app: Flask, places: threading.BoundedSemaphore) -> None:
    @app.before_request
    def enter() -> None:
        if request.endpoint in _COSTLY:
            if not places.acquire(blocking=False):
                raise TooManyRequests
            g.has_place = True

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if g.pop("has_place", False):
            places.release()


def _caller() -> str:
    """Who is counted: the key where a valid one is presented (never kept in clear), else the address."""
    keys: Keys = current_app.extensions["keys"]
    key = presented_key()
    # An invented key must not buy a new allowance.
    return hashlib.sha256(key.encode()).hexdigest() if keys.role_of(key) else get_remote_address()
