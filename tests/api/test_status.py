"""GET /status, /livez, /readyz."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from image_search.api.app import create_app
from image_search.errors import ConfigError, EmbedderError, ImageStoreError, VectorStoreError
from image_search.wiring import Services
from tests.api.conftest import MakeClient
from tests.api.helpers import ADMIN, RED, USER, USER_KEY, assert_problem, encoded


def test_status_tells_the_library_and_the_limits(client: FlaskClient) -> None:
    body = client.get("/status").get_json()
    assert (body["ok"], body["collection"], body["collections"], body["images"]) == (True, "default", ["default"], 15)
    assert body["model"] == {"name": "mean_colour@000000000000", "dim": 48, "metric": "cosine", "projection": "none"}
    assert body["index"] == {"kind": "FLAT", "params": {}}
    assert body["model_choice"] == {
        "name": "mean_colour@000000000000",
        "why": "named",
        "reason": "named in the configuration",
    }
    assert body["limits"] == {
        "max_image_bytes": 20_000_000,
        "max_request_bytes": 64_000_000,
        "max_import_bytes": 4_000_000_000,
        "max_pixels": 50_000_000,
        "max_top_k": 1000,
        "max_queries": 32,
        "max_items": 100,
        "requests_per_minute": 0,
    }
    assert body["features"] == {"text": True, "url_fetch": True, "keys": {"user": False, "admin": True}}
    assert set(body["formats"]) == {"JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"}


def test_collections_are_listed_with_what_is_in_them(client: FlaskClient) -> None:
    client.post("/insert?collection=birds", json={"image": encoded(RED)}, headers=ADMIN)
    found = client.get("/collections").get_json()["collections"]
    assert [(one["name"], one["images"]) for one in found] == [("birds", 1), ("default", 15)]
    assert found[0]["model"] == client.get("/status").get_json()["model"]


def test_status_says_whether_a_key_is_needed_and_does_not_need_one(make_client: MakeClient) -> None:
    client = make_client(security__user_key=USER_KEY)
    body = client.get("/status").get_json()
    assert body["features"]["keys"] == {"user": True, "admin": True}
    assert client.get("/status", headers=USER).get_json().keys() == body.keys()


def test_status_says_what_the_service_cannot_do(
    make_client: MakeClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert make_client(url_fetch__mode="off").get("/status").get_json()["features"]["url_fetch"] is False
    monkeypatch.setattr(type(stocked.store), "supports_text", False)
    assert make_client().get("/status").get_json()["features"]["text"] is False


def test_status_announces_the_configured_limits(make_client: MakeClient) -> None:
    client = make_client(http_server__max_image_bytes="1234", http_server__max_request_bytes="5678")
    limits = client.get("/status").get_json()["limits"]
    assert (limits["max_image_bytes"], limits["max_request_bytes"]) == (1234, 5678)


def test_status_of_a_library_without_pictures(settings: Any, services: Services) -> None:
    body = create_app(settings, services).test_client().get("/status/").get_json()
    assert (body["ok"], body["images"], body["entities_num"], body["collections"]) == (True, 0, "0", [])
    assert body["model"] is None


def test_status_of_another_collection(client: FlaskClient) -> None:
    assert client.get("/status?collection=other").get_json()["images"] == 0
    assert_problem(client.get("/status?collection=no/such"), 422, "invalid_parameter", field="collection")


def test_livez_answers_whatever_is_away(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break(stocked.store, "ping", VectorStoreError("away"), monkeypatch)
    assert client.get("/livez").get_json() == {"ok": True}


def test_readyz(client: FlaskClient) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.get_json()) == (200, {"ok": True})


@pytest.mark.parametrize(
    ("part", "method", "error", "code"),
    [
        ("store", "ping", VectorStoreError("socket /tmp/x.sock"), "vector_store_unavailable"),
        ("images", "ping", ImageStoreError("disk /tmp/x"), "image_store_unavailable"),
        ("provider", "get", EmbedderError("file /tmp/x.onnx"), "model_unavailable"),
        ("provider", "get", ConfigError("embedding.model = /tmp/x"), "misconfigured"),
    ],
)
def test_readyz_says_which_part_is_away(
    client: FlaskClient,
    stocked: Services,
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    method: str,
    error: Exception,
    code: str,
) -> None:
    _break(getattr(stocked, part), method, error, monkeypatch)
    assert_problem(client.get("/readyz"), 503, code)


def test_a_service_without_a_model_still_shows_its_status(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    _break(stocked.provider, "for_model", ConfigError("unknown model 'compct'"), monkeypatch)
    body = client.get("/status").get_json()
    assert body["images"] == 15
    assert body["model_choice"] == {"name": "", "why": "unusable", "reason": "unknown model 'compct'"}
    assert_problem(client.post("/search", json={"image": encoded(RED)}), 503, "misconfigured")


def _break(part: object, method: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(part, method, away)
