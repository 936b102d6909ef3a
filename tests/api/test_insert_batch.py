"""POST /insert/batch: an outcome for each picture, and no failure that hides behind a 200."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from image_search.fingerprint import content_hash
from image_search.wiring import Services
from tests.api.helpers import ADMIN, NEW, RED, assert_problem, encoded, part


def insert(client: FlaskClient, **send: Any) -> Any:
    return client.post("/insert/batch", headers=ADMIN, **send)


def test_each_item_has_its_outcome_in_its_place(client: FlaskClient, stocked: Services) -> None:
    items = [
        {"image": encoded(NEW), "title": "yellow"},
        {"image": encoded(b"no picture")},
        {"image": encoded(NEW), "tags": ["again"]},
        {"image": encoded(RED), "title": 5},
        {"title": "no picture at all"},
        "no object",
        {"image": encoded(RED)},
    ]
    response = insert(client, json={"items": items})
    assert response.status_code == 207
    body = response.get_json()
    assert (body["ok"], body["counts"]) == (False, {"created": 2, "duplicate": 1, "failed": 4})
    assert [one["status"] for one in body["results"]] == ["created", 415, "duplicate", 422, 422, 422, "created"]
    assert [one["errors"][0]["field"] for one in body["results"][3:5]] == ["title", "image"]
    assert body["results"][0]["id"] == body["results"][2]["id"] == content_hash(NEW)
    assert stocked.store.count("default") == 17
    assert client.get(f"/images/{content_hash(NEW)}").get_json()["tags"] == ["again"]


def test_a_batch_without_failures_is_a_200(client: FlaskClient) -> None:
    response = insert(client, json={"collection": "other", "items": [{"image": encoded(NEW)}]})
    assert response.status_code == 200
    assert response.get_json()["counts"] == {"created": 1, "duplicate": 0, "failed": 0}
    assert client.get("/status?collection=other").get_json()["images"] == 1


def test_a_form_with_several_pictures(client: FlaskClient) -> None:
    items = [{"title": "first"}, {"title": "second", "source_name": "mine.jpg"}]
    data = {"image": [part(RED, "a/red.jpg"), part(NEW, "new.jpg")], "params": json.dumps({"items": items})}
    body = insert(client, data=data).get_json()
    assert [(one["title"], one["source_name"]) for one in body["results"]] == [
        ("first", "red.jpg"),
        ("second", "mine.jpg"),
    ]
    assert [one["id"] for one in body["results"]] == [content_hash(RED), content_hash(NEW)]
    assert insert(client, data={"image": [part(RED), part(NEW)]}).get_json()["counts"]["duplicate"] == 2


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"items": [{}]}, "items"),
        ({"items": [{}, {}, {}]}, "items"),
        ({"items": {}}, "items"),
        ({"items": [{}, {"image": "AAAA"}]}, "image"),
        ({"image": "AAAA"}, "image"),
        ({"title": "x"}, "title"),
    ],
)
def test_a_form_whose_items_do_not_fit_stores_nothing(
    client: FlaskClient, stocked: Services, params: dict[str, Any], field: str
) -> None:
    data = {"image": [part(RED), part(NEW)], "params": json.dumps(params)}
    assert_problem(insert(client, data=data), 422, "invalid_parameter", field=field)
    assert stocked.store.count("default") == 15


@pytest.mark.parametrize(
    ("body", "field"), [({}, "items"), ({"items": []}, "items"), ({"items": [{}] * 101}, "items"), ({"x": 1}, "x")]
)
def test_a_wrong_batch(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    assert_problem(insert(client, json=body), 422, "invalid_parameter", field=field)


def test_a_defect_at_one_item_does_not_lose_the_others(
    client: FlaskClient, stocked: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = stocked.library.insert

    def odd(collection: str, data: bytes, **more: Any) -> Any:
        if data == RED:
            raise RuntimeError("secret")
        return real(collection, data, **more)

    monkeypatch.setattr(stocked.library, "insert", odd)
    response = insert(client, json={"items": [{"image": encoded(RED)}, {"image": encoded(NEW)}]})
    body = response.get_json()
    assert (response.status_code, body["counts"]) == (207, {"created": 1, "duplicate": 0, "failed": 1})
    assert (body["results"][0]["status"], body["results"][0]["code"]) == (500, "internal_error")
    assert "secret" not in response.get_data(as_text=True)
    assert "secret" in caplog.text
