"""Long-running tasks: kept in SQLite, worked on one at a time, visible while they run, taken up again after a crash."""

from __future__ import annotations

import fcntl
import json
import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from image_search.errors import (
    BackendError,
    Conflict,
    ImageSearchError,
    ImageStoreError,
    InvalidParameter,
    JobNotFound,
)
from image_search.services.locking import locked
from image_search.services.progress import Progress, ProgressListener
from image_search.services.sqlite_files import BUSY_S, write_ahead
from image_search.types import Failure, Job, JobState

LEASE_S = 30.0
"""A running job without a sign of life for so long belongs to a process that died: another may take it up."""
KEPT_JOBS = 1000
"""Older ones are forgotten once they have ended."""
MAX_PAGE = 1000
DAY_S = 86_400.0
AGAIN_S = 3600.0
"""When to try again what is done daily and failed."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    job_id TEXT PRIMARY KEY, kind TEXT NOT NULL, state TEXT NOT NULL, params TEXT NOT NULL,
    total INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
    created_at_s REAL NOT NULL, started_at_s REAL, finished_at_s REAL, updated_at_s REAL NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '', cancel_wanted INTEGER NOT NULL DEFAULT 0, result TEXT
)
"""
_FAILURES_SCHEMA = """
CREATE TABLE IF NOT EXISTS failures (
    job_id TEXT NOT NULL, number INTEGER NOT NULL, item TEXT NOT NULL, reason TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
) WITHOUT ROWID
"""
_COLUMNS = (
    "job_id, kind, state, params, total, done, "
    "MAX(failed, (SELECT COUNT(*) FROM failures WHERE failures.job_id = jobs.job_id)), "
    "created_at_s, started_at_s, finished_at_s, updated_at_s, error, cancel_wanted, result"
)
"""Of failures that are written down it is told with the job: a list of jobs must not open the file for each of them."""
_LATER_COLUMNS = {"cancel_wanted": "INTEGER NOT NULL DEFAULT 0", "result": "TEXT"}
"""What the table of an older library lacks."""
_PUT_BACK = """
UPDATE jobs SET state = CASE WHEN cancel_wanted THEN 'cancelled' ELSE 'queued' END,
    started_at_s = CASE WHEN cancel_wanted THEN started_at_s END, finished_at_s = CASE WHEN cancel_wanted THEN ? END
WHERE state = 'running'
"""

JobResult: TypeAlias = Mapping[str, Any] | None
"""What a job brought beside what it changed, as plain data."""
JobHandler: TypeAlias = Callable[[Mapping[str, Any], ProgressListener, threading.Event], JobResult]
"""Does the work of one kind of job. May be run again from the start.

When the event is set it ends early and raises JobStopped; where its work is done by then, it returns.
"""

RetryCheck: TypeAlias = Callable[[Job], str]
"""Why a job of one kind that has ended cannot be done again, "" where it can."""
DailyWork: TypeAlias = Callable[[threading.Event], object]
"""Something that is done at the start and once a day; ends early when the event is set."""

_log = logging.getLogger(__name__)


class JobStopped(Exception):
    """A handler ended before its work was done, as its event was set."""


@dataclass(frozen=True, slots=True)
class JobFailure:
    """One item that a job could not do."""

    number: int
    """From 1 on, in the order in which they were met: what the next page comes after."""
    item: str
    reason: str


Jobs: TypeAlias = list[Job]


class JobStore:
    """Jobs in an SQLite file. Safe to call from several threads and processes."""

    def __init__(self, path: Path, *, retry_checks: Mapping[str, RetryCheck] | None = None) -> None:
        """`retry_checks`: of those kinds of job that cannot always be done again."""
        self._path, self._retry_checks = path, retry_checks or {}
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as db:
            write_ahead(db)
            db.execute(_SCHEMA)
            db.execute(_FAILURES_SCHEMA)
        with self._looking_first() as db:
            known = {column[1] for column in db.execute("PRAGMA table_info(jobs)")}
            for name, kind in _LATER_COLUMNS.items():
                if name not in known:
                    db.execute(f"ALTER TABLE jobs ADD COLUMN {name} {kind}")

    def create(self, kind: str, params: Mapping[str, Any]) -> Job:
        """A new job in state `queued`; the one of the same kind and parameters that still waits is returned instead."""
        text = json.dumps(dict(params), sort_keys=True)
        with self._looking_first() as db:
            row = db.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE kind = ? AND params = ? AND state = 'queued'",  # noqa: S608
                (kind, text),
            ).fetchone()
            if row:
                return _job(row)
            job_id = secrets.token_hex(8)
            db.execute(
                "INSERT INTO jobs (job_id, kind, state, params, created_at_s) VALUES (?, ?, 'queued', ?, ?)",
                (job_id, kind, text, time.time()),
            )
            _forget_old(db)
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """The job. Raises JobNotFound."""
        with self._transaction() as db:
            row = db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE job_id = ?", (job_id,)).fetchone()  # noqa: S608
        if row is None:
            raise JobNotFound(f"no job {job_id[:64]!r}")
        return _job(row)

    def claim(self) -> Job | None:
        """The next job to work on, marked as running; None where there is none, or another process works on one."""
        now = time.time()
        with self._transaction() as db:
            db.execute(f"{_PUT_BACK} AND updated_at_s < ?", (now, now - LEASE_S))
            if db.execute("SELECT 1 FROM jobs WHERE state = 'running'").fetchone():
                return None
            row = db.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE state = 'queued' ORDER BY created_at_s LIMIT 1"  # noqa: S608
            ).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE jobs SET state = 'running', started_at_s = ?, updated_at_s = ?, finished_at_s = NULL "
                "WHERE job_id = ?",
                (now, now, row[0]),
            )
            # It begins anew, and so do its failures.
            db.execute("DELETE FROM failures WHERE job_id = ?", (row[0],))
        return replace(_job(row), state="running", started_at_s=now, updated_at_s=now)

    @contextmanager
    def working(self) -> Iterator[bool]:
        """Whether nobody else on this machine works on a job; nobody else does while it is held.

        A lease runs out by the clock: that of a process which was only paused, or while the machine slept, too. This
        lasts as long as its holder does.
        """
        with ExitStack() as held:
            try:
                held.enter_context(locked(self._path.with_suffix(".working"), fcntl.LOCK_EX | fcntl.LOCK_NB))
                alone = True
            except BlockingIOError:
                alone = False
            yield alone

    def report(self, job_id: str, progress: Progress) -> None:
        """Write down how far the job is; also the sign of life that keeps its lease."""
        self._set(job_id, total=progress.total or 0, done=progress.done, failed=progress.failed)

    def touch(self, job_id: str) -> None:
        """Only the sign of life."""
        self._set(job_id)

    def finish(self, job_id: str, state: JobState, error: str = "", result: JobResult = None) -> None:
        """Write down how it ended, and what it brought; what has ended already stays as it is."""
        now = time.time()
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET state = ?, error = ?, result = ?, finished_at_s = ?, updated_at_s = ? "
                "WHERE job_id = ? AND state IN ('queued', 'running')",
                (state, error, None if result is None else json.dumps(dict(result)), now, now, job_id),
            )

    def put_back(self, job_id: str) -> None:
        """Write down that a running job ended early: cancelled where that was wanted, else it waits again."""
        with self._transaction() as db:
            db.execute(f"{_PUT_BACK} AND job_id = ?", (time.time(), job_id))

    def cancel(self, job_id: str) -> Job:
        """Cancel a job that waits. One that runs is marked and stays `running` until its runner has ended it: it may
        have done its work by then. Raises JobNotFound."""
        with self._transaction() as db:
            db.execute(
                "UPDATE jobs SET state = 'cancelled', finished_at_s = ? WHERE job_id = ? AND state = 'queued'",
                (time.time(), job_id),
            )
            db.execute("UPDATE jobs SET cancel_wanted = 1 WHERE job_id = ? AND state = 'running'", (job_id,))
        return self.get(job_id)

    def retry(self, job_id: str) -> Job:
        """A new job that does the same again. Raises JobNotFound; Conflict where there is nothing to try again."""
        job = self.get(job_id)
        if reason := self.why_no_retry(job):
            raise Conflict(reason)
        return self.create(job.kind, job.params)

    def why_no_retry(self, job: Job) -> str:
        """Why `retry` refuses a job, "" where it does not."""
        if job.state in ("queued", "running"):
            return f"job {job.job_id} is {job.state}: only a job that has ended can be tried again"
        if job.state == "done" and not job.failed:
            return f"job {job.job_id} is done and had no failures: there is nothing to try again"
        check = self._retry_checks.get(job.kind)
        return check(job) if check else ""

    def add_failures(self, job_id: str, failures: Sequence[Failure]) -> None:
        """Write down what the job could not do, after what is written down already."""
        with self._looking_first() as db:
            (last,) = db.execute("SELECT COALESCE(MAX(number), 0) FROM failures WHERE job_id = ?", (job_id,)).fetchone()
            rows = [(job_id, last + place, f.path, f.reason) for place, f in enumerate(failures, 1)]
            db.executemany("INSERT INTO failures (job_id, number, item, reason) VALUES (?, ?, ?, ?)", rows)

    def failures(self, job_id: str, *, after: int = 0, limit: int = 100) -> list[JobFailure]:
        """The first `limit` (1 to 1,000) failures after a number; fewer = the end. Raises JobNotFound."""
        _check_limit(limit)
        if not 0 <= after < 2**63:
            raise InvalidParameter("after", "must be the number of a failure, or 0")
        self.get(job_id)
        with self._transaction() as db:
            rows = db.execute(
                "SELECT number, item, reason FROM failures WHERE job_id = ? AND number > ? ORDER BY number LIMIT ?",
                (job_id, after, limit),
            ).fetchall()
        return [JobFailure(*row) for row in rows]

    def list(self, limit: int = 50, after: str | None = None) -> Jobs:
        """The newest `limit` (1 to 1,000) jobs, newest first; `after` a job's id, the next older ones."""
        _check_limit(limit)
        with self._transaction() as db:
            bound: tuple[int] | None = (2**63 - 1,)
            if after is not None:
                bound = db.execute("SELECT rowid FROM jobs WHERE job_id = ?", (after,)).fetchone()
            if bound is None:
                raise InvalidParameter("after", f"no job {str(after)[:64]!r}")
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM jobs WHERE rowid < ? ORDER BY rowid DESC LIMIT ?",  # noqa: S608
                (bound[0], limit),
            ).fetchall()
        return [_job(row) for row in rows]

    def _set(self, job_id: str, **values: Any) -> None:
        values["updated_at_s"] = time.time()
        assignments = ", ".join(f"{name} = ?" for name in values)
        with self._transaction() as db:
            db.execute(f"UPDATE jobs SET {assignments} WHERE job_id = ?", (*values.values(), job_id))  # noqa: S608

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # A connection for each call: cheap beside what jobs do, and nothing is shared between threads or forks.
        try:
            with closing(sqlite3.connect(self._path, timeout=BUSY_S, isolation_level="IMMEDIATE")) as db, db:
                yield db
        except sqlite3.Error as error:
            raise ImageStoreError(f"the job list cannot be used: {error}", retryable=True) from error

    @contextmanager
    def _looking_first(self) -> Iterator[sqlite3.Connection]:
        # What is written depends on what is read: locked before the look, and not only before the first change.
        with self._transaction() as db:
            db.execute("BEGIN IMMEDIATE")
            yield db


class JobRunner:
    """A thread that works on the jobs of one library, one at a time."""

    def __init__(
        self,
        store: JobStore,
        handlers: Mapping[str, JobHandler],
        *,
        poll_s: float = 1.0,
        daily: DailyWork | None = None,
        on_end: Callable[[Job, Exception | None], object] = lambda _job, _problem: None,
    ) -> None:
        """`daily` is done between two jobs; `on_end` is told of a job whose end is written down, and why it failed."""
        self._store, self._handlers, self._poll_s = store, handlers, poll_s
        self._on_end = on_end
        self._daily, self._daily_due_s = daily, 0.0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def wake(self) -> None:
        """Look for a new job now."""
        self._wake.set()

    def close(self, timeout_s: float = 10.0) -> None:
        """End the job that runs at its next step, leave it queued for the next start, and stop."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _loop(self) -> None:
        while not self._closing.is_set():
            try:
                if self._work_on_next():
                    continue
            except ImageSearchError as error:
                _log.warning("the job list cannot be read, trying again: %s", error)
            except Exception:  # noqa: BLE001 - logged; without this thread every job would wait for ever
                _log.exception("the job list cannot be worked on, trying again")
            self._tend()
            self._wake.wait(self._poll_s)
            self._wake.clear()

    def _work_on_next(self) -> bool:
        with self._store.working() as alone:
            job = self._store.claim() if alone else None
            if job is not None:
                self._run(job)
            return job is not None

    def _tend(self) -> None:
        """Do what is done daily, where it is time."""
        if self._daily is None or time.monotonic() < self._daily_due_s:
            return
        try:
            self._daily(self._closing)
        except Exception:  # noqa: BLE001 - logged; the jobs must go on, whatever it was
            _log.exception("what is done daily failed, trying again in an hour")
            self._daily_due_s = time.monotonic() + AGAIN_S
        else:
            self._daily_due_s = time.monotonic() + DAY_S

    def _run(self, job: Job) -> None:
        stop, ended = threading.Event(), threading.Event()
        watcher = threading.Thread(target=self._watch, args=(job.job_id, stop, ended), name="job-watch", daemon=True)
        watcher.start()

        def report(progress: Progress) -> None:
            self._store.report(job.job_id, progress)
            if progress.failures:
                self._store.add_failures(job.job_id, progress.failures)

        try:
            problem, error, result = self._work(job, report, stop)
        except JobStopped:
            self._store.put_back(job.job_id)
            return
        finally:
            ended.set()
            watcher.join()
        if problem and self._closing.is_set():
            # Not the job's fault, whatever it met while everything closed around it: the next start takes it up.
            self._store.put_back(job.job_id)
        else:
            self._store.finish(job.job_id, "failed" if problem else "done", error, result)
            self._on_end(job, problem)

    def _work(
        self, job: Job, report: ProgressListener, stop: threading.Event
    ) -> tuple[Exception | None, str, JobResult]:
        """Do it; why it failed, also in words for the job's reader, and what it brought."""
        try:
            return None, "", self._handlers[job.kind](job.params, report, stop)
        except JobStopped:
            raise
        except BackendError as problem:
            # Its text may hold an upstream's: that belongs into the log, not into an answer.
            _log.warning("job %s failed: %s", job.job_id, problem)
            return problem, "a part of the service failed; its log says which", None
        except ImageSearchError as problem:
            return problem, str(problem), None
        except Exception as problem:  # noqa: BLE001 - written to the log and to the job
            # What is no error of ours is a defect: the log has it, the job's reader gets no internals.
            _log.exception("job %s failed", job.job_id)
            return problem, f"internal error ({type(problem).__name__})", None

    def _watch(self, job_id: str, stop: threading.Event, ended: threading.Event) -> None:
        """Keep the lease while the job runs, also while it comes to its stop, and pass a cancellation on."""
        while not ended.wait(min(1.0, LEASE_S / 10)):
            try:
                if self._closing.is_set() or self._store.get(job_id).cancel_wanted:
                    stop.set()
                self._store.touch(job_id)
            except ImageSearchError as error:
                # A full disk may have room again: the job must not lose its lease, nor be beyond cancelling, for that.
                _log.warning("no sign of life of job %s, trying again: %s", job_id, error)


def _job(row: tuple[Any, ...]) -> Job:
    params = json.loads(row[3])
    return Job(
        row[0],
        row[1],
        row[2],
        params,
        row[4],
        row[5],
        row[6],
        row[7],
        row[8],
        row[9],
        row[10],
        row[11],
        bool(row[12]),
        None if row[13] is None else json.loads(row[13]),
    )


def _forget_old(db: sqlite3.Connection) -> None:
    db.execute(
        "DELETE FROM jobs WHERE state NOT IN ('queued', 'running') AND rowid <= "
        "(SELECT rowid FROM jobs ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
        (KEPT_JOBS,),
    )
    db.execute("DELETE FROM failures WHERE job_id NOT IN (SELECT job_id FROM jobs)")


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidParameter("limit", f"{limit}; 1 to {MAX_PAGE:,} is expected")
