"""A small web of the tests' own: pictures at paths, servers that misbehave, and the service that fetches from them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from image_search.fetching import UrlFetcher, UrlPolicy
from image_search.metadata.listed import BrokenRow, ListedPicture, listed
from image_search.services.collecting.listed_run import CollectTuning
from image_search.services.collecting.service import CollectingService
from image_search.services.collecting.waiting import Patience
from tests.support import draw, jpeg
from tests.url_servers import PATIENT, Peer, Serve, Server, answer

SOON = Patience(backoff_s=0.01)
Page = bytes | Callable[[Peer], object]


def picture_of(number: int) -> bytes:
    """A JPEG like no other."""
    return jpeg(draw((number * 3 % 256, number * 11 % 256, number // 3 % 256), mark=number)) + number.to_bytes(2)


class Web:
    """A server with answers by path, which counts who asks at once. A list of answers is given one by one, the last
    one for ever. A function sends its answer itself, or returns what is to be sent; only that is counted exactly.
    """

    def __init__(self, serve: Serve, host: str = "127.0.0.1") -> None:
        self.pages: dict[str, list[Page]] = {}
        self.asked: list[tuple[str, float]] = []
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self.server: Server = serve(self._answer, host=host)
        self.host = host

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.server.port}{path}"

    def put(self, path: str, *pages: Page) -> str:
        """Let these be the answers at a path; returns its address."""
        self.pages[path] = list(pages)
        return self.url(path)

    def fill(self, count: int) -> list[str]:
        """The addresses of so many pictures."""
        return [self.put(f"/{number:03}.jpg", answer(picture_of(number))) for number in range(count)]

    def times(self, path: str) -> list[float]:
        """When a path was asked for."""
        return [when for asked, when in self.asked if asked == path]

    def _answer(self, peer: Peer) -> None:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self.asked.append((peer.path, time.monotonic()))
            pages = self.pages.get(peer.path, [answer(b"", status="404 Not Found")])
            page = pages.pop(0) if len(pages) > 1 else pages[0]
        told: object = b""
        try:
            told = page if isinstance(page, bytes) else page(peer)
            if isinstance(told, bytes):
                peer.sock.sendall(told[:-1])
        finally:
            with self._lock:
                self._at_once -= 1
        if isinstance(told, bytes):
            # After the counting: a client that has all of an answer asks for the next one, whatever this thread does.
            peer.sock.sendall(told[-1:])


def collecting(
    *webs: Web,
    jobs: int = 8,
    per_host: int = 4,
    patience: Patience = SOON,
    policy: UrlPolicy = PATIENT,
    max_pixels: int = 1_000_000,
) -> CollectingService:
    """A service that may go to these servers."""
    allow = tuple(f"{web.host}:{web.server.port}" for web in webs)
    fetcher = UrlFetcher(replace(policy, allow=allow, at_once=jobs))
    tuning = CollectTuning(jobs, per_host, max_pixels, patience, rules=str(allow))
    return CollectingService(fetcher, fetcher, tuning, threads=2)


def rows(entries: Iterable[dict[str, Any] | str]) -> list[ListedPicture | BrokenRow]:
    """A list as it is read: of entries, or of addresses alone."""
    return [
        listed({"url": entry} if isinstance(entry, str) else entry, f"row {number}")
        for number, entry in enumerate(entries, 1)
    ]


def failures(folder: Path) -> dict[str, tuple[str, bool]]:
    """(reason, whether a later run tries again) by address."""
    found = [json.loads(line) for line in (folder / "failures.jsonl").read_text().splitlines()]
    return {entry.get("url") or entry["row"]: (entry["reason"], entry["retryable"]) for entry in found}


def files(folder: Path) -> dict[str, bytes]:
    """What is in the folder beside its notes, by name."""
    paths = (path for path in folder.rglob("*") if path.is_file() and ".fetch" not in path.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.suffix != ".jsonl"}
