"""jobs: what a service does beside its answers, seen from the command line; and what a rebuild could not do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from image_search.services.jobs import JobStore
from image_search.services.progress import Progress
from image_search.types import Failure, Job
from tests.cli.conftest import Cli, check_error, ids

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def store(data_dir: Path) -> JobStore:
    return JobStore(data_dir / "jobs.sqlite")


def failed_job(store: JobStore, failures: int) -> Job:
    """A rebuild that ended badly."""
    job = store.create("rebuild", {"collection": "default"})
    store.claim()
    store.report(job.job_id, Progress("rebuilding", 40, 100, failures))
    store.add_failures(job.job_id, [Failure(f"{n:064x}", "no raw vector") for n in range(failures)])
    store.finish(job.job_id, "failed", "pictures are lost")
    return store.get(job.job_id)


def test_no_jobs(cli: Cli, library: Path) -> None:
    assert cli("jobs", "list").out == cli("jobs").out == "No jobs.\n"
    assert cli("jobs", "list", "--json").json == {"jobs": [], "next": None}


def test_list_newest_first_page_by_page(cli: Cli, store: JobStore) -> None:
    made = [store.create("rebuild", {"collection": name}).job_id for name in ("a", "b", "c")][::-1]
    first = cli("jobs", "list", "--limit", 2, "--json").json
    assert [job["id"] for job in first["jobs"]] == made[:2]
    rest = cli("jobs", "list", "--limit", 2, "--after", first["next"], "--json").json
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == (made[2:], None)
    lines = cli("jobs", "list", "--limit", 2).out.splitlines()
    assert [line.split()[:4] for line in lines[1:3]] == [
        [made[0], "rebuild", "c", "queued"],
        [made[1], "rebuild", "b", "queued"],
    ]
    assert [job["collection"] for job in first["jobs"]] == ["c", "b"]
    assert lines[-1] == f"There may be more: --after {made[1]}"


def test_show(cli: Cli, store: JobStore) -> None:
    job = failed_job(store, 3)
    shown = cli("jobs", "show", job.job_id, "--json").json
    expected = {"id": job.job_id, "kind": "rebuild", "state": "failed", "total": 100, "done": 40, "failed": 3}
    assert {key: shown[key] for key in expected} == expected
    assert (shown["error"], shown["params"], shown["eta_s"]) == ("pictures are lost", {"collection": "default"}, None)
    words = cli("jobs", "show", job.job_id).out
    assert "pictures are lost" in words
    assert "params.collection default" in words
    assert "40 of 100, 3 failed" in cli("jobs", "list").out


def test_failures(cli: Cli, store: JobStore) -> None:
    job = failed_job(store, 5)
    first = cli("jobs", "failures", job.job_id, "--limit", 3, "--json").json
    assert [failure["number"] for failure in first["failures"]] == [1, 2, 3]
    assert first["failures"][0] == {"number": 1, "item": f"{0:064x}", "reason": "no raw vector"}
    rest = cli("jobs", "failures", job.job_id, "--after", first["next"], "--json").json
    assert ([failure["number"] for failure in rest["failures"]], rest["next"]) == ([4, 5], None)
    words = cli("jobs", "failures", job.job_id, "--limit", 3).out
    assert "3 shown, 5 in all" in words
    assert "There may be more: --after 3" in words


def test_retry_and_cancel(cli: Cli, store: JobStore) -> None:
    job = failed_job(store, 1)
    again = cli("jobs", "retry", job.job_id, "--json").json
    assert (again["state"], again["params"]) == ("queued", {"collection": "default"})
    assert again["id"] != job.job_id
    check_error(cli("jobs", "retry", again["id"], "--json"), 1, "queued")
    assert "serve" in cli("jobs", "show", again["id"]).out
    assert cli("jobs", "cancel", again["id"], "--json").json["state"] == "cancelled"
    assert "cancelled" in cli("jobs", "cancel", again["id"]).out
    assert cli("jobs", "cancel", job.job_id, "--json").json["state"] == "failed"
    running = store.create("rebuild", {"collection": "other"})
    assert store.claim()
    told = cli("jobs", "cancel", running.job_id, "--json").json
    assert (told["state"], told["cancel_wanted"], told["finished_at"]) == ("running", True, None)
    assert "ends at its next step" in cli("jobs", "cancel", running.job_id).out


def test_an_import_whose_file_is_gone_is_not_tried_again(cli: Cli, library: Path, store: JobStore) -> None:
    job = store.create("import", {"collection": "copy", "file": "import-0123456789abcdef.h5", "name": "birds.h5"})
    store.claim()
    store.finish(job.job_id, "failed", "no room")
    told = check_error(cli("jobs", "retry", job.job_id, "--json"), 1, "birds.h5 is not kept any more: send it again")
    assert len(store.list()) == 1, told


@pytest.fixture
def lost(cli: Cli, library: Path, data_dir: Path) -> str:
    """Id of a picture of a projected library of which neither a raw vector nor its original is left."""
    assert cli("index", "--projection", "random:8").code == 0
    image_id = ids(cli)["red/red_0.jpg"]
    for path in data_dir.rglob(image_id):
        path.unlink()
    for path in (data_dir / "vectors").rglob("*.h5"):
        path.unlink()
    return image_id


def test_what_a_rebuild_could_not_do(cli: Cli, lost: str) -> None:
    outcome = cli("index", "--projection", "none", "--json")
    assert outcome.code == 1
    assert outcome.json["error"]["type"] == "Conflict"
    assert "1 of 15 pictures" in outcome.json["error"]["message"]
    (failure,) = outcome.json["failures"]
    assert failure["path"] == lost
    assert failure["reason"].startswith("red/red_0.jpg: ")
    assert cli("status", "--json").json["projection"].startswith("random:8")

    words = cli("index", "--projection", "none")
    assert (words.code, words.out) == (1, "")
    assert f"{lost}: red/red_0.jpg: " in words.err
    assert "Error: 1 of 15 pictures" in words.err


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_goes_away(store: JobStore, data_dir: Path, form: list[str]) -> None:
    store.create("rebuild", {"collection": "default"})
    command = [sys.executable, "-m", "image_search", "--data-dir", str(data_dir), "jobs", "list"]
    with subprocess.Popen([*command, *form], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # Long before anything is written.
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1
