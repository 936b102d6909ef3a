"""GET /metrics: who may read it, and what is in it."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

import image_search.api.server as server
from image_search.errors import VectorStoreError
from image_search.wiring import Services
from tests.api.conftest import MakeClient
from tests.api.helpers import ADMIN, RED, USER, USER_KEY, assert_problem, encoded


def samples(client: FlaskClient) -> dict[tuple[str, str], float]:
    """Value by name and labels in one line."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.content_type.startswith("text/plain")
    return {
        (sample.name, ",".join(f"{sample.labels[name]}" for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.get_data(as_text=True))
        for sample in family.samples
    }


def test_requests_steps_library_and_jobs(client: FlaskClient) -> None:
    client.post("/search", json={"image": encoded(RED)})
    client.post("/search", json={"image": encoded(RED), "top_k": 0})
    client.get("/nowhere")
    client.get("/nowhere/else")
    client.open("/status", method="BREW")
    client.get(f"/images/{'0' * 64}")
    client.post("/indexing", headers=ADMIN)
    found = samples(client)
    assert found["image_search_requests_total", "POST,/search,200"] == 1
    assert found["image_search_requests_total", "POST,/search,422"] == 1
    assert found["image_search_requests_total", "GET,none,404"] == 2
    assert found["image_search_requests_total", "GET,/images/<image_id>,404"] == 1
    assert [value for (name, labels), value in found.items() if labels.startswith("BREW")] == []
    assert found["image_search_request_seconds_count", "POST,/search"] == 2
    for step in ("decode", "embed", "search"):
        assert found["image_search_step_seconds_count", step] == 1
    assert ("image_search_step_seconds_count", "fetch") not in found
    assert found["image_search_images", "default"] == 15
    assert (found["image_search_jobs", "queued"], found["image_search_jobs", "failed"]) == (1, 0)
    assert (found["image_search_up", "library"], found["image_search_up", "jobs"]) == (1, 1)


def test_a_store_that_is_away_is_told_and_the_rest_is_there(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object) -> None:
        raise VectorStoreError("secret")

    monkeypatch.setattr(stocked.store, "count", away)
    found = samples(client)
    assert (found["image_search_up", "library"], found["image_search_up", "jobs"]) == (0, 1)


def get(client: FlaskClient, peer: str, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.get("/metrics", headers=named, environ_overrides={"REMOTE_ADDR": peer})


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "127.8.9.1"])
def test_this_machine_needs_no_key(client: FlaskClient, peer: str) -> None:
    assert get(client, peer).status_code == 200


@pytest.mark.parametrize("peer", ["192.168.1.5", "203.0.113.9", "::ffff:10.0.0.1", "", "nonsense"])
def test_others_need_the_admin_s(make_client: MakeClient, peer: str) -> None:
    client = make_client(security__user_key=USER_KEY)
    assert_problem(get(client, peer), 401, "invalid_key")
    assert_problem(get(client, peer, X_API_Key=USER["X-API-Key"]), 403, "forbidden")
    assert get(client, peer, X_API_Key=ADMIN["X-API-Key"]).status_code == 200


@pytest.mark.parametrize("proxies", ["0", "1"])
@pytest.mark.parametrize(
    "header", ["X_Forwarded_For", "Forwarded", "X_Real_IP", "Via", "X_Forwarded_Host", "X_Forwarded_Proto"]
)
def test_no_header_makes_a_caller_local(make_client: MakeClient, proxies: str, header: str) -> None:
    client = make_client(http_server__trusted_proxies=proxies)
    assert_problem(get(client, "203.0.113.9", **{header: "127.0.0.1"}), 401, "invalid_key")
    # A proxy on this machine brings callers from anywhere.
    assert_problem(get(client, "127.0.0.1", **{header: "127.0.0.1"}), 401, "invalid_key")


def test_the_metrics_key_opens_the_numbers_and_nothing_else(make_client: MakeClient) -> None:
    client = make_client(**{"security.metrics_key": "for prometheus"})
    headers = {"Authorization": "Bearer for prometheus"}
    assert client.get("/metrics", headers=headers, environ_overrides={"REMOTE_ADDR": "10.1.2.3"}).status_code == 200
    assert client.get("/metrics", environ_overrides={"REMOTE_ADDR": "10.1.2.3"}).status_code == 401
    assert client.get("/jobs", headers=headers).status_code == 401


def test_numbers_that_killed_services_left_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_memory_folder", lambda: str(tmp_path))
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    folders = {name: tmp_path / f"image-search-numbers-{name}" for name in ("killed", "alive", "starting")}
    for name, folder in folders.items():
        folder.mkdir()
        (folder / "held").touch()
        (folder / "counter_1.db").touch()
        if name != "starting":
            os.utime(folder / "held", (time.time() - 3600,) * 2)
    with (folders["alive"] / "held").open("a") as lives:
        fcntl.flock(lives, fcntl.LOCK_EX)
        ours, held = server._share_numbers()
    with held:
        assert {path.name for path in tmp_path.iterdir()} == {
            ours.name,
            folders["alive"].name,
            folders["starting"].name,
        }
        assert os.environ["PROMETHEUS_MULTIPROC_DIR"] == str(ours)
