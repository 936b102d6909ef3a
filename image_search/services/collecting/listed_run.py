"""One fetch of a list: a thread reads it, several fetch, check and keep; each host is asked politely."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from image_search.errors import FetchError, InvalidInput, InvalidParameter, NotAdmitted
from image_search.interfaces import UrlOpener
from image_search.metadata.listed import BrokenRow, ListedPicture
from image_search.services.collecting.folder import CollectedFolder, Kept, Missed
from image_search.services.collecting.pictures import check_picture, file_name
from image_search.services.collecting.polite import PoliteQueue
from image_search.services.collecting.waiting import Patience, Stopped, is_too_much
from image_search.services.progress import Progress, ProgressListener
from image_search.types import Failure, FetchReport, Refusal
from image_search.urls import FIELD, Target

WINDOW = 2000
"""Rows that wait in memory: a list may have millions."""
MAX_REDIRECTS = 3
PUBLISH_EVERY_S = 60.0
_PUBLISHING_SHARE = 0.05
"""Of the time: the metadata of a million pictures takes a while to write."""
_OUTCOMES = ("fetched", "unchanged", "duplicates", "failed", "skipped", "repeated", "refused")
_PLACEHOLDER = re.compile(
    r"(?:(?:photo|image|picture|media|file)[_-]?)?(?:unavailable|not[_-]?available|removed|deleted|missing)"
    r"(?:[_-][a-z]{1,2})?\.[a-z]{3,4}",
    re.IGNORECASE,
)
"""The name of what a picture's address leads to: services show a drawing where a photo is gone (Flickr's is
photo_unavailable.png), and thousands of addresses would be that one picture."""


@dataclass(frozen=True)
class CollectTuning:
    """How much at once, and what is kept."""

    jobs: int
    per_host: int
    max_pixels: int
    patience: Patience = field(default_factory=Patience)
    rules: str = ""
    """Stands for which addresses are admitted; what other rules refused is tried again."""


@dataclass(frozen=True)
class _Task:
    picture: ListedPicture
    at: str
    """The address to ask now: another than the picture's own after a redirect."""
    redirects: int = 0
    attempts: int = 0
    refusals: int = 0
    """How often its host was too busy for it."""


@dataclass
class _Health:
    """What was heard of a host lately."""

    silent: int = 0
    """Rounds in a row in which connections failed."""
    too_much: int = 0
    """Rounds in a row in which it said that it is asked too often."""
    counted_until_s: float = float("-inf")
    """What fails of the requests that were begun before is of a round that was counted: many are under way at once,
    and one bad moment of a host fails them all."""
    away: str = ""
    """Why it is left to a later run; "" = it is not."""


class ListedRun:
    """The state of one fetch; `execute` may be called once."""

    def __init__(
        self,
        opener: UrlOpener,
        folder: CollectedFolder,
        tuning: CollectTuning,
        *,
        longest_px: int | None,
        retry_failed: bool,
        on_progress: ProgressListener,
        stop: threading.Event,
    ) -> None:
        self._opener, self._folder, self._tuning = opener, folder, tuning
        self._longest_px, self._retry_failed = longest_px, retry_failed
        self._on_progress, self._stop = on_progress, stop
        self._queue: PoliteQueue[_Task] = PoliteQueue(tuning.per_host)
        self._health: dict[str, _Health] = {}
        self._counts: Counter[str] = Counter()
        self._failures: list[Failure] = []
        self._refusals: list[Refusal] = []
        self._lock = threading.Lock()
        self._errors: list[BaseException] = []
        self._total: int | None = None
        self._publish_at_s = time.monotonic() + PUBLISH_EVERY_S

    def execute(self, rows: Iterable[ListedPicture | BrokenRow], limit: int | None) -> FetchReport:
        """Fetch what the first `limit` rows tell of. Raises the error that ended the reading of the list, and
        ImageStoreError; what was fetched before stays.
        """
        started = time.perf_counter()
        # No file of theirs is ever half there: a process that is told twice to end need not wait for them.
        workers = [
            threading.Thread(target=self._guard, name=f"fetch-{n}", daemon=True) for n in range(self._tuning.jobs)
        ]
        for worker in workers:
            worker.start()
        unread: InvalidInput | None = None
        try:
            self._feed(rows, limit)
        except InvalidInput as error:
            unread = error
        except Exception as error:  # noqa: BLE001 - it is raised when the others have ended
            self._errors.append(error)
        self._queue.complete()
        for worker in workers:
            worker.join()
        self._folder.publish()
        if self._errors:
            raise self._errors[0]
        if unread is not None:
            raise unread
        self._tell()
        return FetchReport(
            fetched=self._counts["fetched"],
            unchanged=self._counts["unchanged"],
            duplicates=self._counts["duplicates"],
            failed=tuple(self._failures),
            skipped=self._counts["skipped"],
            repeated=self._counts["repeated"],
            bytes_fetched=self._counts["bytes"],
            elapsed_s=round(time.perf_counter() - started, 3),
            folder=str(self._folder.root),
            reworded=self._counts["reworded"],
            interrupted=self._stop.is_set(),
            refused=tuple(self._refusals),
        )

    def _feed(self, rows: Iterable[ListedPicture | BrokenRow], limit: int | None) -> None:
        seen: set[str] = set()
        number = 0
        for row in rows:
            if self._given_up() or (limit is not None and number >= limit):
                break
            number += 1
            if isinstance(row, BrokenRow):
                self._folder.miss_row(row.where, row.reason)
                self._count("failed", failure=Failure(row.where, row.reason))
            elif row.url in seen:
                self._count("repeated")
            else:
                seen.add(row.url)
                self._admit(row)
                self._queue.wait_for_room(WINDOW, give_up=self._given_up)
        with self._lock:
            self._total = number

    def _admit(self, picture: ListedPicture) -> None:
        known = self._folder.find(picture.url)
        if isinstance(known, Kept):
            if self._folder.reword(picture.url, known, picture.words):
                self._count("reworded")
            self._count("unchanged")
        elif not isinstance(known, Missed) or known.may_pass or self._retry_failed:
            self._enqueue(_Task(picture, picture.url))
        elif not known.admitted_by:
            self._count("skipped")
        elif known.rules == self._tuning.rules:
            self._count("refused", refusal=Refusal(picture.url, known.reason, known.admitted_by))
        else:
            self._enqueue(_Task(picture, picture.url))

    def _enqueue(self, task: _Task, *, after_s: float = 0.0, first: bool = False) -> None:
        try:
            host = Target.parse(task.at).authority
        except InvalidParameter as error:
            self._miss(task, error.reason, may_pass=False)
            return
        with self._lock:
            away = self._health.setdefault(host, _Health()).away
        if away:
            self._miss(task, away, may_pass=True)
        else:
            self._queue.add(host, task, after_s=after_s, first=first)

    def _guard(self) -> None:
        try:
            while (taken := self._queue.take(give_up=self._given_up)) is not None:
                host, task = taken
                try:
                    self._fetch(host, task)
                finally:
                    self._queue.release(host)
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - it is raised where the run was started
            self._errors.append(error)

    def _fetch(self, host: str, task: _Task) -> None:
        began_s = time.monotonic()
        try:
            with self._opener.open(task.at, follow=False) as answer:
                if answer.moved:
                    self._went_well(host)
                    self._follow(task, answer.url)
                    return
                chunks = []
                for chunk in answer.chunks:
                    if self._given_up():
                        raise Stopped
                    chunks.append(chunk)
        except FetchError as error:
            self._failed(host, task, error, began_s)
            return
        except InvalidInput as error:
            self._went_well(host)
            entry = error.admitted_by if isinstance(error, NotAdmitted) else ""
            self._miss(task, str(error).removeprefix(f"{FIELD}: "), may_pass=False, admitted_by=entry)
            return
        self._went_well(host)
        self._keep(task, b"".join(chunks))

    def _keep(self, task: _Task, data: bytes) -> None:
        try:
            picture = check_picture(data, max_pixels=self._tuning.max_pixels, longest_px=self._longest_px)
        except InvalidInput as error:
            self._miss(task, str(error), may_pass=False)
            return
        listed = task.picture
        is_new = self._folder.keep(listed.url, file_name(listed.name, listed.url, picture), picture, listed.words)
        self._count("fetched" if is_new else "duplicates", size_bytes=len(data))

    def _follow(self, task: _Task, to: str) -> None:
        """Go on at another address, under that host's limit."""
        if task.redirects >= MAX_REDIRECTS:
            self._miss(task, f"more than {MAX_REDIRECTS} redirects", may_pass=False)
        elif _PLACEHOLDER.fullmatch(PurePosixPath(to.partition("?")[0]).name):
            self._miss(task, "the picture is gone: its address leads to a placeholder", may_pass=False)
        else:
            self._enqueue(replace(task, at=to, redirects=task.redirects + 1))

    def _failed(self, host: str, task: _Task, error: FetchError, began_s: float) -> None:
        patience = self._tuning.patience
        with self._lock:
            health = self._health[host]
            new_round = began_s >= health.counted_until_s
            if is_too_much(error):
                health.too_much += new_round
                wait_s = patience.wait_s(health.too_much) if error.retry_after_s is None else error.retry_after_s
                if wait_s > patience.longest_s:
                    health.away = f"the host asks to be left alone for {wait_s:,.0f} s"
                elif health.too_much >= patience.silent:
                    health.away = f"the host is too busy; it said so {health.too_much} times in a row"
                if new_round:
                    # To the pause's end: whoever was on the way to the host when it began asks in it.
                    health.counted_until_s = time.monotonic() + wait_s
            elif error.retryable and error.status is None:
                health.silent += new_round
                if new_round:
                    health.counted_until_s = time.monotonic()
                if health.silent >= patience.silent:
                    health.away = f"the host failed {health.silent} times in a row, the last time: {error.reason}"
            else:
                health.silent = health.too_much = 0
            away = health.away
        if away:
            for waiting in (task, *self._queue.drop(host)):
                self._miss(waiting, away, may_pass=True)
        elif is_too_much(error) and task.refusals < patience.refusals:
            self._queue.pause(host, wait_s)
            # It is the first to be asked for after the pause, when the host has time for one at least.
            self._enqueue(replace(task, refusals=task.refusals + 1), first=True)
        elif error.retryable and not is_too_much(error) and task.attempts + 1 < patience.attempts:
            again = replace(task, attempts=task.attempts + 1)
            self._enqueue(again, after_s=patience.wait_s(again.attempts))
        else:
            self._miss(task, error.reason, may_pass=error.retryable, admitted_by=error.admitted_by)

    def _went_well(self, host: str) -> None:
        self._queue.went_well(host)
        with self._lock:
            health = self._health[host]
            health.silent = health.too_much = 0

    def _miss(self, task: _Task, reason: str, *, may_pass: bool, admitted_by: str = "") -> None:
        url = task.picture.url
        if admitted_by:
            self._folder.miss(url, reason, may_pass=may_pass, admitted_by=admitted_by, rules=self._tuning.rules)
            self._count("refused", refusal=Refusal(url, reason, admitted_by))
        else:
            self._folder.miss(url, reason, may_pass=may_pass)
            self._count("failed", failure=Failure(url, reason))

    def _count(
        self, what: str, *, failure: Failure | None = None, refusal: Refusal | None = None, size_bytes: int = 0
    ) -> None:
        with self._lock:
            self._counts[what] += 1
            self._counts["bytes"] += size_bytes
            if failure is not None:
                self._failures.append(failure)
            if refusal is not None:
                self._refusals.append(refusal)
            if due := time.monotonic() > self._publish_at_s:
                self._publish_at_s = float("inf")
        self._tell()
        if due:
            began_s = time.monotonic()
            self._folder.publish()
            now_s = time.monotonic()
            self._publish_at_s = now_s + max(PUBLISH_EVERY_S, (now_s - began_s) / _PUBLISHING_SHARE)

    def _tell(self) -> None:
        with self._lock:
            done = sum(self._counts[what] for what in _OUTCOMES)
            self._on_progress(Progress("fetching", done, self._total, len(self._failures)))

    def _given_up(self) -> bool:
        return self._stop.is_set() or bool(self._errors)
