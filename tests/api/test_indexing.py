"""POST /indexing as a job, /jobs/{id}, and what goes on meanwhile."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from image_search.services.progress import Progress
from image_search.wiring import Services
from tests.api.helpers import ADMIN, RED, assert_problem, encoded, hits
from tests.support import draw, jpeg


def start(client: FlaskClient, **body: Any) -> dict[str, Any]:
    response = client.post("/indexing", json=body, headers=ADMIN)
    assert response.status_code == 202, response.get_json(force=True)
    return dict(response.get_json()["job"])


def wait(client: FlaskClient, job_id: str, *states: str) -> dict[str, Any]:
    """The job's document as soon as it is in one of those states."""
    deadline_s = time.monotonic() + 15
    while True:
        document = client.get(f"/jobs/{job_id}", headers=ADMIN).get_json()
        if document["state"] in states:
            return dict(document)
        assert time.monotonic() < deadline_s, document
        time.sleep(0.02)


@pytest.mark.parametrize("path", ["/indexing", "/indexing/"])
@pytest.mark.parametrize("send", [{"json": {}}, {}, {"data": ""}, {"json": {"projection": None, "index": None}}])
def test_a_job_waits_until_somebody_works_on_it(client: FlaskClient, path: str, send: dict[str, Any]) -> None:
    response = client.post(path, headers=ADMIN, **send)
    assert response.status_code == 202
    body = response.get_json()
    assert body["ok"] is True
    assert response.headers["Location"] == body["job"]["url"] == f"http://localhost/jobs/{body['job']['id']}"
    document = client.get(response.headers["Location"], headers=ADMIN).get_json()
    assert document == {"ok": True, **body["job"]}
    assert document["created_at"].endswith("Z")
    assert document | {"id": "", "url": "", "created_at": ""} == {
        "ok": True,
        "id": "",
        "kind": "rebuild",
        "collection": "default",
        "state": "queued",
        "cancel_wanted": False,
        "can_retry": False,
        "total": 0,
        "done": 0,
        "failed": 0,
        "rate": 0.0,
        "eta_s": None,
        "error": None,
        "result": None,
        "created_at": "",
        "started_at": None,
        "finished_at": None,
        "url": "",
    }


def test_the_job_comes_to_its_end(client: FlaskClient, running: Services) -> None:
    before = client.post("/search", json={"image": encoded(RED)}).get_json()
    done = wait(client, start(client)["id"], "done", "failed")
    assert (done["state"], done["total"], done["done"], done["failed"]) == ("done", 15, 15, 0)
    assert done["error"] is None
    after = client.post("/search", json={"image": encoded(RED)}).get_json()
    assert hits(after) == hits(before)
    assert running.store.list_collections() == [running.store.resolve("default")]


def test_progress_is_seen_while_it_runs(
    client: FlaskClient, running: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, in_the_middle = threading.Event(), threading.Event()

    def slow(_params: object, on_progress: Any, stop: threading.Event) -> None:
        time.sleep(0.05)
        on_progress(Progress("rebuilding", 40, 100, 1))
        in_the_middle.set()
        go_on.wait(10)

    monkeypatch.setitem(running.runner._handlers, "rebuild", slow)
    job = start(client)
    assert in_the_middle.wait(10)
    seen = client.get(job["url"], headers=ADMIN).get_json()
    assert (seen["state"], seen["total"], seen["done"], seen["failed"]) == ("running", 100, 40, 1)
    assert seen["rate"] > 0
    assert seen["eta_s"] > 0
    go_on.set()
    assert wait(client, job["id"], "done")["eta_s"] is None


def test_a_job_that_is_not_there(client: FlaskClient) -> None:
    for job_id in ("nowhere", "0" * 16, "x" * 5000, "%00"):
        assert_problem(client.get(f"/jobs/{job_id}", headers=ADMIN), 404, "job_not_found")
        assert_problem(client.post(f"/jobs/{job_id}/cancel", headers=ADMIN), 404, "job_not_found")


def test_a_waiting_job_is_cancelled_at_once(client: FlaskClient) -> None:
    job = start(client)
    body = client.post(f"/jobs/{job['id']}/cancel", headers=ADMIN).get_json()
    assert (body["ok"], body["state"]) == (True, "cancelled")
    assert client.get(job["url"], headers=ADMIN).get_json()["state"] == "cancelled"


def test_a_running_job_is_cancelled_and_the_library_stays(
    client: FlaskClient, running: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, begun = running.indexing.run_job, threading.Event()

    def slow(params: Any, on_progress: Any, stop: threading.Event) -> None:
        begun.set()
        assert stop.wait(10)
        real(params, on_progress, stop)

    monkeypatch.setitem(running.runner._handlers, "rebuild", slow)
    physical = running.store.resolve("default")
    job = start(client, projection="random:8")
    assert begun.wait(10)
    assert client.post(f"/jobs/{job['id']}/cancel", headers=ADMIN).get_json()["state"] == "running"
    assert wait(client, job["id"], "cancelled", "done")["state"] == "cancelled"
    assert running.store.resolve("default") == physical
    assert running.store.list_collections() == [physical]
    assert client.get("/status").get_json()["model"]["dim"] == 48


def test_a_job_that_is_done_stays_done(client: FlaskClient, running: Services) -> None:
    job = start(client)
    wait(client, job["id"], "done")
    assert client.post(f"/jobs/{job['id']}/cancel", headers=ADMIN).get_json()["state"] == "done"


@pytest.mark.parametrize(("projection", "dim"), [("random:8", 8), ("pca:2", 2), ("none", 48)])
def test_another_projection(client: FlaskClient, running: Services, projection: str, dim: int) -> None:
    for mark in range(5):
        # A PCA wants ten pictures for each dimension.
        green = jpeg(draw((40, 180, 60), mark=mark))
        assert client.post("/insert", json={"image": encoded(green)}, headers=ADMIN).status_code == 201
    done = wait(client, start(client, projection=projection)["id"], "done", "failed")
    assert done["state"] == "done", done
    model = client.get("/status").get_json()["model"]
    assert model["dim"] == dim
    assert model["projection"].startswith(projection.split(":")[0])
    body = client.post("/search", json={"image": encoded(RED), "top_k": 5}).get_json()
    assert body["model"]["dim"] == dim
    assert {result["source_name"].split("/")[0] for result in body["results"]} == {"red"}
    created = client.post("/insert", json={"image": encoded(RED)}, headers=ADMIN)
    assert created.status_code == 201
    body = client.post("/search", json={"image": encoded(RED), "top_k": 50}).get_json()
    assert created.get_json()["id"] in [result["id"] for result in body["results"]]


def test_there_and_back_loses_nothing(client: FlaskClient, running: Services) -> None:
    created = client.post("/insert", json={"image": encoded(RED)}, headers=ADMIN).get_json()
    before = client.post("/search", json={"image": encoded(RED), "top_k": 100}).get_json()
    wait(client, start(client, projection="random:8")["id"], "done")
    client.delete(f"/images/{before['results'][5]['id']}", headers=ADMIN)
    wait(client, start(client, projection="none")["id"], "done")
    after = client.post("/search", json={"image": encoded(RED), "top_k": 100}).get_json()
    gone = before["results"].pop(5)["id"]
    assert gone not in [result["id"] for result in after["results"]]
    assert after["results"][0]["id"] == created["id"]
    # Some of the gallery are as near as each other: a last bit decides which comes first.
    scores_before = {result["id"]: result["score"] for result in before["results"]}
    scores_after = {result["id"]: result["score"] for result in after["results"]}
    assert scores_after == pytest.approx(scores_before, abs=1e-5)


def test_too_small_for_a_pca_is_a_failed_job_that_says_why(client: FlaskClient, running: Services) -> None:
    done = wait(client, start(client, projection="pca:8")["id"], "done", "failed")
    assert done["state"] == "failed"
    assert "80 pictures" in done["error"]
    assert client.get("/status").get_json()["model"]["dim"] == 48


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"projection": "pca"}, "projection"),
        ({"projection": "pca:0"}, "projection"),
        ({"projection": "random:1"}, "projection"),
        ({"projection": "random:32769"}, "projection"),
        ({"projection": "pca:-1"}, "projection"),
        ({"projection": "pca:8; DROP"}, "projection"),
        ({"projection": "umap:2"}, "projection"),
        ({"projection": "pca:" + "9" * 50}, "projection"),
        ({"projection": 8}, "projection"),
        ({"projection": {}}, "projection"),
        ({"index": "FLAT"}, "index"),
        ({"index": {}}, "index.kind"),
        ({"index": {"kind": "BTREE"}}, "index.kind"),
        ({"index": {"kind": ["FLAT"]}}, "index.kind"),
        ({"index": {"kind": "FLAT", "params": [1]}}, "index.params"),
        ({"index": {"kind": "HNSW", "params": {"M": "16"}}}, "index.params.M"),
        ({"index": {"kind": "HNSW", "params": {"M": True}}}, "index.params.M"),
        ({"index": {"kind": "FLAT", "parms": {}}}, "index.parms"),
        ({"collection": "no/such"}, "collection"),
        ({"nlist": 1024}, "nlist"),
    ],
)
def test_a_wrong_wish_is_refused_before_there_is_a_job(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    response = client.post("/indexing", json=body, headers=ADMIN)
    assert_problem(response, 422, "invalid_parameter", field=field)


def test_a_collection_that_is_not_there(client: FlaskClient) -> None:
    response = client.post("/indexing", json={"collection": "other"}, headers=ADMIN)
    assert_problem(response, 404, "collection_not_found")


def test_a_malformed_body(client: FlaskClient) -> None:
    response = client.post("/indexing", data="{", content_type="application/json", headers=ADMIN)
    assert_problem(response, 400, "malformed_request")


def test_search_and_insert_go_on_while_it_runs_and_nothing_is_lost(app: Flask, running: Services) -> None:
    stop = threading.Event()
    failures: list[object] = []
    inserted: dict[int, list[str]] = {0: [], 1: []}
    searches: list[int] = []

    def insert(worker: int) -> None:
        client = app.test_client()
        number = 0
        while not stop.is_set():
            data = jpeg(draw((10 + worker * 120, 200 - number % 200, number * 7 % 256), mark=number))
            response = client.post(
                "/insert", json={"image": encoded(data + bytes([worker, number % 256]))}, headers=ADMIN
            )
            if response.status_code != 201:
                failures.append(response.get_json(force=True))
                return
            inserted[worker].append(response.get_json()["id"])
            number += 1

    def search() -> None:
        client = app.test_client()
        while not stop.is_set():
            response = client.post("/search", json={"image": encoded(RED), "top_k": 5})
            if response.status_code != 200:
                failures.append(response.get_json(force=True))
                return
            searches.append(response.get_json()["page"]["returned"])

    threads = [threading.Thread(target=insert, args=(0,)), threading.Thread(target=insert, args=(1,))]
    threads += [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    client = app.test_client()
    try:
        for projection in ("random:16", "random:8", "none"):
            done = wait(client, start(client, projection=projection)["id"], "done", "failed")
            assert done["state"] == "done", done
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert set(searches) == {5}
    expected = {*inserted[0], *inserted[1]}
    assert len(expected) > 10
    there = {r.image_id for records, _ in running.store.iterate("default") for r in records}
    assert expected - there == set()
    assert len(there) == 15 + len(expected)
    assert running.store.list_collections() == [running.store.resolve("default")]
