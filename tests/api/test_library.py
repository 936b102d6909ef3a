"""GET /images, /images/random, /images/deleted; PATCH, DELETE, restore; /images/check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from image_search.fingerprint import content_hash
from image_search.services.library.changes import Changes
from image_search.services.library.service import LibraryService
from image_search.types import ImageRecord
from image_search.wiring import Services
from tests.api.helpers import ADMIN, NEW, RED, assert_problem, encoded, part
from tests.support import draw, jpeg


def pages(client: FlaskClient, path: str, name: str, **query: Any) -> list[list[dict[str, Any]]]:
    """Every page of a list."""
    found, cursor = [], None
    while True:
        given = {**query, **({"cursor": cursor} if cursor else {})}
        response = client.get(path, query_string=given, headers=ADMIN)
        assert response.status_code == 200, response.get_json(force=True)
        found.append(response.get_json()[name])
        cursor = response.get_json()["next"]
        if cursor is None:
            return found


@pytest.fixture
def image_id(client: FlaskClient) -> str:
    """The id of a stored picture with words."""
    words = {"title": "old", "tags": ["a", "b"], "text": "words", "fields": {"x": 1, "y": 2}}
    return str(client.post("/insert", json={"image": encoded(NEW), **words}, headers=ADMIN).get_json()["id"])


@pytest.mark.parametrize("limit", [1, 4, 14, 15, 16, 1000])
def test_the_pages_of_the_list_are_the_whole_library(client: FlaskClient, stocked: Services, limit: int) -> None:
    found = pages(client, "/images", "images", limit=limit)
    ids = [one["id"] for page in found for one in page]
    assert ids == sorted(record.image_id for records, _ in stocked.store.iterate("default") for record in records)
    assert [len(page) for page in found[:-1]] == [limit] * (len(found) - 1)
    assert found[-1]
    assert client.get(found[0][0]["thumbnail_url"]).status_code == 200


def test_a_list_within_a_filter(client: FlaskClient) -> None:
    wanted = json.dumps({"source_name": {"starts_with": "red/"}})
    names = [one["source_name"] for page in pages(client, "/images", "images", limit=2, filter=wanted) for one in page]
    assert sorted(names) == [f"red/red_{mark}.jpg" for mark in range(5)]


@pytest.mark.parametrize("cursor", ["x", "", "YWJj", "é", "0" * 64, "a" * 300, "Li4vLi4vZXRj", "%00"])
def test_a_cursor_of_nobody(client: FlaskClient, cursor: str) -> None:
    for path in ("/images", "/images/deleted"):
        response = client.get(path, query_string={"cursor": cursor}, headers=ADMIN)
        if not cursor:
            assert response.status_code in (200, 422)
            continue
        assert_problem(response, 422, "invalid_parameter", field="cursor")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("offset=3", "offset"),
        ("filter={}&filter={}", "filter"),
        ('filter={"width":"wide"}', "filter"),
        ('filter={"width":1,"width":2}', "filter"),
        ("collection=no/such", "collection"),
    ],
)
def test_a_wrong_wish_of_a_list(client: FlaskClient, query: str, field: str) -> None:
    assert_problem(client.get(f"/images?{query}"), 422, "invalid_parameter", field=field)


def test_a_filter_that_is_no_json_is_malformed(client: FlaskClient) -> None:
    for path in ("/images", "/images/random"):
        assert_problem(client.get(f"{path}?filter=width>3"), 400, "malformed_request", field="filter")


def test_random_pictures(client: FlaskClient) -> None:
    drawn = [client.get("/images/random").get_json()["images"][0]["id"] for _ in range(30)]
    assert len(set(drawn)) > 3
    assert len({one["id"] for one in client.get("/images/random?n=100").get_json()["images"]}) == 15
    red = client.get("/images/random", query_string={"n": 50, "filter": '{"source_name": {"contains": "red"}}'})
    assert len(red.get_json()["images"]) == 5
    assert_problem(client.get("/images/random?n=101"), 422, "invalid_parameter", field="n")


def test_a_collection_that_is_not_there(client: FlaskClient) -> None:
    for path in ("/images", "/images/random", "/images/deleted"):
        assert_problem(client.get(f"{path}?collection=other", headers=ADMIN), 404, "collection_not_found")


# Patch


@pytest.mark.parametrize("kind", ["application/json", "application/merge-patch+json"])
def test_a_patch_changes_what_it_names(client: FlaskClient, image_id: str, kind: str) -> None:
    patch = {"title": "new", "tags": ["c"], "fields": {"x": None, "z": 3}, "created_at": "2001-02-03T04:05:06+01:00"}
    response = client.patch(f"/images/{image_id}", data=json.dumps(patch), content_type=kind, headers=ADMIN)
    assert response.status_code == 200, response.get_json(force=True)
    for document in (response.get_json(), client.get(f"/images/{image_id}").get_json()):
        assert (document["title"], document["tags"], document["text"]) == ("new", ["c"], "words")
        assert document["fields"] == {"y": 2, "z": 3}
        assert document["created_at"] == "2001-02-03T03:05:06Z"
    found = client.post("/search", json={"text": "new"}).get_json()["results"]
    assert [one["id"] for one in found] == [image_id]


def test_null_empties_and_nothing_stays(client: FlaskClient, image_id: str) -> None:
    before = client.get(f"/images/{image_id}").get_json()
    assert client.patch(f"/images/{image_id}", json={}, headers=ADMIN).get_json() == before
    empty = {"title": None, "tags": None, "text": None, "fields": None, "source_url": None}
    after = client.patch(f"/images/{image_id}", json=empty, headers=ADMIN).get_json()
    assert [after[name] for name in empty] == ["", [], "", {}, ""]


def test_null_empties_also_the_fields_that_come_meanwhile(
    client: FlaskClient, image_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = LibraryService.update

    def late(self: LibraryService, collection: str, image_id: str, changes: Changes) -> ImageRecord:
        update(self, collection, image_id, Changes(fields={"late": 1}))
        return update(self, collection, image_id, changes)

    monkeypatch.setattr(LibraryService, "update", late)
    assert client.patch(f"/images/{image_id}", json={"fields": None}, headers=ADMIN).get_json()["fields"] == {}


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"title": 5}, "title"),
        ({"tags": "a"}, "tags"),
        ({"tags": [["a"]]}, "tags"),
        ({"text": "x" * 65_536}, "text"),
        ({"fields": {"a": []}}, "fields"),
        ({"fields": {"x": "y" * 65_400, "z": "y" * 200}}, "fields"),
        ({"created_at": None}, "created_at"),
        ({"created_at": 5}, "created_at"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "2001-02-30T00:00:00Z"}, "created_at"),
        ({"width": 5}, "width"),
        ({"id": "0" * 64}, "id"),
        ({"sources": []}, "sources"),
    ],
)
def test_a_wrong_patch_changes_nothing(client: FlaskClient, image_id: str, patch: dict[str, Any], field: str) -> None:
    before = client.get(f"/images/{image_id}").get_json()
    response = client.patch(f"/images/{image_id}", json={"title": "changed", **patch}, headers=ADMIN)
    assert_problem(response, 422, "invalid_parameter", field=field)
    assert client.get(f"/images/{image_id}").get_json() == before


def test_a_patch_of_what_is_not_there(client: FlaskClient) -> None:
    for bad in ("0" * 64, "x", "..%2f..%2fetc"):
        response = client.patch(f"/images/{bad}", json={"fields": None}, headers=ADMIN)
        assert_problem(response, 404, response.get_json(force=True)["code"])
    response = client.patch(f"/images/{'0' * 64}", data=RED, content_type="image/jpeg", headers=ADMIN)
    assert_problem(response, 415, "unsupported_format")


# Trash


def test_a_deleted_picture_waits_in_the_trash_and_comes_back(client: FlaskClient, image_id: str) -> None:
    before = client.get(f"/images/{image_id}").get_json()
    client.delete(f"/images/{image_id}", headers=ADMIN)
    (page,) = pages(client, "/images/deleted", "images")
    assert [one["id"] for one in page] == [image_id]
    assert page[0]["title"] == "old"
    assert page[0]["deleted_at"].endswith("Z")
    assert not {"url", "thumbnail_url"} & set(page[0])
    assert_problem(client.get(before["url"]), 404, "image_not_found")
    restored = client.post(f"/images/{image_id}/restore", headers=ADMIN)
    assert (restored.status_code, restored.get_json()) == (200, before)
    assert client.get(before["url"]).get_data() == NEW
    assert client.post(f"/images/{image_id}/restore", headers=ADMIN).get_json() == before
    assert pages(client, "/images/deleted", "images") == [[]]


def test_what_is_deleted_for_good_does_not_come_back(client: FlaskClient, stocked: Services, image_id: str) -> None:
    client.delete(f"/images/{image_id}", headers=ADMIN)
    assert client.delete(f"/images/{image_id}?permanently=true", headers=ADMIN).get_json()["deleted"] == 1
    assert not [key for key in stocked.images.iter_keys() if image_id in key]
    assert_problem(client.post(f"/images/{image_id}/restore", headers=ADMIN), 404, "image_not_found")


@pytest.mark.parametrize("value", ["yes", "1", "True", ""])
def test_only_true_is_for_good(client: FlaskClient, image_id: str, value: str) -> None:
    response = client.delete(f"/images/{image_id}?permanently={value}", headers=ADMIN)
    assert_problem(response, 422, "invalid_parameter", field="permanently")
    assert client.get(f"/images/{image_id}").status_code == 200


def test_the_trash_in_pages(client: FlaskClient, stocked: Services) -> None:
    ids = [record.image_id for record in stocked.store.list_records("default", limit=5)]
    for image_id in ids:
        client.delete(f"/images/{image_id}", headers=ADMIN)
    found = pages(client, "/images/deleted", "images", limit=2)
    assert [len(page) for page in found] == [2, 2, 1]
    assert [one["id"] for page in found for one in page] == ids


# Check


def test_check_by_sums(client: FlaskClient, image_id: str) -> None:
    body = client.post("/images/check", json={"sha256": [image_id, "0" * 64, image_id]}).get_json()
    assert [(one["id"], one["held"]) for one in body["results"]] == [
        (image_id, "identical"),
        ("0" * 64, "no"),
        (image_id, "identical"),
    ]
    assert body["results"][0]["identical"]["title"] == "old"
    assert body["results"][1]["identical"] is None
    assert body["results"][0]["near_duplicates"] is None


def test_check_by_a_picture(client: FlaskClient, image_id: str) -> None:
    answers = [
        client.post("/images/check", json={"image": encoded(NEW)}),
        client.post("/images/check", data=NEW, content_type="image/jpeg"),
        client.post("/images/check", data={"image": part(NEW)}),
    ]
    for response in answers:
        (one,) = response.get_json()["results"]
        assert (one["id"], one["held"]) == (image_id, "identical")
    other_bytes = NEW + b"\0"
    (one,) = client.post("/images/check", data=other_bytes, content_type="image/jpeg").get_json()["results"]
    assert (one["id"], one["held"], one["identical"]) == (content_hash(other_bytes), "near_duplicate", None)
    assert [near["id"] for near in one["near_duplicates"]][:1] == [image_id]
    unlike = jpeg(draw((1, 2, 3), size=(64, 200), mark=40))
    (one,) = client.post("/images/check", data=unlike, content_type="image/jpeg").get_json()["results"]
    assert one["held"] in ("no", "near_duplicate")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "image"),
        ({"sha256": []}, "sha256"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"sha256": ["A" * 64]}, "sha256"),
        ({"sha256": ["../../etc/passwd"]}, "sha256"),
        ({"sha256": [5]}, "sha256"),
        ({"sha256": ["0" * 64, ""]}, "sha256"),
        ({"sha256": ["0" * 64] * 1001}, "sha256"),
        ({"sha256": ["0" * 64], "image": encoded(RED)}, "sha256"),
        ({"image_url": "http://127.0.0.1/x", "image": encoded(RED)}, "image_url"),
        ({"top_k": 5}, "top_k"),
    ],
)
def test_a_wrong_question(client: FlaskClient, body: dict[str, Any], field: str) -> None:
    assert_problem(client.post("/images/check", json=body), 422, "invalid_parameter", field=field)
