"""429 for those who ask too much, or all at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from image_search.api.app import create_app
from image_search.config import Settings
from image_search.services.searching.service import SearchAnswer, SearchService
from image_search.wiring import Services
from tests.api.helpers import ADMIN, assert_problem
from tests.support import draw, jpeg

PICTURE = jpeg(draw((200, 20, 20)))


def search(client: FlaskClient, **headers: str) -> TestResponse:
    return client.post("/search", data=PICTURE, content_type="image/jpeg", headers=headers)


def test_without_limits_nothing_is_refused(settings: Settings, stocked: Services) -> None:
    client = create_app(settings, stocked).test_client()
    assert {search(client).status_code for _ in range(30)} == {200}


def test_a_caller_has_an_allowance(settings: Settings, stocked: Services) -> None:
    limited = replace(settings, security=replace(settings.security, requests_per_minute=3, admin_key="an-admin-key"))
    client = create_app(limited, stocked).test_client()
    assert [search(client).status_code for _ in range(3)] == [200, 200, 200]
    refused = search(client)
    assert_problem(refused, 429, "too_many_requests")
    assert int(refused.headers["Retry-After"]) > 0
    assert search(client, **{"X-API-Key": "invented"}).status_code == 429
    assert search(client, **{"X-API-Key": "an-admin-key"}).status_code == 200
    for path in ("/status", "/livez", "/"):
        assert {client.get(path).status_code for _ in range(5)} == {200}


def test_the_allowance_is_one_for_all_endpoints(settings: Settings, stocked: Services) -> None:
    limited = replace(settings, security=replace(settings.security, requests_per_minute=3))
    client = create_app(limited, stocked).test_client()
    assert [search(client, **ADMIN).status_code for _ in range(2)] == [200, 200]
    assert client.post("/indexing", headers=ADMIN).status_code == 202
    for response in (search(client, **ADMIN), client.post("/indexing", headers=ADMIN)):
        assert 0 < int(response.headers["Retry-After"]) <= 60
        assert_problem(response, 429, "too_many_requests")


def batches(client: FlaskClient, count: int) -> list[tuple[str, TestResponse]]:
    """Both kinds of batches, of so many items each."""
    return [
        ("queries", client.post("/search/batch", json={"queries": [{"text": "red"}] * count}, headers=ADMIN)),
        ("items", client.post("/insert/batch", json={"items": [{}] * count}, headers=ADMIN)),
    ]


def test_a_batch_that_can_never_have_its_allowance_is_told_so(settings: Settings, stocked: Services) -> None:
    limited = replace(settings, security=replace(settings.security, requests_per_minute=10))
    for field, response in batches(create_app(limited, stocked).test_client(), 20):
        body = assert_problem(response, 422, "invalid_parameter", field=field)
        assert body["errors"][0]["reason"] == "has 20 of them, more than the 10 requests a minute that are allowed"
    searched, inserted = batches(create_app(limited, stocked).test_client(), 10)
    assert searched[1].status_code == 200
    assert_problem(inserted[1], 429, "too_many_requests")


def test_the_allowance_is_announced(settings: Settings, stocked: Services) -> None:
    limited = replace(settings, security=replace(settings.security, requests_per_minute=10))
    for known, limit in ((settings, 0), (limited, 10)):
        limits = create_app(known, stocked).test_client().get("/status").get_json()["limits"]
        assert limits["requests_per_minute"] == limit


def test_only_so_many_at_once(settings: Settings, stocked: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    limited = replace(settings, http_server=replace(settings.http_server, max_at_once=1))
    app = create_app(limited, stocked)
    entered, go_on = threading.Event(), threading.Event()
    real = SearchService.search

    def slow(self: SearchService, *args: Any, **kwargs: Any) -> SearchAnswer:
        entered.set()
        assert go_on.wait(20)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(SearchService, "search", slow)
    answers: list[int] = []
    first = threading.Thread(target=lambda: answers.append(search(app.test_client()).status_code))
    first.start()
    assert entered.wait(20)
    assert_problem(search(app.test_client()), 429, "too_many_requests")
    go_on.set()
    first.join()
    assert answers == [200]
    assert search(app.test_client()).status_code == 200


def test_looking_at_a_picture_or_a_job_is_counted(settings: Settings, stocked: Services) -> None:
    limited = replace(settings, security=replace(settings.security, requests_per_minute=1))
    for method, path in (
        ("GET", f"/images/{'0' * 64}"),
        ("GET", "/jobs"),
        ("GET", "/jobs/none"),
        ("GET", "/jobs/none/failures"),
        ("POST", "/jobs/none/cancel"),
    ):
        client = create_app(limited, stocked).test_client()
        assert client.open(path, method=method, headers=ADMIN).status_code in (200, 404)
        assert_problem(client.open(path, method=method, headers=ADMIN), 429, "too_many_requests")
