"""Errors have one shape (`helpers.assert_problem` is its specification) and tell nothing of the inside."""

from __future__ import annotations

import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from image_search import errors
from image_search.api.problems import STATUSES
from image_search.wiring import Services
from tests.api.helpers import ADMIN, NEW, RED, assert_problem, encoded

SECRET = "secret /etc/passwd at 10.0.0.7:19530"


def every_error() -> list[type[errors.ImageSearchError]]:
    found, waiting = [], [errors.ImageSearchError]
    while waiting:
        cls = waiting.pop()
        found.append(cls)
        waiting += cls.__subclasses__()
    return [cls for cls in found if cls.__module__ == "image_search.errors"]


def make(cls: type[errors.ImageSearchError]) -> errors.ImageSearchError:
    return cls("top_k", SECRET) if issubclass(cls, errors.InvalidParameter) else cls(SECRET)


@pytest.mark.parametrize("cls", every_error(), ids=lambda cls: cls.__name__)
def test_every_error_of_ours_has_a_status_and_tells_nothing_of_the_inside(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch, cls: type[errors.ImageSearchError]
) -> None:
    kind = next(STATUSES[base] for base in cls.__mro__ if base in STATUSES)

    def fail(*_arguments: object, **_named: object) -> None:
        raise make(cls)

    monkeypatch.setattr(stocked.search, "search", fail)
    response = client.post("/search", json={"image": encoded(RED)})
    body = assert_problem(response, kind.status, kind.code)
    if kind.status >= 500:
        assert "secret" not in str(body)
        assert "passwd" not in str(body)
        assert "10.0.0.7" not in str(body)


@pytest.mark.parametrize("error", [RuntimeError(SECRET), OSError(2, SECRET), KeyError(SECRET), RecursionError(SECRET)])
def test_a_defect_is_a_500_that_tells_nothing(
    client: FlaskClient,
    stocked: Services,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise error

    monkeypatch.setattr(stocked.search, "search", fail)
    monkeypatch.setattr(stocked.library, "insert", fail)
    for response in (
        client.post("/search", json={"image": encoded(RED)}),
        client.post("/insert", json={"image": encoded(NEW)}, headers=ADMIN),
    ):
        body = assert_problem(response, 500, "internal_error")
        text = response.get_data(as_text=True)
        for word in ("secret", "passwd", type(error).__name__):
            assert word not in text
        # The log has all of it, and the number to find it by.
        assert body["request_id"] in caplog.text
        assert "secret" in caplog.text


def test_what_the_database_said_goes_into_the_log_only(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise errors.VectorStoreError(SECRET, retryable=True)

    monkeypatch.setattr(stocked.store, "search", fail)
    response = client.post("/search", json={"image": encoded(RED)})
    assert_problem(response, 503, "vector_store_unavailable")
    assert "secret" not in response.get_data(as_text=True)
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/search", {"POST", "OPTIONS"}),
        ("GET", "/search/", {"POST", "OPTIONS"}),
        ("PUT", "/insert", {"POST", "OPTIONS"}),
        ("DELETE", "/indexing", {"POST", "OPTIONS"}),
        ("POST", "/status", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/", {"GET", "HEAD", "OPTIONS"}),
        ("POST", f"/images/{'0' * 64}", {"GET", "HEAD", "PATCH", "DELETE", "OPTIONS"}),
        ("DELETE", f"/images/{'0' * 64}/file", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/images", {"GET", "HEAD", "OPTIONS"}),
        ("GET", "/search/batch", {"POST", "OPTIONS"}),
        ("PATCH", "/jobs/x", {"GET", "HEAD", "OPTIONS"}),
        ("POST", "/js/main.js", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_another_method_is_told_which_there_are(client: FlaskClient, method: str, path: str, allowed: set[str]) -> None:
    response = client.open(path, method=method, headers=ADMIN)
    assert_problem(response, 405, "method_not_allowed")
    assert set(re.split(r",\s*", response.headers["Allow"])) == allowed


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["/nowhere", "/search/more", "/images/", "/jobs/", "/status/x", "/%ff"])
def test_what_is_not_there_is_not_found_whatever_the_method(client: FlaskClient, method: str, path: str) -> None:
    assert_problem(client.open(path, method=method), 404, "not_found")


def test_the_shape_does_not_depend_on_what_the_client_accepts(client: FlaskClient) -> None:
    for accept in ("text/html", "image/*", "application/json", "*/*"):
        assert_problem(client.get("/nowhere", headers={"Accept": accept}), 404, "not_found")


def test_a_request_id_is_kept_where_it_is_harmless(client: FlaskClient) -> None:
    response = client.get("/nowhere", headers={"X-Request-ID": "abc-12345678"})
    assert assert_problem(response, 404, "not_found")["request_id"] == "abc-12345678"
    assert client.get("/livez", headers={"X-Request-ID": "abc-12345678"}).headers["X-Request-ID"] == "abc-12345678"
    for odd in ("short", "x" * 65, "<script>", "a b c d e f", "é" * 10):
        found = client.get("/livez", headers={"X-Request-ID": odd}).headers["X-Request-ID"]
        assert found != odd
        assert re.fullmatch(r"[0-9a-f]{16}", found)


@pytest.mark.parametrize(
    "host", ["", "a b", "[::1", "evil.example/path", "x" * 300, "é.example", "h:99999999", "%0d%0a"]
)
def test_an_odd_host_is_no_500(app: Flask, host: str) -> None:
    client = app.test_client()
    response = client.post("/search", json={"image": encoded(RED)}, environ_overrides={"HTTP_HOST": host})
    assert response.status_code in (200, 400)
