"""Clients that ask for something again and again, and a tally of what they were answered."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx

from deploy.stack.processes import Stack

Ask = Callable[[httpx.Client, int], httpx.Response]
"""One request; the number counts up."""


BROKE_OFF = "broke off half-way"


@dataclass
class Tally:
    """Answers by kind of request. Filled by several threads."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By (kind of request, outcome): a status, "503 problem", or what is wrong with the answer."""
    slowest_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    """Answers that must not be: the first few, in words."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, kind: str, answer: httpx.Response | Exception, took_s: float) -> None:
        """Count it."""
        outcome, fault = judge(answer)
        with self._lock:
            self.outcomes[kind, outcome] += 1
            self.slowest_s = max(self.slowest_s, took_s)
            if fault and len(self.wrong) < 20:
                self.wrong.append(f"{kind}: {fault}")

    def count(self, outcome: str = "", kind: str = "") -> int:
        """Answers with this outcome, to this kind of request; empty = any."""
        return sum(n for (k, o), n in self.outcomes.items() if outcome in ("", o) and kind in ("", k))

    def summary(self) -> str:
        """The counts in one line."""
        by_kind: dict[str, list[str]] = {}
        for (kind, outcome), n in sorted(self.outcomes.items()):
            by_kind.setdefault(kind, []).append(f"{n:,} x {outcome}")
        return "; ".join(f"{kind}: {', '.join(parts)}" for kind, parts in by_kind.items())


def judge(answer: httpx.Response | Exception) -> tuple[str, str]:
    """(outcome, what is wrong with it, "" where nothing is): a refusal has to be a 503 problem with Retry-After."""
    if isinstance(answer, httpx.RemoteProtocolError) and "complete message body" in str(answer):
        return BROKE_OFF, BROKE_OFF
    if isinstance(answer, Exception):
        return type(answer).__name__, f"no answer: {type(answer).__name__} {answer}"
    if answer.is_success:
        return str(answer.status_code), ""
    if answer.status_code != 503:
        return str(answer.status_code), f"{answer.status_code}: {answer.text[:300]}"
    problem = answer.headers.get("Content-Type") == "application/problem+json" and answer.json().get("status") == 503
    if not problem or "Retry-After" not in answer.headers:
        return "503 of another form", f"503 that is no problem with Retry-After: {answer.text[:300]}"
    return "503 problem", ""


@contextlib.contextmanager
def load(stack: Stack, asks: dict[str, Ask], *, clients: int = 4) -> Iterator[Tally]:
    """So many clients that ask all of `asks` in turn while the block runs."""
    tally, stop = Tally(), threading.Event()

    def run(number: int) -> None:
        with stack.client() as client:
            turn = number
            while not stop.is_set():
                kind = list(asks)[turn % len(asks)]
                began_s = time.monotonic()
                try:
                    answer: httpx.Response | Exception = asks[kind](client, turn)
                except httpx.TransportError as error:
                    answer = error
                tally.add(kind, answer, time.monotonic() - began_s)
                turn += clients

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield tally
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@dataclass
class Watch:
    """What /readyz said meanwhile."""

    not_ready_after_s: float | None = None
    """None = it never said so."""
    ready_after_s: float | None = None
    """From the moment that `returned` was called; None = not yet."""
    _began_s: float = field(default_factory=time.monotonic)
    _returned_s: float | None = None

    def returned(self) -> None:
        """What was away is back."""
        self._returned_s = time.monotonic()

    def see(self, ready: bool) -> None:
        """Note an answer."""
        now_s = time.monotonic()
        if not ready and self.not_ready_after_s is None:
            self.not_ready_after_s = now_s - self._began_s
        if ready and self._returned_s is not None and self.ready_after_s is None:
            self.ready_after_s = now_s - self._returned_s


@contextlib.contextmanager
def watching(stack: Stack) -> Iterator[Watch]:
    """Ask /readyz again and again while the block runs."""
    watch, stop = Watch(), threading.Event()

    def run() -> None:
        with stack.client() as client:
            while not stop.wait(0.1):
                with contextlib.suppress(httpx.TransportError):
                    watch.see(client.get("/readyz").status_code == 200)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()
