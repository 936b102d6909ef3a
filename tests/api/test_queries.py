"""POST /search with words, filters, regions, negatives, addresses and tokens; several at once."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

import image_search.api.tokens as tokens
from image_search.api.app import create_app
from image_search.config import load_settings
from image_search.errors import ImageStoreError
from image_search.fingerprint import content_hash
from image_search.wiring import Services
from tests.api.conftest import MakeClient
from tests.api.helpers import ADMIN, ADMIN_KEY, NEW, RED, USER_KEY, assert_problem, encoded, hits, part
from tests.url_servers import Server, answer, servers


def search(client: FlaskClient, **body: Any) -> dict[str, Any]:
    response = client.post("/search", json=body)
    assert response.status_code == 200, response.get_json(force=True)
    return dict(response.get_json())


@pytest.fixture
def yellow(client: FlaskClient) -> str:
    """The id of a stored picture with words."""
    words = {"title": "A yellow submarine", "tags": ["sea", "boat"], "fields": {"year": 1966}}
    return str(client.post("/insert", json={"image": encoded(NEW), **words}, headers=ADMIN).get_json()["id"])


def test_words_alone(client: FlaskClient, yellow: str) -> None:
    body = search(client, text="SUBMARINE")
    assert [result["id"] for result in body["results"]] == [yellow]
    first = body["results"][0]
    assert (first["found_by"], first["scores"]["image"]) == (["text"], None)
    assert first["scores"]["text"] > 0
    assert body["query"] == {"id": None, "image_id": None, "width": None, "height": None, "text": "SUBMARINE"}
    by_query_string = client.post("/search?text=x", data=RED, content_type="image/jpeg")
    assert by_query_string.get_json()["query"]["text"] == "x"


def test_a_picture_and_words(client: FlaskClient, yellow: str) -> None:
    body = search(client, image=encoded(RED), text="submarine", weights={"image": 0.1, "text": 1}, top_k=3)
    assert body["results"][0]["id"] == yellow
    assert body["results"][0]["found_by"][-1] == "text"
    body = search(client, image=encoded(RED), text="submarine", weights={"image": 1, "text": 0}, top_k=3)
    assert body["results"][0]["source_name"].startswith("red/")


def test_the_words_of_a_stored_picture(client: FlaskClient, yellow: str) -> None:
    body = search(client, text_of=yellow)
    assert body["query"]["text"] == "A yellow submarine sea boat"
    assert body["results"][0]["id"] == yellow


def test_a_filter(client: FlaskClient, yellow: str) -> None:
    body = search(client, image=encoded(RED), filter={"tags": {"any": ["sea"]}, "fields.year": {"lt": 2000}})
    assert [result["id"] for result in body["results"]] == [yellow]
    body = search(client, image=encoded(RED), filter={"not": {"source_name": {"starts_with": "red/"}}}, top_k=100)
    assert not [one for one in body["results"] if one["source_name"].startswith("red/")]


def test_negatives_and_a_region(client: FlaskClient) -> None:
    body = search(client, image=encoded(RED), top_k=2)
    unwanted = body["results"][0]["id"]
    assert unwanted not in {one["id"] for one in search(client, image=encoded(RED), negative_ids=[unwanted])["results"]}
    body = search(client, image=encoded(RED), crop={"left": 0.5, "right": 1.0})
    assert body["query"]["image_id"] is None
    assert body["query"]["id"]


def test_collapse(client: FlaskClient) -> None:
    for number in range(3):
        client.post("/insert", json={"image": encoded(NEW + bytes(number))}, headers=ADMIN)
    first = search(client, image=encoded(NEW), collapse="near_duplicate", top_k=1)["results"][0]
    assert len(first["collapsed"]) == 2


# Tokens


def test_a_token_stands_for_its_picture(client: FlaskClient) -> None:
    by_picture = search(client, image=encoded(RED), top_k=15)
    token = by_picture["query"]["id"]
    assert hits(search(client, query_id=token, top_k=15)) == hits(by_picture)
    pages = hits(search(client, query_id=token, top_k=7)) + hits(search(client, query_id=token, top_k=8, offset=7))
    assert pages == hits(by_picture)
    assert search(client, query_id=token)["query"]["id"]


def test_the_vector_in_a_token_is_exact(client: FlaskClient) -> None:
    keys = client.application.extensions["keys"]
    token = search(client, image=encoded(RED))["query"]["id"]
    known = tokens.decode_query(token, keys)
    services: Services = client.application.extensions["services"]
    from image_search.services.searching.query import Query
    from image_search.types import SearchParams

    found = services.search.search("default", Query(image=RED), SearchParams()).query_vector
    assert found is not None
    assert known.vector.tobytes() == found.vector.tobytes()
    assert (known.phashes, known.low_detail, known.image_id) == (found.phashes, found.low_detail, found.image_id)


def test_a_token_ends_after_an_hour(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    token = search(client, image=encoded(RED))["query"]["id"]
    now_s = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now_s + 3590)
    assert search(client, query_id=token)["results"]
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now_s + 3610)
    body = assert_problem(client.post("/search", json={"query_id": token}), 422, "invalid_parameter", field="query_id")
    assert "too old" in body["detail"]


def test_a_forged_token_is_none(client: FlaskClient) -> None:
    token = search(client, image=encoded(RED))["query"]["id"]
    payload, rest = token.split(".", 1)
    data = bytearray(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    data[-1] ^= 1
    changed = base64.urlsafe_b64encode(data).decode().rstrip("=")
    for forged in (f"{changed}.{rest}", token[:-1], token + "A", payload, ".", "x" * 5000, "é.é.é", "a.b.c", "\0"):
        response = client.post("/search", json={"query_id": forged})
        assert_problem(response, 422, "invalid_parameter", field="query_id")


def test_a_token_of_another_service_is_none(client: FlaskClient, stocked: Services, tmp_path: Any) -> None:
    other = load_settings(environ={}, overrides={"library.data_dir": str(tmp_path / "other")})
    token = search(create_app(other, stocked).test_client(), image=encoded(RED))["query"]["id"]
    assert_problem(client.post("/search", json={"query_id": token}), 422, "invalid_parameter", field="query_id")


def test_a_token_of_another_projection_is_refused(client: FlaskClient, running: Services) -> None:
    token = search(client, image=encoded(RED))["query"]["id"]
    running.indexing.rebuild("default", projection="random:8")
    body = assert_problem(client.post("/search", json={"query_id": token}), 422, "invalid_parameter", field="query_id")
    assert "another model" in body["detail"]


# Addresses


@pytest.fixture(scope="module")
def web() -> Iterator[Server]:
    """A server with a picture, a web page, and nothing."""

    def script(peer: Any) -> None:
        found = {
            "/red.jpg": answer(RED, "Content-Type: image/jpeg"),
            "/new.jpg": answer(NEW, "Content-Type: image/jpeg"),
            "/page": answer(b"<!doctype html><p>secret of the inside</p>", "Content-Type: text/html"),
            "/text": answer(b"secret of the inside", "Content-Type: image/jpeg"),
        }
        peer.sock.sendall(found.get(peer.path, answer(b"secret of the inside", status="404 Not Found")))

    with servers() as serve:
        yield serve(script)


class TestAddresses:
    """Pictures that the service fetches."""

    @pytest.fixture
    def changes(self, web: Server) -> dict[str, str]:
        return {
            "security.admin_key": ADMIN_KEY,
            "url_fetch.mode": "allowlist",
            "url_fetch.allow": f"127.0.0.1:{web.port}",
        }

    @pytest.fixture
    def base(self, web: Server) -> str:
        return f"http://127.0.0.1:{web.port}"

    def test_search(self, client: FlaskClient, base: str) -> None:
        by_url = search(client, image_url=f"{base}/red.jpg")
        assert hits(by_url) == hits(search(client, image=encoded(RED)))
        assert by_url["timing_ms"]["fetch"] > 0
        raw = client.post("/search", data={"params": f'{{"image_url": "{base}/red.jpg"}}', "image": part(RED)})
        assert_problem(raw, 422, "invalid_parameter", field="image_url")

    def test_insert(self, client: FlaskClient, base: str) -> None:
        created = client.post("/insert", json={"image_url": f"{base}/new.jpg", "title": "x"}, headers=ADMIN)
        assert created.status_code == 201
        assert client.get(created.get_json()["url"]).get_data() == NEW
        again = client.post("/insert", json={"image": encoded(NEW)}, headers=ADMIN)
        assert again.get_json()["status"] == "duplicate"

    def test_check(self, client: FlaskClient, base: str) -> None:
        body = client.post("/images/check", json={"image_url": f"{base}/new.jpg"}).get_json()
        assert body["results"][0]["held"] == "no"

    @pytest.mark.parametrize(
        ("path", "status", "code"),
        [
            ("/page", 415, "unsupported_format"),
            ("/text", 415, "unsupported_format"),
            ("/nowhere", 502, "url_fetch_failed"),
        ],
    )
    @pytest.mark.parametrize("route", ["/search", "/insert", "/images/check"])
    def test_what_is_no_picture_there(
        self,
        client: FlaskClient,
        stocked: Services,
        base: str,
        caplog: pytest.LogCaptureFixture,
        route: str,
        path: str,
        status: int,
        code: str,
    ) -> None:
        caplog.set_level("INFO")
        response = client.post(route, json={"image_url": base + path}, headers=ADMIN)
        body = assert_problem(response, status, code)
        assert "secret" not in str(body) + caplog.text
        assert "retryable" not in str(body)
        assert stocked.store.count("default") == 15
        if status == 502:
            (record,) = [one for one in caplog.records if one.name.startswith("image_search")]
            assert (record.levelname, record.exc_info) == ("INFO", None)
            assert body["request_id"] in record.getMessage()

    @pytest.mark.parametrize("url", ["http://127.0.0.1/x", "http://169.254.169.254/latest/meta-data", "http://[::1]/"])
    def test_the_inside_is_refused_like_what_is_not_there(self, client: FlaskClient, base: str, url: str) -> None:
        blocked = assert_problem(client.post("/search", json={"image_url": url}), 502, "url_fetch_failed")
        absent = client.post("/search", json={"image_url": f"{base}/nowhere"}).get_json(force=True)
        assert blocked["detail"] == absent["detail"]

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x/", "data:image/png;base64,AA", "x", "http://"])
    def test_what_is_no_address(self, client: FlaskClient, url: str) -> None:
        response = client.post("/search", json={"image_url": url})
        assert_problem(response, 422, "invalid_parameter", field="image_url")


@dataclass
class Slow:
    """A server that answers nobody before it may."""

    answered: threading.Event
    server: Server

    def url(self, path: object) -> str:
        return f"http://127.0.0.1:{self.server.port}/{path}"


@pytest.fixture
def slow() -> Iterator[Slow]:
    answered = threading.Event()

    def script(peer: Any) -> None:
        answered.wait(60)
        peer.sock.sendall(answer(RED, "Content-Type: image/jpeg"))

    with servers() as serve:
        yield Slow(answered, serve(script))
        answered.set()


class TestSlowAddresses:
    """Addresses that do not answer, of a service with 4 threads and half a second for the addresses of a batch."""

    @pytest.fixture
    def changes(self, slow: Slow) -> dict[str, str]:
        return {
            "security.admin_key": ADMIN_KEY,
            "url_fetch.mode": "allowlist",
            "url_fetch.allow": f"127.0.0.1:{slow.server.port}",
            "url_fetch.read_s": "60",
            "url_fetch.total_s": "60",
            "url_fetch.batch_s": "0.5",
            "url_fetch.at_once": "8",
            "http_server.threads": "4",
        }

    def test_those_of_a_batch_share_their_time(self, client: FlaskClient, slow: Slow) -> None:
        addresses = [{"image_url": slow.url(number)} for number in range(5)]
        for path, body, statuses in (
            ("/search/batch", {"queries": [*addresses, {"text": "red"}]}, [502, 502, 502, 502, 502, None]),
            ("/insert/batch", {"items": [*addresses, {"image": encoded(NEW)}]}, [502, 502, 502, 502, 502, None]),
        ):
            started = time.monotonic()
            response = client.post(path, json=body, headers=ADMIN)
            assert time.monotonic() - started < 20
            results = response.get_json()["results"]
            assert [result.get("status") if not result["ok"] else None for result in results] == statuses
            assert {result["code"] for result in results[:5]} == {"url_fetch_failed"}

    def test_two_threads_are_left_for_everything_else(self, app: Flask, slow: Slow) -> None:
        def fetch(number: int) -> int:
            return app.test_client().post("/search", json={"image_url": slow.url(number)}).status_code

        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(fetch, number) for number in (1, 2)]
            while len(slow.server.requests) < 2:
                time.sleep(0.01)
            for path in ("/search", "/insert", "/images/check"):
                refused = app.test_client().post(path, json={"image_url": slow.url("third")}, headers=ADMIN)
                assert_problem(refused, 503, "backend_unavailable")
            slow.answered.set()
            assert [one.result(60) for one in waiting] == [200, 200]
        assert fetch(3) == 200
        assert len(slow.server.requests) == 3


class TestWithoutAddresses:
    """The owner has switched fetching off."""

    @pytest.fixture
    def changes(self) -> dict[str, str]:
        return {"security.admin_key": ADMIN_KEY, "url_fetch.mode": "off"}

    @pytest.mark.parametrize("route", ["/search", "/insert", "/images/check"])
    def test_no_address_is_taken(self, client: FlaskClient, route: str) -> None:
        response = client.post(route, json={"image_url": "https://example.org/x.jpg"}, headers=ADMIN)
        assert "switched off" in assert_problem(response, 422, "invalid_parameter", field="image_url")["detail"]


# Several at once


def test_a_batch_answers_each_in_its_place(client: FlaskClient) -> None:
    queries = [{"image": encoded(RED), "top_k": 3}, {"top_k": 0}, {"image_id": "0" * 64}, 5, {"image": encoded(NEW)}]
    response = client.post("/search/batch", json={"queries": queries})
    assert response.status_code == 207
    body = response.get_json()
    assert body["ok"] is False
    assert [one["ok"] for one in body["results"]] == [True, False, False, False, True]
    assert hits(body["results"][0]) == hits(search(client, image=encoded(RED), top_k=3))
    assert [one.get("code") for one in body["results"][1:4]] == [
        "invalid_parameter",
        "image_not_found",
        "invalid_parameter",
    ]
    assert body["results"][1]["errors"][0]["field"] == "top_k"
    assert body["results"][1]["request_id"] == response.headers["X-Request-ID"]


def test_a_good_batch_is_a_200_and_names_its_collection_once(client: FlaskClient) -> None:
    client.post("/insert?collection=other", json={"image": encoded(NEW)}, headers=ADMIN)
    queries = [{"image": encoded(RED)}, {"image": encoded(RED), "collection": "default"}]
    response = client.post("/search/batch", json={"collection": "other", "queries": queries})
    assert (response.status_code, response.get_json()["ok"]) == (200, True)
    assert [one["collection"] for one in response.get_json()["results"]] == ["other", "default"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "queries"),
        ({"queries": []}, "queries"),
        ({"queries": {}}, "queries"),
        ({"queries": [{}] * 33}, "queries"),
        ({"queries": [{}], "top_k": 3}, "top_k"),
    ],
)
def test_a_wrong_batch(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    assert_problem(client.post("/search/batch", json=body), 422, "invalid_parameter", field=field)


def test_a_batch_is_json(client: FlaskClient) -> None:
    response = client.post("/search/batch", data=RED, content_type="image/jpeg")
    assert "application/json" in assert_problem(response, 415, "unsupported_format")["detail"]


def test_a_batch_counts_by_its_queries(make_client: MakeClient) -> None:
    client = make_client(security__requests_per_minute="5", security__user_key=USER_KEY)
    two = {"queries": [{"text": "a"}, {"text": "b"}]}
    headers = {"X-API-Key": USER_KEY}
    assert [client.post("/search/batch", json=two, headers=headers).status_code for _ in range(2)] == [200, 200]
    assert_problem(client.post("/search/batch", json=two, headers=headers), 429, "too_many_requests")


# What is kept of them


def kept_queries(services: Services) -> list[str]:
    return list(services.images.iter_keys("queries/"))


def test_no_picture_of_a_query_is_kept(client: FlaskClient, stocked: Services) -> None:
    search(client, image=encoded(RED))
    assert kept_queries(stocked) == []


class TestKept:
    """The owner wants the pictures of queries kept."""

    @pytest.fixture
    def changes(self) -> dict[str, str]:
        return {"security.admin_key": ADMIN_KEY, "http_server.keep_queries": "true"}

    def test_pictures_of_searches_are_kept_and_are_no_part_of_the_library(
        self, client: FlaskClient, stocked: Services
    ) -> None:
        search(client, text="red")
        client.post("/search", data=b"no picture", content_type="image/jpeg")
        assert kept_queries(stocked) == []
        stored = search(client, image=encoded(NEW))["results"][0]["id"]
        search(client, image=encoded(NEW), crop={"right": 0.9})
        search(client, image_id=stored)
        client.post("/search/batch", json={"queries": [{"image": encoded(RED)}]})
        keys = kept_queries(stocked)
        assert sorted(key.split("/")[-1] for key in keys) == sorted(content_hash(data) for data in (RED, NEW))
        assert {stocked.images.get(key) for key in keys} == {RED, NEW}
        assert stocked.store.count("default") == 15
        assert client.get(f"/images/{content_hash(NEW)}").status_code == 404
        assert client.get(f"/images/{content_hash(NEW)}/file").status_code == 404

    def test_a_search_does_not_fail_for_it(
        self, client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def full(*_: object) -> None:
            raise ImageStoreError("the disk of the image store is full")

        monkeypatch.setattr(stocked.images, "put", full)
        assert search(client, image=encoded(RED))["results"]
        assert "was not kept: the disk of the image store is full" in caplog.text
