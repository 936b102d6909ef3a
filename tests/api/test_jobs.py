"""GET /jobs, their failures, retry and cancel."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from image_search.types import Failure
from image_search.wiring import Services
from tests.api.helpers import ADMIN, assert_problem
from tests.api.test_library import pages


def start(client: FlaskClient, **body: Any) -> str:
    return str(client.post("/indexing", json=body, headers=ADMIN).get_json()["job"]["id"])


def test_jobs_are_listed_newest_first(client: FlaskClient) -> None:
    ids = [start(client, projection=f"random:{dim}") for dim in range(2, 7)]
    assert [one["id"] for page in pages(client, "/jobs", "jobs") for one in page] == ids[::-1]
    found = pages(client, "/jobs", "jobs", limit=2)
    assert [len(page) for page in found] == [2, 2, 1]
    assert [one["id"] for page in found for one in page] == ids[::-1]
    assert found[0][0] == {
        key: value for key, value in client.get(f"/jobs/{ids[-1]}", headers=ADMIN).get_json().items() if key != "ok"
    }


@pytest.mark.parametrize("count", [0, 1, 3, 4])
def test_failures_in_pages(client: FlaskClient, stocked: Services, count: int) -> None:
    job_id = start(client)
    stocked.jobs.add_failures(job_id, [Failure(f"{number}.jpg", "no picture") for number in range(count)])
    found = [one for page in pages(client, f"/jobs/{job_id}/failures", "failures", limit=2) for one in page]
    assert found == [{"number": number + 1, "item": f"{number}.jpg", "reason": "no picture"} for number in range(count)]


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{}/failures"])
@pytest.mark.parametrize("cursor", ["x", "YWJj" * 20, "Zm9v", "é", "ZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmY"])
def test_a_cursor_of_nobody(client: FlaskClient, path: str, cursor: str) -> None:
    response = client.get(path.format(start(client)), query_string={"cursor": cursor}, headers=ADMIN)
    assert_problem(response, 422, "invalid_parameter", field="cursor")


def test_retry(client: FlaskClient, stocked: Services) -> None:
    job_id = start(client, projection="random:8")
    assert_problem(client.post(f"/jobs/{job_id}/retry", headers=ADMIN), 409, "conflict")
    client.post(f"/jobs/{job_id}/cancel", headers=ADMIN)
    response = client.post(f"/jobs/{job_id}/retry", headers=ADMIN)
    assert response.status_code == 202
    again = response.get_json()["job"]
    assert (again["state"], response.headers["Location"]) == ("queued", again["url"])
    assert again["id"] != job_id
    assert stocked.jobs.get(again["id"]).params == stocked.jobs.get(job_id).params


@pytest.mark.parametrize("path", ["/failures", "/retry", "/cancel", ""])
@pytest.mark.parametrize("job_id", ["nowhere", "..%2fetc", "x" * 3000, "%00"])
def test_a_job_that_is_not_there(client: FlaskClient, job_id: str, path: str) -> None:
    method = "POST" if path in ("/retry", "/cancel") else "GET"
    response = client.open(f"/jobs/{job_id}{path}", method=method, headers=ADMIN)
    assert_problem(response, 404, response.get_json(force=True)["code"])
