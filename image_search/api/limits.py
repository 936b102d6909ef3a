"""How much one caller may ask for, and how much is worked on at once; past that 429 with Retry-After."""

from __future__ import annotations

import hashlib
import math
import threading
import time

from flask import Flask, current_app, g, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from werkzeug.exceptions import TooManyRequests

from image_search.api.access import settings
from image_search.api.auth import Keys, presented_key
from image_search.config import Settings
from image_search.errors import InvalidParameter


class Allowance:
    """What each caller may still ask for in this minute, over all endpoints together.

    Counted in this process: several workers allow as many times as much.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._limit = RateLimitItemPerMinute(per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    def take(self, caller: str, amount: int) -> None:
        """Take that much of it. Raises TooManyRequests, and takes nothing, where there is not so much left."""
        if not self._limiter.hit(self._limit, caller, cost=amount):
            left_s = self._limiter.get_window_stats(self._limit, caller).reset_time - time.time()
            raise TooManyRequests(retry_after=max(1, math.ceil(left_s)))


def register_limits(app: Flask, known: Settings) -> None:
    """Limit requests by `security.requests_per_minute` and `http_server.max_at_once`; 0 = no limit."""
    if per_minute := known.security.requests_per_minute:
        allowance = app.extensions["allowance"] = Allowance(per_minute)

        @app.before_request
        def count() -> None:
            if _cost() != "none":
                allowance.take(_caller(), 1)

    if at_once := known.http_server.max_at_once:
        _limit_at_once(app, threading.BoundedSemaphore(at_once))


def take_batch(field: str, count: int) -> None:
    """Count each of a batch's items, the first of which the request itself has counted, for the caller.

    Raises TooManyRequests; InvalidParameter where no wait would help.
    """
    allowance: Allowance | None = current_app.extensions.get("allowance")
    if allowance is None:
        return
    if count > allowance.per_minute:
        limit = f"{allowance.per_minute:,} requests a minute that are allowed"
        raise InvalidParameter(field, f"has {count:,} of them, more than the {limit}")
    if count > 1:
        allowance.take(_caller(), count - 1)


class BatchTime:
    """The time, from now on, within which the addresses of one batch are fetched: slow ones hold its thread."""

    def __init__(self) -> None:
        self._ends_s = time.monotonic() + settings().url_fetch.batch_s

    def left_s(self) -> float:
        """Seconds, 0 where it is over."""
        return max(0.0, self._ends_s - time.monotonic())


def _limit_at_once(app: Flask, places: threading.BoundedSemaphore) -> None:
    @app.before_request
    def enter() -> None:
        if _cost() == "picture":
            if not places.acquire(blocking=False):
                raise TooManyRequests
            g.has_place = True

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        if g.pop("has_place", False):
            places.release()


def _cost() -> str:
    return getattr(current_app.view_functions.get(request.endpoint or ""), "cost", "none")


def _caller() -> str:
    """Who is counted: the key where a valid one is presented (never kept in clear), else the address."""
    keys: Keys = current_app.extensions["keys"]
    key = presented_key()
    # An invented key must not buy a new allowance.
    return hashlib.sha256(key.encode()).hexdigest() if keys.role_of(key) else (request.remote_addr or "unknown")
