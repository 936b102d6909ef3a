"""The job that imports a file which was sent: stopped, killed, cancelled, tried again, and what stays of its file."""

from __future__ import annotations

import os
import threading
import time

import pytest
from flask.testing import FlaskClient

from image_search.errors import Conflict, DatasetFormatError
from image_search.services.jobs import JobRunner, JobStopped
from image_search.services.progress import Progress
from image_search.wiring import Services
from tests.api.helpers import ADMIN
from tests.api.test_indexing import wait
from tests.api.test_vectors import exported, left, send


def runner_of(stocked: Services) -> JobRunner:
    """What works on imports as the service does; not started."""
    handlers = {"import": stocked.exchange.run_job}
    return JobRunner(stocked.jobs, handlers, poll_s=0.02, on_end=stocked.exchange.ended)


def test_a_job_that_is_stopped_goes_on_where_it_was(client: FlaskClient, stocked: Services) -> None:
    stop = threading.Event()
    stop.set()
    job = send(client, exported(client)).get_json()["job"]
    runner = runner_of(stocked)
    claimed = stocked.jobs.claim()
    assert claimed is not None
    with pytest.raises(JobStopped):
        stocked.exchange.run_job(claimed.params, lambda _: None, stop)
    assert len(left(stocked)) == 1
    stocked.jobs.put_back(job["id"])
    runner.start()
    assert wait(client, job["id"], "done", "failed")["result"]["added"] == 15
    runner.close()


def test_an_import_that_is_killed_in_the_middle_is_begun_again_and_loses_nothing(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_search.services.exchanging.transfer.BATCH", 4)
    send(client, exported(client))
    job = stocked.jobs.claim()
    assert job is not None

    def die(progress: Progress) -> None:
        if progress.done >= 8:
            raise SystemExit

    with pytest.raises(SystemExit):
        stocked.exchange.run_job(job.params, die, threading.Event())
    assert stocked.store.count("copy") == 8
    result = stocked.exchange.run_job(job.params, lambda _: None, threading.Event())
    assert (result["added"], result["unchanged"]) == (7, 8)
    assert stocked.store.count("copy") == 15


def test_an_import_that_is_killed_before_its_end_is_written_down_is_done_at_the_next_start(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = send(client, exported(client)).get_json()["job"]["id"]
    claimed = stocked.jobs.claim()
    assert claimed is not None
    stocked.exchange.run_job(claimed.params, lambda _: None, threading.Event())
    assert (stocked.jobs.get(job_id).state, stocked.store.count("copy"), len(left(stocked))) == ("running", 15, 1)

    monkeypatch.setattr("image_search.services.jobs.LEASE_S", 0)
    runner = runner_of(stocked)
    runner.start()
    done = wait(client, job_id, "done", "failed")
    runner.close()
    assert (done["state"], done["error"], done["result"]["unchanged"]) == ("done", None, 15)
    assert left(stocked) == []


def test_the_file_of_an_import_that_is_done_goes_at_the_next_start(client: FlaskClient, stocked: Services) -> None:
    job_id = send(client, exported(client)).get_json()["job"]["id"]
    stocked.jobs.claim()
    stocked.jobs.finish(job_id, "done")
    stocked.exchange.tidy()
    assert left(stocked) == []


def test_an_import_that_failed_is_tried_again_as_long_as_its_file_is_kept(
    client: FlaskClient, stocked: Services
) -> None:
    job_id = send(client, exported(client)).get_json()["job"]["id"]
    assert client.get(f"/jobs/{job_id}", headers=ADMIN).get_json()["can_retry"] is False
    stocked.jobs.claim()
    stocked.jobs.finish(job_id, "failed", "no room")
    assert client.get(f"/jobs/{job_id}", headers=ADMIN).get_json()["can_retry"] is True
    left(stocked)[0].unlink()
    (listed,) = client.get("/jobs", headers=ADMIN).get_json()["jobs"]
    assert listed["can_retry"] is False


def test_a_cancelled_import_ends_between_two_batches(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("image_search.services.exchanging.transfer.BATCH", 4)
    send(client, exported(client))
    job = stocked.jobs.claim()
    assert job is not None
    stop = threading.Event()
    with pytest.raises(JobStopped):
        stocked.exchange.run_job(job.params, lambda progress: progress.done == 4 and stop.set(), stop)
    assert stocked.store.count("copy") == 4
    assert len(left(stocked)) == 1, "it may be tried again"


def test_what_was_left_behind_goes_and_what_waits_stays(client: FlaskClient, stocked: Services) -> None:
    send(client, exported(client))
    (waiting,) = left(stocked)
    orphan, young = waiting.with_name("export-0.h5.1.part"), waiting.with_name("import-1.h5")
    for path in (orphan, young):
        path.write_bytes(b"x")
    for path in (waiting, orphan):
        os.utime(path, (time.time() - 90_000,) * 2)
    stocked.exchange.tidy()
    assert left(stocked) == sorted([waiting, young])
    stocked.jobs.cancel(stocked.jobs.list()[0].job_id)
    stocked.exchange.tidy()
    assert left(stocked) == [young]
    cancelled = stocked.jobs.list()[0]
    with pytest.raises(Conflict, match="send it again"):
        stocked.jobs.retry(cancelled.job_id)
    with pytest.raises(DatasetFormatError, match="send it again"):
        stocked.exchange.run_job(cancelled.params, lambda _: None, threading.Event())
