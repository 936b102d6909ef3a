"""GET and DELETE /images/{id}, /file and /thumbnail: what a browser and a proxy need, and what an attacker gets."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image

from image_search.fingerprint import content_hash
from image_search.wiring import Services
from tests.api.helpers import ADMIN, NEW, assert_problem, encoded


@pytest.fixture
def original(gallery: Path) -> bytes:
    """The bytes of a picture that is in the library."""
    return (gallery / "green/green_4.jpg").read_bytes()


@pytest.fixture
def image_id(original: bytes) -> str:
    return content_hash(original)


def test_what_is_stored(client: FlaskClient, image_id: str) -> None:
    body = client.get(f"/images/{image_id}").get_json()
    assert (body["ok"], body["id"], body["source_name"]) == (True, image_id, "green/green_4.jpg")
    assert (body["width"], body["height"]) == (96, 64)
    assert body["created_at"].endswith("Z")


def test_the_file_is_the_original_and_may_be_kept_by_the_browser_alone(
    client: FlaskClient, image_id: str, original: bytes
) -> None:
    response = client.get(f"/images/{image_id}/file")
    assert response.get_data() == original
    assert response.mimetype == "image/jpeg"
    assert response.headers["Content-Length"] == str(len(original))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cache-Control"].startswith("private, max-age=")
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["ETag"]


def test_the_thumbnail_is_a_small_jpeg(client: FlaskClient, make_big: str) -> None:
    response = client.get(f"/images/{make_big}/thumbnail")
    assert response.mimetype == "image/jpeg"
    assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert response.headers["Cache-Control"].startswith("private")
    picture = Image.open(io.BytesIO(response.get_data()))
    assert (picture.format, picture.size) == ("JPEG", (320, 160))


@pytest.fixture
def make_big(client: FlaskClient) -> str:
    """A stored PNG of 800 x 400."""
    buffer = io.BytesIO()
    Image.new("RGB", (800, 400), (90, 20, 200)).save(buffer, "PNG")
    created = client.post("/insert", data=buffer.getvalue(), content_type="image/png", headers=ADMIN).get_json()
    assert client.get(created["url"]).mimetype == "image/png"
    return str(created["id"])


@pytest.mark.parametrize("what", ["file", "thumbnail"])
def test_what_the_browser_has_is_not_sent_again(client: FlaskClient, image_id: str, what: str) -> None:
    url = f"/images/{image_id}/{what}"
    tag = client.get(url).headers["ETag"]
    again = client.get(url, headers={"If-None-Match": tag})
    assert (again.status_code, again.get_data()) == (304, b"")
    assert again.headers["ETag"] == tag
    assert again.headers["Cache-Control"].startswith("private")
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(url.replace(what, "thumbnail" if what == "file" else "file")).headers["ETag"] != tag


def test_ranges(client: FlaskClient, image_id: str, original: bytes) -> None:
    url = f"/images/{image_id}/file"
    middle = client.get(url, headers={"Range": "bytes=10-19"})
    assert (middle.status_code, middle.get_data()) == (206, original[10:20])
    assert middle.headers["Content-Range"] == f"bytes 10-19/{len(original)}"
    end = client.get(url, headers={"Range": "bytes=-7"})
    assert (end.status_code, end.get_data()) == (206, original[-7:])
    beyond = client.get(url, headers={"Range": f"bytes={len(original) + 5}-"})
    assert_problem(beyond, 416, "requested_range_not_satisfiable")
    assert beyond.headers["Content-Range"] == f"bytes */{len(original)}"


@pytest.mark.parametrize("what", ["", "/file", "/thumbnail"])
def test_head(client: FlaskClient, image_id: str, what: str) -> None:
    get, head = client.get(f"/images/{image_id}{what}"), client.head(f"/images/{image_id}{what}")
    assert (head.status_code, head.get_data()) == (200, b"")
    for name in ("Content-Type", "Content-Length", "Cache-Control"):
        assert head.headers[name] == get.headers[name]


BAD_IDS = [
    "..",
    "..%2f..%2fconf%2fconfig.ini",
    "%2e%2e",
    "etc/passwd",
    "A" * 64,
    "a" * 63,
    "a" * 65,
    "g" * 64,
    "a" * 64 + "%0a",
    "a" * 64 + "%00",
    "٠" * 64,
    "%F0%28%8C%BC",
    "x" * 5000,
]


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize("what", ["", "/file", "/thumbnail"])
def test_what_is_no_id_is_not_found(client: FlaskClient, bad: str, what: str) -> None:
    response = client.get(f"/images/{bad}{what}")
    body = response.get_json(force=True)
    assert_problem(response, 404, body["code"])
    assert body["code"] in ("image_not_found", "not_found")


def test_an_uppercase_id_is_another_id(client: FlaskClient, image_id: str) -> None:
    assert_problem(client.get(f"/images/{image_id.upper()}/file"), 404, "image_not_found")


@pytest.mark.parametrize("what", ["", "/file", "/thumbnail"])
def test_an_id_that_is_not_there(client: FlaskClient, what: str) -> None:
    assert_problem(client.get(f"/images/{'0' * 64}{what}"), 404, "image_not_found")


def test_delete(client: FlaskClient, stocked: Services, image_id: str, original: bytes) -> None:
    url = client.get(f"/images/{image_id}").get_json()["url"]
    response = client.delete(f"/images/{image_id}", headers=ADMIN)
    assert (response.status_code, response.get_json()) == (200, {"ok": True, "deleted": 1})
    for path in (f"/images/{image_id}", url, f"/images/{image_id}/thumbnail"):
        assert_problem(client.get(path), 404, "image_not_found")
    assert_problem(client.delete(f"/images/{image_id}", headers=ADMIN), 404, "image_not_found")
    found = client.post("/search", json={"image": encoded(original), "top_k": 100}).get_json()
    assert image_id not in {result["id"] for result in found["results"]}
    assert found["page"]["returned"] == 14
    assert_problem(client.post("/search", json={"image_id": image_id}), 404, "image_not_found")
    stocked.library.purge(older_than_s=0)
    assert not [key for key in stocked.images.iter_keys() if image_id in key]


def test_a_purge_also_removes_the_vector_that_an_insert_kept(client: FlaskClient, stocked: Services) -> None:
    created = client.post("/insert", json={"image": encoded(NEW)}, headers=ADMIN).get_json()
    kept = [key.split("/")[0] for key in stocked.images.iter_keys() if created["id"] in key]
    assert sorted(kept) == ["originals", "thumbnails", "vectors"]
    client.delete(f"/images/{created['id']}", headers=ADMIN)
    stocked.library.purge(older_than_s=0)
    assert not [key for key in stocked.images.iter_keys() if created["id"] in key]


def test_a_picture_of_two_collections_keeps_its_file_until_the_second_delete(
    client: FlaskClient, image_id: str, original: bytes
) -> None:
    client.post("/insert", json={"image": encoded(original), "collection": "other"}, headers=ADMIN)
    client.delete(f"/images/{image_id}?collection=other", headers=ADMIN)
    assert client.get(f"/images/{image_id}/file").get_data() == original
    client.delete(f"/images/{image_id}", headers=ADMIN)
    assert_problem(client.get(f"/images/{image_id}/file"), 404, "image_not_found")


@pytest.mark.parametrize("bad", ["a" * 63, "A" * 64, "..%2f..%2fx"])
def test_delete_of_what_is_no_id(client: FlaskClient, stocked: Services, bad: str) -> None:
    response = client.delete(f"/images/{bad}", headers=ADMIN)
    assert_problem(response, 404, response.get_json(force=True)["code"])
    assert stocked.store.count("default") == 15


def test_a_collection_that_is_not_there(client: FlaskClient, image_id: str) -> None:
    assert_problem(client.get(f"/images/{image_id}?collection=other"), 404, "collection_not_found")
    response = client.delete(f"/images/{image_id}?collection=other", headers=ADMIN)
    assert_problem(response, 404, "collection_not_found")
    response = client.get(f"/images/{image_id}?collection=no/such")
    assert_problem(response, 422, "invalid_parameter", field="collection")
