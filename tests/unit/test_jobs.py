"""Jobs and what they could not do: kept, listed, tried again, forgotten."""

from __future__ import annotations

import errno
import fcntl
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest

import image_search.services.jobs as jobs_module
from image_search.errors import Conflict, ImageStoreError, InvalidParameter, JobNotFound
from image_search.services.jobs import JobRunner, JobStopped, JobStore
from image_search.services.progress import Progress, ProgressListener
from image_search.types import Failure, Job


@pytest.fixture
def store(tmp_path: Path) -> JobStore:
    return JobStore(tmp_path / "jobs.sqlite")


def work(store: JobStore, handler: Callable[..., None], **options: Any) -> JobRunner:
    runner = JobRunner(store, {"rebuild": handler}, poll_s=0.01, **options)
    runner.start()
    return runner


def until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def some(number: int) -> list[Failure]:
    return [Failure(f"item {i}", f"reason {i}") for i in range(number)]


def test_jobs_are_listed_newest_first_page_by_page(store: JobStore) -> None:
    ids = [store.create("rebuild", {"collection": f"c{i}"}).job_id for i in range(7)][::-1]
    assert [job.job_id for job in store.list()] == ids
    pages, after = [], None
    while page := store.list(3, after):
        pages.append([job.job_id for job in page])
        after = page[-1].job_id
        # What comes meanwhile is newer than every page that follows.
        store.create("rebuild", {"collection": f"later{after}"})
    assert pages == [ids[:3], ids[3:6], ids[6:]]
    assert JobStore(store._path).list(1)[0].params["collection"].startswith("later")


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_page_has_a_size(store: JobStore, limit: int) -> None:
    job = store.create("rebuild", {})
    for ask in (lambda: store.list(limit), lambda: store.failures(job.job_id, limit=limit)):
        with pytest.raises(InvalidParameter) as caught:
            ask()
        assert caught.value.field == "limit"


@pytest.mark.parametrize("after", ["", "nowhere", "' OR 1=1 --"])
def test_a_page_after_a_job_that_is_not_there(store: JobStore, after: str) -> None:
    store.create("rebuild", {})
    with pytest.raises(InvalidParameter, match="no job") as caught:
        store.list(after=after)
    assert caught.value.field == "after"


def test_failures_are_numbered_across_calls_and_paged(store: JobStore) -> None:
    job, other = store.create("rebuild", {"n": 1}), store.create("rebuild", {"n": 2})
    store.add_failures(job.job_id, some(3))
    store.add_failures(other.job_id, [Failure("another", "x")])
    store.add_failures(job.job_id, [Failure("größe 猫", "'; DROP TABLE jobs")])
    found = store.failures(job.job_id)
    assert [(f.number, f.item) for f in found] == [(1, "item 0"), (2, "item 1"), (3, "item 2"), (4, "größe 猫")]
    assert found[3].reason == "'; DROP TABLE jobs"
    assert [f.number for f in store.failures(job.job_id, limit=2)] == [1, 2]
    assert [f.number for f in store.failures(job.job_id, after=2)] == [3, 4]
    assert store.failures(job.job_id, after=4) == []
    assert [f.item for f in store.failures(other.job_id)] == ["another"]


@pytest.mark.parametrize("after", [-1, 2**63, 10**30])
def test_a_number_that_no_failure_has(store: JobStore, after: int) -> None:
    job = store.create("rebuild", {})
    with pytest.raises(InvalidParameter) as caught:
        store.failures(job.job_id, after=after)
    assert caught.value.field == "after"


def test_failures_and_retry_of_a_job_that_is_not_there(store: JobStore) -> None:
    for ask in (store.failures, store.retry):
        with pytest.raises(JobNotFound):
            ask("nowhere")


def test_a_job_that_has_not_ended_is_not_tried_again(store: JobStore) -> None:
    job = store.create("rebuild", {})
    with pytest.raises(Conflict, match="is queued"):
        store.retry(job.job_id)
    store.claim()
    with pytest.raises(Conflict, match="is running"):
        store.retry(job.job_id)


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_what_failed_is_tried_again_with_the_same_wishes(store: JobStore, state: str) -> None:
    job = store.create("rebuild", {"collection": "c", "projection": "pca:8"})
    store.finish(job.job_id, state, "why")  # type: ignore[arg-type]
    again = store.retry(job.job_id)
    assert (again.kind, dict(again.params), again.state, again.error) == (job.kind, dict(job.params), "queued", "")
    assert again.job_id != job.job_id
    assert store.get(job.job_id).state == state
    assert store.retry(job.job_id).job_id == again.job_id, "it waits already"


def test_a_job_that_is_done_is_tried_again_only_for_its_failures(store: JobStore) -> None:
    job = store.create("rebuild", {})
    store.finish(job.job_id, "done")
    with pytest.raises(Conflict, match="had no failures"):
        store.retry(job.job_id)
    store.add_failures(job.job_id, some(1))
    assert store.retry(job.job_id).state == "queued"


def test_a_long_list_is_read_once_to_tell_what_can_be_tried_again(
    store: JobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, failing = store.create("rebuild", {"n": 1}), store.create("rebuild", {"n": 2})
    store.add_failures(failing.job_id, some(1))
    for job in (clean, failing):
        store.finish(job.job_id, "done")
    opened: list[object] = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *given, **named: opened.append(given) or connect(*given, **named))
    assert [bool(store.why_no_retry(job)) for job in store.list()] == [False, True]
    assert len(opened) == 1


def test_a_job_that_begins_anew_forgets_its_failures(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    job = store.create("rebuild", {})
    assert store.claim()
    store.add_failures(job.job_id, some(2))
    monkeypatch.setattr(jobs_module, "LEASE_S", -1.0)
    assert store.claim(), "its process died"
    store.add_failures(job.job_id, some(1))
    assert [f.number for f in store.failures(job.job_id)] == [1]


def test_old_jobs_are_forgotten_with_their_failures(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "KEPT_JOBS", 3)
    waiting = store.create("rebuild", {"n": "waiting"})
    ended = []
    for n in range(5):
        ended.append(store.create("rebuild", {"n": n}).job_id)
        store.add_failures(ended[-1], some(1))
        store.finish(ended[-1], "failed")
    newest = store.create("rebuild", {"n": "newest"})
    assert [job.job_id for job in store.list()] == [newest.job_id, ended[4], ended[3], waiting.job_id]
    with pytest.raises(JobNotFound):
        store.get(ended[0])
    with sqlite3.connect(store._path) as db:
        assert {row[0] for row in db.execute("SELECT job_id FROM failures")} == {ended[4], ended[3]}


def test_a_list_from_before_there_were_failures(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobStore(path).create("rebuild", {"collection": "old"})
    with sqlite3.connect(path) as db:
        db.execute("DROP TABLE failures")
    store = JobStore(path)
    (job,) = store.list()
    store.add_failures(job.job_id, some(1))
    assert len(store.failures(job.job_id)) == 1


def test_failures_are_written_down_as_they_are_told(store: JobStore) -> None:
    def handler(_params: Mapping[str, Any], on_progress: ProgressListener, _stop: threading.Event) -> None:
        on_progress(Progress("rebuilding", 1, 3, 1, (Failure("a", "x"),)))
        on_progress(Progress("rebuilding", 2, 3, 1))
        on_progress(Progress("rebuilding", 3, 3, 2, (Failure("b", "y"),)))
        raise Conflict("2 of 3 are lost")

    job = store.create("rebuild", {})
    runner = work(store, handler)
    until(lambda: store.get(job.job_id).state == "failed")
    runner.close()
    ended = store.get(job.job_id)
    assert (ended.done, ended.failed, ended.error) == (3, 2, "2 of 3 are lost")
    assert [(f.number, f.item, f.reason) for f in store.failures(job.job_id)] == [(1, "a", "x"), (2, "b", "y")]


class Slow:
    """A handler that tells when it has begun, and goes on, stopped or not, until it is let go."""

    def __init__(self, *, heeds: bool) -> None:
        """`heeds`: whether it then says that it was stopped."""
        self._heeds, self.stop = heeds, threading.Event()
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, _params: Mapping[str, Any], _on_progress: ProgressListener, stop: threading.Event) -> None:
        self.stop = stop
        self.begun.set()
        assert self.go_on.wait(10)
        if stop.is_set() and self._heeds:
            raise JobStopped


@pytest.mark.parametrize(("heeds", "state"), [(True, "cancelled"), (False, "done")])
def test_a_running_job_is_cancelled_only_where_it_really_ended_early(store: JobStore, heeds: bool, state: str) -> None:
    slow = Slow(heeds=heeds)
    job = store.create("rebuild", {"n": 1})
    runner = work(store, slow)
    assert slow.begun.wait(10)
    told = store.cancel(job.job_id)
    assert (told.state, told.cancel_wanted, told.finished_at_s) == ("running", True, None)
    assert slow.stop.wait(10)
    following = store.create("rebuild", {"n": 2})
    time.sleep(0.1)
    assert store.claim() is None
    assert store.get(following.job_id).state == "queued", "the one before still works"
    slow.go_on.set()
    until(lambda: store.get(following.job_id).state == "done")
    runner.close()
    ended = store.get(job.job_id)
    assert (ended.state, ended.error) == (state, "")
    assert ended.finished_at_s is not None
    assert store.cancel(job.job_id).state == state


def test_a_cancel_in_the_last_moment_changes_no_end(store: JobStore) -> None:
    job = store.create("rebuild", {})
    store.claim()
    assert store.cancel(job.job_id).state == "running"
    store.finish(job.job_id, "done")
    assert store.get(job.job_id).state == "done"
    waiting = store.create("rebuild", {"n": 2})
    assert store.cancel(waiting.job_id).state == "cancelled"
    store.finish(waiting.job_id, "done")
    assert store.get(waiting.job_id).state == "cancelled"


def test_a_job_that_takes_long_to_stop_keeps_its_lease(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "LEASE_S", 0.5)
    slow = Slow(heeds=True)
    job = store.create("rebuild", {})
    runner = work(store, slow)
    assert slow.begun.wait(10)
    store.cancel(job.job_id)
    assert slow.stop.wait(10)
    time.sleep(1.0)
    assert store.claim() is None
    assert store.get(job.job_id).state == "running"
    slow.go_on.set()
    runner.close()
    assert store.get(job.job_id).state == "cancelled"


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_that_a_closing_service_left_waits_as_if_it_had_not_begun(store: JobStore, fails: bool) -> None:
    begun = threading.Event()

    def handler(_params: Mapping[str, Any], _on_progress: ProgressListener, stop: threading.Event) -> None:
        begun.set()
        assert stop.wait(10)
        raise ImageStoreError("closed") if fails else JobStopped

    job = store.create("rebuild", {})
    runner = work(store, handler)
    assert begun.wait(10)
    runner.close()
    left = store.get(job.job_id)
    assert (left.state, left.started_at_s, left.finished_at_s, left.error) == ("queued", None, None, "")


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_job_whose_process_died(store: JobStore, monkeypatch: pytest.MonkeyPatch, cancelled: bool) -> None:
    job = store.create("rebuild", {"n": 1})
    store.claim()
    if cancelled:
        store.cancel(job.job_id)
    following = store.create("rebuild", {"n": 2})
    monkeypatch.setattr(jobs_module, "LEASE_S", -1.0)
    claimed = store.claim()
    assert claimed is not None
    assert claimed.job_id == (following if cancelled else job).job_id
    assert store.get(job.job_id).state == ("cancelled" if cancelled else "running")
    assert (store.get(job.job_id).finished_at_s is not None) == cancelled


def test_a_list_from_before_running_jobs_were_marked(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    JobStore(path).create("rebuild", {"collection": "old"})
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE jobs DROP COLUMN cancel_wanted")
    (job,) = JobStore(path).list()
    assert not job.cancel_wanted
    assert JobStore(path).cancel(job.job_id).state == "cancelled"


def test_what_is_done_daily_is_done_at_the_start_and_once(store: JobStore) -> None:
    done: list[threading.Event] = []
    runner = work(store, lambda *_: None, daily=done.append)
    until(lambda: done)
    for n in range(3):
        job = store.create("rebuild", {"n": n})
        until(lambda job=job: store.get(job.job_id).state == "done")  # type: ignore[misc]
    assert len(done) == 1
    assert not done[0].is_set()
    runner.close()
    assert done[0].is_set(), "it is told to end when everything closes"


def test_what_is_done_daily_is_done_again(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "DAY_S", 0.0)
    done: list[threading.Event] = []
    runner = work(store, lambda *_: None, daily=done.append)
    until(lambda: len(done) > 2)
    runner.close()


@pytest.mark.parametrize("error", [ImageStoreError("away"), ValueError("a defect")])
def test_daily_work_that_fails_stops_no_job_and_is_tried_again(
    store: JobStore, monkeypatch: pytest.MonkeyPatch, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs_module, "AGAIN_S", 0.0)
    tried: list[int] = []

    def daily(_stop: threading.Event) -> None:
        tried.append(1)
        raise error

    runner = work(store, lambda *_: None, daily=daily)
    until(lambda: len(tried) > 1)
    job = store.create("rebuild", {})
    until(lambda: store.get(job.job_id).state == "done")
    runner.close()
    assert "daily failed" in caplog.text


def test_what_a_job_brought_is_kept_with_it_and_an_older_list_has_none(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    with sqlite3.connect(path) as db:
        db.execute(jobs_module._SCHEMA.replace(", cancel_wanted INTEGER NOT NULL DEFAULT 0, result TEXT", ""))
        db.execute(
            "INSERT INTO jobs (job_id, kind, state, params, created_at_s) VALUES ('old', 'rebuild', 'done', '{}', 1)"
        )
    store = JobStore(path)
    assert store.get("old").result is None
    job = store.create("rebuild", {})
    runner = work(store, lambda *_: {"added": 3})
    until(lambda: store.get(job.job_id).state == "done")
    runner.close()
    assert store.get(job.job_id).result == {"added": 3}
    assert JobStore(path).get(job.job_id) == store.get(job.job_id)


def test_a_new_job_list_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    """As when two workers start: SQLite refuses one at once where a file becomes one with a log."""
    for number in range(50):
        together = threading.Barrier(4)

        def make(path: Path, together: threading.Barrier) -> Job:
            together.wait()
            return JobStore(path).create("rebuild", {})

        with ThreadPoolExecutor(4) as pool:
            made = [pool.submit(make, tmp_path / f"{number}.sqlite", together) for _ in range(4)]
        assert len({future.result().job_id for future in made}) == 1


def test_a_job_of_a_process_that_was_paused_is_not_taken_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lease has run out, as after the machine slept; both would work on it."""
    monkeypatch.setattr(jobs_module, "LEASE_S", 0.05)
    started, looked, released = threading.Event(), threading.Event(), threading.Event()
    calls: list[object] = []

    def work(params: Mapping[str, Any], *_: object) -> None:
        calls.append(params)
        started.set()
        if len(calls) == 1:
            released.wait()

    paused, path = JobStore(tmp_path / "jobs.sqlite"), tmp_path / "jobs.sqlite"
    monkeypatch.setattr(paused, "touch", lambda _job_id: None)
    job = paused.create("work", {})
    runners = [
        JobRunner(paused, {"work": work}, poll_s=0.01),
        JobRunner(JobStore(path), {"work": work}, poll_s=0.01, daily=lambda _stop: looked.set()),
    ]
    runners[0].start()
    started.wait()
    time.sleep(0.1)
    runners[1].start()
    looked.wait()
    released.set()
    while paused.get(job.job_id).state != "done":
        time.sleep(0.01)
    for runner in runners:
        runner.close()
    assert len(calls) == 1


@pytest.mark.parametrize("problem", [OSError(errno.ENOLCK, "No locks available"), RuntimeError("a defect")])
def test_a_lock_that_is_refused_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: Exception
) -> None:
    """As file systems of several machines may; without its thread no job would ever be worked on."""
    refused = iter([problem])

    def flock(file: IO[str], operation: int) -> None:
        if once := next(refused, None):
            raise once
        locked(file, operation)

    locked = fcntl.flock
    monkeypatch.setattr(jobs_module.fcntl, "flock", flock)
    store = JobStore(tmp_path / "jobs.sqlite")
    job = store.create("rebuild", {})
    runner = work(store, lambda *_: None)
    until(lambda: store.get(job.job_id).state == "done")
    runner.close()
    assert next(refused, None) is None


def test_a_job_list_that_fails_for_a_moment_costs_no_cancelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    monkeypatch.setattr(jobs_module, "LEASE_S", 0.1)
    touch, failed, stopped = store.touch, threading.Event(), threading.Event()

    def fail_once(job_id: str) -> None:
        if not failed.is_set():
            failed.set()
            raise ImageStoreError("the disk is full")
        touch(job_id)

    def work(_params: object, _report: object, stop: threading.Event) -> None:
        if stop.wait(30):
            stopped.set()
            raise JobStopped

    monkeypatch.setattr(store, "touch", fail_once)
    job = store.create("work", {})
    runner = JobRunner(store, {"work": work}, poll_s=0.01)
    runner.start()
    failed.wait()
    store.cancel(job.job_id)
    while store.get(job.job_id).state == "running":
        time.sleep(0.01)
    runner.close()
    assert stopped.is_set()
    assert store.get(job.job_id).state == "cancelled"
