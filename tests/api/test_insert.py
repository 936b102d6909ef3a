"""POST /insert: created, duplicate, found by the next search; and nothing half stored."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from image_search.fingerprint import content_hash
from image_search.wiring import Services
from tests.api.helpers import ADMIN, NEW, RED, assert_problem, encoded, part


def insert(client: FlaskClient, image: bytes = NEW, **params: Any) -> Any:
    return client.post("/insert", json={"image": encoded(image), **params}, headers=ADMIN)


def stored_keys(services: Services) -> list[str]:
    return list(services.images.iter_keys())  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/insert", "/insert/"])
def test_created_then_duplicate(client: FlaskClient, stocked: Services, path: str) -> None:
    words = {"title": "A yellow thing", "tags": ["yellow", "disc"], "text": "words", "fields": {"year": 2020}}
    body = {"image": encoded(NEW), "source_name": "new/yellow.jpg", "source_url": "https://example.org/y", **words}
    first = client.post(path, json=body, headers=ADMIN)
    assert first.status_code == 201
    document = first.get_json()
    assert (document["ok"], document["status"], document["id"]) == (True, "created", content_hash(NEW))
    assert document["source_name"] == "new/yellow.jpg"
    assert {key: document[key] for key in words} == words
    assert document["source_url"] == "https://example.org/y"
    again = client.post(path, json=body, headers=ADMIN)
    assert again.status_code == 200
    assert again.get_json() == {**document, "status": "duplicate"}
    assert stocked.store.count("default") == 16


def test_the_next_search_finds_it(client: FlaskClient) -> None:
    created = insert(client, title="Yellow").get_json()
    body = client.post("/search", json={"image": encoded(NEW), "top_k": 1}).get_json()
    (first,) = body["results"]
    assert (first["id"], first["match"], first["title"]) == (created["id"], "identical", "Yellow")
    assert client.get(created["url"]).get_data() == NEW
    assert client.get(created["thumbnail_url"]).mimetype == "image/jpeg"
    assert client.get("/status").get_json()["entities_num"] == "16"


def test_every_form_stores_the_same(client: FlaskClient) -> None:
    answers = []
    for send in (
        {"json": {"image": encoded(NEW), "title": "2020", "source_name": "77.jpg"}},
        {"data": {"image": part(NEW), "params": '{"title": "2020", "source_name": "77.jpg"}'}},
        {"data": NEW, "content_type": "image/jpeg", "query_string": {"title": "2020", "source_name": "77.jpg"}},
    ):
        response = client.post("/insert", headers=ADMIN, **send)  # type: ignore[arg-type]
        assert response.status_code == 201, response.get_json()
        answers.append(response.get_json())
        assert client.delete(f"/images/{answers[-1]['id']}", headers=ADMIN).status_code == 200
    assert answers[0]["title"] == "2020"
    for answer in answers:
        answer.pop("created_at")
    assert answers[0] == answers[1] == answers[2]


@pytest.mark.parametrize(
    ("file_name", "kept"),
    [
        ("yellow.jpg", "yellow.jpg"),
        ("../../etc/passwd", "passwd"),
        ("写真 📷.jpg", "写真 📷.jpg"),
        ("é" * 1000 + ".jpg", "é" * 255),
        ("..", ".."),
    ],
)
def test_an_uploaded_file_keeps_its_name_without_folders(client: FlaskClient, file_name: str, kept: str) -> None:
    created = client.post("/insert", data={"image": part(NEW, file_name)}, headers=ADMIN)
    assert (created.status_code, created.get_json()["source_name"]) == (201, kept)
    client.delete(f"/images/{created.get_json()['id']}", headers=ADMIN)
    named = {"image": part(NEW, file_name), "params": '{"source_name": "mine.jpg"}'}
    assert client.post("/insert", data=named, headers=ADMIN).get_json()["source_name"] == "mine.jpg"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("merge", {"title": "old", "tags": ["a", "b", "c"], "text": "new text", "fields": {"x": 2, "y": 1, "z": 3}}),
        ("skip", {"title": "old", "tags": ["a", "b"], "text": "", "fields": {"x": 1, "y": 1}}),
        ("replace", {"title": "new", "tags": ["b", "c"], "text": "new text", "fields": {"x": 2, "z": 3}}),
    ],
)
def test_on_duplicate(client: FlaskClient, mode: str, expected: dict[str, Any]) -> None:
    created = insert(client, source_name="one.jpg", title="old", tags=["a", "b"], fields={"x": 1, "y": 1}).get_json()
    response = insert(
        client,
        source_name="two.jpg",
        title="new",
        tags=["b", "c"],
        text="new text",
        fields={"x": 2, "z": 3},
        on_duplicate=mode,
    )
    assert (response.status_code, response.get_json()["status"]) == (200, "duplicate")
    stored = client.get(f"/images/{created['id']}").get_json()
    assert {key: stored[key] for key in expected} == expected
    assert stored["sources"] == ["one.jpg", "two.jpg"]
    assert stored["created_at"] == created["created_at"]


def test_a_new_collection_is_made(client: FlaskClient) -> None:
    response = client.post("/insert?collection=holiday", json={"image": encoded(NEW)}, headers=ADMIN)
    assert response.status_code == 201
    assert "&collection=holiday" in response.get_json()["url"]
    body = client.post("/search", json={"image": encoded(RED), "collection": "holiday"}).get_json()
    assert [result["id"] for result in body["results"]] == [response.get_json()["id"]]
    assert client.get("/status").get_json()["collections"] == ["default", "holiday"]


HOSTILE = [
    "../../../etc/passwd",
    "<script>alert(1)</script>",
    "a\nb\r\nSet-Cookie: x=1",
    "写真 📷.jpg",
    "C:\\x'--\"{}%s",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_stays_text(client: FlaskClient, name: str) -> None:
    created = insert(client, source_name=name, title=name, tags=[name]).get_json()
    found = client.post("/search", json={"image_id": created["id"], "top_k": 1}).get_json()["results"][0]
    for document in (created, found, client.get(f"/images/{created['id']}").get_json()):
        assert (document["source_name"], document["title"], document["tags"]) == (name, name, [name])
    assert client.get(created["url"]).get_data() == NEW


WRONG: list[tuple[str, Any, str]] = [
    ("text", "x" * 10_000_000, "text"),
    ("text", "x" * 65_536, "text"),
    ("text", 5, "text"),
    ("text", "nul\0", "text"),
    ("title", "x" * 4097, "title"),
    ("title", "é" * 2049, "title"),
    ("title", ["x"], "title"),
    ("title", "\ud800", "title"),
    ("source_name", "x" * 2000, "source_name"),
    ("source_name", True, "source_name"),
    ("location", {}, "location"),
    ("source_url", "https://example.org/" + "x" * 8173, "source_url"),
    ("tags", [f"tag {i}" for i in range(5000)], "tags"),
    ("tags", ["x" * 257], "tags"),
    ("tags", [1, 2], "tags"),
    ("tags", [None], "tags"),
    ("tags", ["\ud800"], "tags"),
    ("tags", "a, b", "tags"),
    ("tags", {"a": 1}, "tags"),
    ("fields", [1], "fields"),
    ("fields", {"a": [1]}, "fields"),
    ("fields", {"a": {"b": 1}}, "fields"),
    ("fields", {"a": "x" * 66_000}, "fields"),
    ("fields", {"a": "\ud800"}, "fields"),
    ("fields", {"a": 2**63}, "fields"),
    ("fields", {"a": float("inf")}, "fields"),
    ("on_duplicate", "overwrite", "on_duplicate"),
    ("on_duplicate", ["merge"], "on_duplicate"),
    ("collection", "no/such", "collection"),
    ("top_k", 5, "top_k"),
    ("image_id", "0" * 64, "image_id"),
]


@pytest.mark.parametrize(("name", "value", "field"), WRONG, ids=[f"{name}-{i}" for i, (name, *_) in enumerate(WRONG)])
def test_a_wrong_word_stores_nothing(client: FlaskClient, stocked: Services, name: str, value: Any, field: str) -> None:
    before = stored_keys(stocked)
    data = json.dumps({"image": encoded(NEW), name: value}).replace("Infinity", "1e999")
    response = client.post("/insert", data=data, content_type="application/json", headers=ADMIN)
    assert_problem(response, 422, "invalid_parameter", field=field)
    assert stored_keys(stocked) == before
    assert stocked.store.count("default") == 15


def test_ten_megabytes_of_text_in_a_form(client: FlaskClient, stocked: Services) -> None:
    params = json.dumps({"text": "x" * 10_000_000})
    response = client.post("/insert", data={"image": part(NEW), "params": params}, headers=ADMIN)
    assert_problem(response, 422, "invalid_parameter", field="text")
    assert stocked.store.count("default") == 15


def test_the_longest_words_are_kept_whole(client: FlaskClient) -> None:
    words = {
        "title": "é" * 2048,
        "source_url": "https://example.org/" + "x" * 8172,
        "text": "x" * 65_535,
        "tags": [f"{i:03}{'x' * 253}" for i in range(512)],
        "source_name": "n" * 1024,
        "fields": {"n": 2**63 - 1, "f": 1e300, "t": True, "z": None, "s": "x" * 60_000},
    }
    created = insert(client, **words)
    assert created.status_code == 201
    assert {key: created.get_json()[key] for key in words} == words


def test_nothing_and_no_picture_are_refused(client: FlaskClient, stocked: Services) -> None:
    before = stored_keys(stocked)
    assert_problem(client.post("/insert", json={}, headers=ADMIN), 422, "invalid_parameter", field="image")
    assert_problem(insert(client, b"no picture"), 415, "unsupported_format")
    assert_problem(insert(client, NEW[: len(NEW) // 2]), 422, "invalid_image")
    assert stored_keys(stocked) == before


def test_eight_threads_with_the_same_bytes_make_one_record(app: Flask, stocked: Services) -> None:
    barrier = threading.Barrier(8)
    answers: list[tuple[int, str]] = []

    def work(number: int) -> None:
        client = app.test_client()
        barrier.wait()
        response = insert(client, source_name=f"copy {number}.jpg", tags=[f"t{number}"])
        answers.append((response.status_code, response.get_json()["status"]))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [(200, "duplicate")] * 7 + [(201, "created")]
    assert stocked.store.count("default") == 16
    record = stocked.library.get("default", content_hash(NEW))
    assert sorted(record.sources) == [f"copy {number}.jpg" for number in range(8)]
    assert sorted(record.tags) == [f"t{number}" for number in range(8)]
