"""The older interface, as its clients send and read it, word for word."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from image_search.api.app import create_app
from image_search.wiring import Services
from tests.api.conftest import MakeClient
from tests.api.helpers import ADMIN_KEY, NEW, RED, USER_KEY, encoded


def post(client: FlaskClient, path: str, body: dict[str, Any]) -> Any:
    return client.post(path, data=json.dumps(body), content_type="application/json")


def uri(data: bytes) -> str:
    return encoded(data, "data:image/jpeg;base64,")


@pytest.fixture
def keyed(make_client: MakeClient) -> FlaskClient:
    return make_client(security__user_key=USER_KEY)


@pytest.mark.parametrize("path", ["/status/", "/status"])
def test_status(client: FlaskClient, path: str) -> None:
    body = client.get(path).get_json()
    assert body["ok"] is True
    assert body["entities_num"] == "15"
    for name in ("cpu", "memory", "gpu"):
        assert isinstance(body[name], str)
        assert body[name]


@pytest.mark.parametrize("path", ["/search/", "/search"])
def test_search(keyed: FlaskClient, path: str) -> None:
    response = post(keyed, path, {"key": USER_KEY, "image": uri(RED)})
    assert response.status_code == 200
    body = response.get_json()
    assert body["ok"] is True
    assert [name for name in body if name.startswith("image")] == [f"image{place}" for place in range(1, 6)]
    for place in range(1, 6):
        url = body[f"image{place}"]
        assert url.startswith("http://localhost/")
        assert url == body["results"][place - 1]["url"]
        picture = keyed.get(url)
        assert (picture.status_code, picture.mimetype) == (200, "image/jpeg")
    for name in ("embedding_time", "search_time"):
        assert isinstance(body[name], float)
        assert 0 <= body[name] <= body["timing_ms"]["total"] + 0.01


def test_fewer_than_five_hits_give_fewer_fields(client: FlaskClient) -> None:
    body = post(client, "/search/", {"image": uri(RED), "top_k": 2}).get_json()
    assert [name for name in body if name.startswith("image")] == ["image1", "image2"]
    body = post(client, "/search/", {"image": uri(RED), "min_score": 1}).get_json()
    assert [name for name in body if name.startswith("image")] == []
    assert body["ok"] is True


def test_a_library_of_three(settings: Any, services: Services) -> None:
    client = create_app(settings, services).test_client()
    for number in range(3):
        # Bytes after the end of a JPEG change its id and not its picture.
        body = {"key": ADMIN_KEY, "image": uri(RED + bytes(number)), "location": f"{number}.jpg"}
        assert post(client, "/insert/", body).get_json()["ok"] is True
    body = post(client, "/search/", {"image": uri(RED)}).get_json()
    assert [name for name in body if name.startswith("image")] == ["image1", "image2", "image3"]


@pytest.mark.parametrize("path", ["/insert/", "/insert"])
def test_insert(client: FlaskClient, path: str) -> None:
    response = post(client, path, {"key": ADMIN_KEY, "image": uri(NEW), "location": "D:/pictures/yellow.jpg"})
    assert response.get_json()["ok"] is True
    found = post(client, "/search/", {"image": uri(NEW)}).get_json()
    assert found["results"][0]["source_name"] == "D:/pictures/yellow.jpg"
    assert client.get(found["image1"]).get_data() == NEW


@pytest.mark.parametrize("path", ["/indexing/", "/indexing"])
def test_indexing(client: FlaskClient, running: Services, path: str) -> None:
    body = post(client, path, {"key": ADMIN_KEY}).get_json()
    assert body["ok"] is True
    deadline_s = time.monotonic() + 10
    while running.jobs.get(body["job"]["id"]).state != "done":
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/search/", {"image": uri(RED)}),
        ("/search", {"image": uri(RED)}),
        ("/insert/", {"image": uri(NEW), "location": "x"}),
        ("/insert", {"image": uri(NEW), "location": "x"}),
        ("/indexing/", {}),
        ("/indexing", {}),
    ],
)
@pytest.mark.parametrize("key", [{"key": "wrong"}, {"key": ""}, {}])
def test_a_wrong_key(keyed: FlaskClient, path: str, more: dict[str, str], key: dict[str, str]) -> None:
    response = post(keyed, path, {**key, **more})
    assert response.status_code == 401
    body = response.get_json(force=True)
    assert (body["ok"], body["result"]) == (False, "Invalid Key.")


def test_other_errors_carry_ok_and_result_too(client: FlaskClient) -> None:
    body = post(client, "/search/", {"image": "data:image/jpeg;base64,AAAA"}).get_json(force=True)
    assert body["ok"] is False
    assert body["result"] == body["detail"]


RECORDING = Path(__file__).with_name("recorded") / "old_page.json"


def test_the_recorded_conversation_of_the_old_page(make_client: MakeClient) -> None:
    """The old web page, opened as a file, word for word: what it sends, and every member of an answer that it reads.

    <url>, <text> and <number> stand for values that differ from one run to another; what the page does not know of an
    answer it passes over.
    """
    client = make_client(security__user_key=USER_KEY, http_server__cors_origins="null")
    sent: dict[str, bytes] = {}
    for step in json.loads(RECORDING.read_text(encoding="utf-8")):
        asked, expected = step["request"], step["answer"]
        data = json.dumps(asked["body"]) if "body" in asked else None
        response = client.open(asked["path"], method=asked["method"], headers=asked["headers"], data=data)
        assert response.status_code == expected["status"], (asked["path"], response.get_data())
        for name, value in expected["headers"].items():
            assert response.headers[name] == value
        if "body" not in expected:
            continue
        body = response.get_json(force=True)
        for name, value in expected["body"].items():
            assert_as_recorded(client, body[name], value)
        if "location" in asked.get("body", {}) and response.status_code == 201:
            sent["inserted"] = base64.b64decode(asked["body"]["image"].split(",")[1])
        if "inserted" in sent and "image1" in body:
            assert client.get(body["image1"]).get_data() == sent["inserted"]
            sent["found"] = sent["inserted"]
    assert set(sent) == {"inserted", "found"}


def assert_as_recorded(client: FlaskClient, value: Any, recorded: Any) -> None:
    if recorded == "<url>":
        # As an <img> fetches it: without a header.
        assert value.startswith("http://localhost/")
        assert client.get(value).mimetype == "image/jpeg"
    elif recorded == "<number>":
        assert isinstance(value, float)
    elif recorded == "<text>":
        assert isinstance(value, str)
        assert value
    else:
        assert value == recorded
