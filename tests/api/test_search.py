"""POST /search: every way to give a picture, every parameter, every picture that is refused."""

from __future__ import annotations

import http.client
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image

from image_search.api.app import create_app
from image_search.wiring import Services
from tests.api.conftest import MakeClient
from tests.api.helpers import ADMIN, RED, assert_problem, encoded, hits, in_pieces, part, png_claiming
from tests.support import draw, jpeg

GALLERY = 15


def by_json(client: FlaskClient, image: bytes = RED, **params: Any) -> Any:
    return client.post("/search", json={"image": encoded(image), **params})


@pytest.mark.parametrize("path", ["/search", "/search/"])
def test_red_finds_red(client: FlaskClient, path: str) -> None:
    response = client.post(path, json={"image": encoded(RED), "top_k": 5})
    assert response.status_code == 200
    body = response.get_json()
    assert [result["source_name"].split("/")[0] for result in body["results"]] == ["red"] * 5
    assert [result["rank"] for result in body["results"]] == [1, 2, 3, 4, 5]
    scores = [result["score"] for result in body["results"]]
    assert scores == sorted(scores, reverse=True)


def test_the_answer_has_the_documented_fields(client: FlaskClient) -> None:
    body = by_json(client, top_k=3).get_json()
    assert body["ok"] is True
    assert body["collection"] == "default"
    assert body["model"] == {
        "name": "mean_colour@000000000000",
        "dim": 48,
        "metric": "cosine",
        "projection": "none",
    }
    assert body["page"] == {"offset": 0, "top_k": 3, "returned": 3, "has_more": True}
    assert set(body["timing_ms"]) == {"fetch", "decode", "embed", "search", "total"}
    assert all(isinstance(value, float) and value >= 0 for value in body["timing_ms"].values())
    assert (body["query"]["width"], body["query"]["height"]) == (96, 64)
    first = body["results"][0]
    assert set(first) >= {
        "id",
        "rank",
        "score",
        "scores",
        "found_by",
        "match",
        "title",
        "tags",
        "text",
        "fields",
        "width",
        "height",
        "source_name",
        "sources",
        "url",
        "thumbnail_url",
    }
    assert first["scores"] == {"image": first["score"], "text": None}
    assert first["found_by"] == ["image"]
    assert (first["width"], first["height"]) == (96, 64)
    assert first["sources"][0] == first["source_name"]
    assert -1 <= first["score"] <= 1


def test_the_same_bytes_are_identical_and_others_are_not(client: FlaskClient, gallery: Any) -> None:
    body = by_json(client, (gallery / "red/red_2.jpg").read_bytes()).get_json()
    first, second = body["results"][:2]
    assert (first["source_name"], first["match"]) == ("red/red_2.jpg", "identical")
    assert first["score"] == pytest.approx(1.0, abs=1e-5)
    assert second["match"] == "similar"


FORMS: dict[str, Callable[[FlaskClient], Any]] = {
    "json": lambda client: client.post("/search", json={"image": encoded(RED), "top_k": 7}),
    "json, data URI": lambda client: client.post(
        "/search", json={"image": encoded(RED, "data:image/jpeg;base64,"), "top_k": 7}
    ),
    "json, lines of 76": lambda client: client.post(
        "/search",
        json={"image": "\r\n".join(encoded(RED)[i : i + 76] for i in range(0, 9999, 76)), "top_k": 7},
    ),
    "json without a content type": lambda client: client.post(
        "/search", data=json.dumps({"image": encoded(RED), "top_k": 7})
    ),
    "json as fetch() sends a text": lambda client: client.post(
        "/search",
        data=json.dumps({"image": encoded(RED), "top_k": 7}),
        content_type="text/plain;charset=UTF-8",
    ),
    "raw": lambda client: client.post("/search?top_k=7", data=RED, content_type="image/jpeg"),
    "raw, of an unknown kind": lambda client: client.post(
        "/search?top_k=7", data=RED, content_type="application/octet-stream"
    ),
    "raw, wrongly called": lambda client: client.post("/search?top_k=7", data=RED, content_type="image/png"),
    "multipart": lambda client: client.post("/search", data={"image": part(RED), "params": '{"top_k": 7}'}),
    "multipart, params as a Blob": lambda client: client.post(
        "/search", data={"image": part(RED), "params": part(b'{"top_k": 7}', "blob", "application/json")}
    ),
    "multipart, a file without a name": lambda client: client.post(
        "/search", data={"image": part(RED, "blob", ""), "params": '{"top_k": 7}'}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_answer(client: FlaskClient, form: str) -> None:
    response = FORMS[form](client)
    assert response.status_code == 200, response.get_json()
    expected = by_json(client, top_k=7).get_json()
    found = response.get_json()
    assert hits(found) == hits(expected)
    assert found["page"] == expected["page"]
    # Ids are signed with the second in which they are made.
    assert {**found["query"], "id": ""} == {**expected["query"], "id": ""}


def test_a_stored_picture_finds_what_its_bytes_find(client: FlaskClient, gallery: Any) -> None:
    by_bytes = by_json(client, (gallery / "blue/blue_1.jpg").read_bytes()).get_json()
    image_id = by_bytes["results"][0]["id"]
    by_id = client.post("/search", json={"image_id": image_id}).get_json()
    assert [hit[:2] for hit in hits(by_id)] == [hit[:2] for hit in hits(by_bytes)]
    assert by_id["results"][0]["match"] == "identical"
    by_form = client.post("/search", data={"params": json.dumps({"image_id": image_id})})
    # Without a file part this is no multipart body: Flask's client sends it as a plain form.
    assert_problem(by_form, 415, "unsupported_format")
    boundary = b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n'
    body = boundary + json.dumps({"image_id": image_id}).encode() + b"\r\n--x--\r\n"
    by_form = client.post("/search", data=body, content_type="multipart/form-data; boundary=x")
    assert hits(by_form.get_json()) == hits(by_id)


def test_a_stored_picture_that_is_not_there(client: FlaskClient) -> None:
    assert_problem(client.post("/search", json={"image_id": "0" * 64}), 404, "image_not_found")
    assert_problem(client.post("/search", json={"image_id": "../etc"}), 422, "invalid_parameter", field="image_id")


TWO_PICTURES: dict[str, Callable[[FlaskClient, str], Any]] = {
    "json": lambda client, i: client.post("/search", json={"image": encoded(RED), "image_id": i}),
    "raw": lambda client, i: client.post(f"/search?image_id={i}", data=RED, content_type="image/jpeg"),
    "multipart": lambda client, i: client.post(
        "/search", data={"image": part(RED), "params": json.dumps({"image_id": i})}
    ),
    "two parts": lambda client, _: client.post("/search", data={"image": [part(RED), part(RED)]}),
    "part and base64": lambda client, _: client.post(
        "/search", data={"image": part(RED), "params": json.dumps({"image": encoded(RED)})}
    ),
}


@pytest.mark.parametrize("form", TWO_PICTURES)
def test_two_pictures_are_refused(client: FlaskClient, form: str) -> None:
    assert_problem(TWO_PICTURES[form](client, "0" * 64), 422, "invalid_parameter")


NO_PICTURE: dict[str, Callable[[FlaskClient], Any]] = {
    "an empty object": lambda client: client.post("/search", json={}),
    "nothing at all": lambda client: client.post("/search"),
    "null": lambda client: client.post("/search", json={"image": None, "image_id": None}),
    "an empty id": lambda client: client.post("/search", json={"image_id": ""}),
    "a form without a file": lambda client: client.post(
        "/search",
        data=b'--x\r\nContent-Disposition: form-data; name="params"\r\n\r\n{}\r\n--x--\r\n',
        content_type="multipart/form-data; boundary=x",
    ),
}


@pytest.mark.parametrize("form", NO_PICTURE)
def test_no_picture_is_refused(client: FlaskClient, form: str) -> None:
    assert_problem(NO_PICTURE[form](client), 422, "invalid_parameter", field="image")


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'image': 1}",
        b"\xff\xfe\xfa",
        b"[]",
        b'"text"',
        b"1",
        b"null",
        b"NaN",
        b"[" * 100_000,
        b'{"top_k": NaN}',
        b'{"min_score": Infinity}',
        b'{"min_score": -Infinity}',
        b'{"top_k": ' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_no_json_object_is_malformed(client: FlaskClient, body: bytes) -> None:
    response = client.post("/search", data=body, content_type="application/json")
    assert_problem(response, 400, "malformed_request", field="the body")


def test_params_that_are_no_json_object_are_malformed(client: FlaskClient) -> None:
    for params in ("{", "[1]", "top_k=5"):
        response = client.post("/search", data={"image": part(RED), "params": params})
        assert_problem(response, 400, "malformed_request", field="params")


@pytest.mark.parametrize("body", ['{"top_k": 1, "top_k": 2}', '{"image_id": "a", "image_id": "a"}'])
def test_doubled_keys_are_refused(client: FlaskClient, body: str) -> None:
    name = json.loads(body).popitem()[0]
    response = client.post("/search", data=body, content_type="application/json")
    assert_problem(response, 422, "invalid_parameter", field=name)


def test_doubled_parts_and_arguments_are_refused(client: FlaskClient) -> None:
    response = client.post("/search", data={"image": part(RED), "params": ['{"top_k": 1}', '{"top_k": 2}']})
    assert_problem(response, 422, "invalid_parameter", field="params")
    response = client.post("/search?top_k=1&top_k=2", data=RED, content_type="image/jpeg")
    assert_problem(response, 422, "invalid_parameter", field="top_k")
    response = client.post("/search?collection=default", json={"image": encoded(RED), "collection": "other"})
    assert_problem(response, 422, "invalid_parameter", field="collection")


def test_every_unknown_parameter_is_named(client: FlaskClient) -> None:
    body = assert_problem(by_json(client, topk=3, treshold=1), 422, "invalid_parameter", field="topk")
    assert [error["field"] for error in body["errors"]] == ["topk", "treshold"]
    assert "topk" in body["detail"]
    assert "top_k" in body["detail"]
    response = client.post("/search?topk=3", data=RED, content_type="image/jpeg")
    assert_problem(response, 422, "invalid_parameter", field="topk")
    response = client.post("/search", data={"image": part(RED), "params": '{"topk": 3}'})
    assert_problem(response, 422, "invalid_parameter", field="topk")
    response = client.post("/search", data={"image": part(RED), "top_k": "3"})
    assert_problem(response, 422, "invalid_parameter", field="top_k")
    response = client.post("/search?top_k=3", json={"image": encoded(RED)})
    assert_problem(response, 422, "invalid_parameter", field="top_k")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 0),
        ("top_k", -1),
        ("top_k", 1001),
        ("top_k", 10**30),
        ("top_k", 5.0),
        ("top_k", 1e999),
        ("top_k", True),
        ("top_k", "5"),
        ("top_k", [5]),
        ("top_k", {}),
        ("offset", -1),
        ("offset", 16_384),
        ("offset", 16_375),
        ("offset", 10**30),
        ("offset", False),
        ("offset", "0"),
        ("offset", 0.5),
        ("min_score", 1.5),
        ("min_score", -2),
        ("min_score", True),
        ("min_score", "0.5"),
        ("min_score", 1e999),
        ("min_score", 10**400),
        ("min_score", []),
        ("ef", 0),
        ("ef", 10**9),
        ("ef", "128"),
        ("nprobe", 0),
        ("nprobe", -5),
        ("nprobe", True),
        ("image_id", 5),
        ("image_id", ["a"]),
        ("image_id", "a" * 65),
        ("image_id", "\0"),
        ("image_id", "\ud800"),
        ("collection", 5),
        ("collection", "no/such"),
        ("collection", "a" * 100),
        ("collection", "default__1"),
        ("image", 5),
        ("image", ["aaaa"]),
        ("image", True),
    ],
)
def test_a_wrong_value_names_its_parameter(client: FlaskClient, name: str, value: Any) -> None:
    body = {"image": encoded(RED)} if name != "image_id" else {}
    # json.dumps writes 1e999 as Infinity, which is no JSON.
    data = json.dumps({**body, name: value}).replace("Infinity", "1e999")
    response = client.post("/search", data=data, content_type="application/json")
    assert_problem(response, 422, "invalid_parameter", field=name)


@pytest.mark.parametrize("value", ["0", "1001", "5.0", "1e3", "five", "", "٥", "+5", "0x5", "9" * 30])
def test_a_wrong_value_in_the_query_string(client: FlaskClient, value: str) -> None:
    response = client.post("/search", query_string={"top_k": value}, data=RED, content_type="image/jpeg")
    assert_problem(response, 422, "invalid_parameter", field="top_k")


def test_a_collection_that_is_not_there(client: FlaskClient) -> None:
    body = assert_problem(by_json(client, collection="other"), 404, "collection_not_found")
    assert "default" in body["detail"]
    response = client.post("/search?collection=other", data=RED, content_type="image/jpeg")
    assert_problem(response, 404, "collection_not_found")


def test_more_than_there_is(client: FlaskClient) -> None:
    body = by_json(client, top_k=1000).get_json()
    assert body["page"] == {"offset": 0, "top_k": 1000, "returned": GALLERY, "has_more": False}
    assert len({result["id"] for result in body["results"]}) == GALLERY


@pytest.mark.parametrize("size", [1, 4, 5, 14, 15, 16])
def test_pages_put_together_are_the_whole_answer(client: FlaskClient, size: int) -> None:
    whole = by_json(client, top_k=GALLERY).get_json()
    pages: list[tuple[str, int, float]] = []
    for offset in range(0, GALLERY, size):
        body = by_json(client, top_k=size, offset=offset).get_json()
        pages += hits(body)
        left = GALLERY - offset - size
        assert body["page"] == {
            "offset": offset,
            "top_k": size,
            "returned": min(size, GALLERY - offset),
            "has_more": left > 0,
        }
    assert pages == hits(whole)


def test_beyond_the_end_is_an_empty_page(client: FlaskClient) -> None:
    for offset in (GALLERY, 16_374):
        body = by_json(client, offset=offset).get_json()
        assert (body["results"], body["page"]["returned"], body["page"]["has_more"]) == ([], 0, False)


def test_min_score_cuts_and_has_more_knows_it(client: FlaskClient) -> None:
    whole = by_json(client, top_k=GALLERY).get_json()["results"]
    floor = whole[4]["score"] - 1e-4
    assert whole[5]["score"] < floor
    for top_k, has_more in ((4, True), (5, False), (10, False)):
        body = by_json(client, top_k=top_k, min_score=floor).get_json()
        assert body["page"]["returned"] == min(top_k, 5)
        assert body["page"]["has_more"] is has_more
    assert by_json(client, min_score=1).get_json()["results"] == []
    assert len(by_json(client, min_score=-1, top_k=GALLERY).get_json()["results"]) == GALLERY
    raw = client.post(f"/search?min_score={floor:.6f}", data=RED, content_type="image/jpeg").get_json()
    assert raw["page"]["returned"] == 5


def test_urls_are_absolute_and_follow_public_url(client: FlaskClient, make_client: MakeClient) -> None:
    first = by_json(client).get_json()["results"][0]
    assert first["url"].startswith(f"http://localhost/images/{first['id']}/file?sig=")
    assert first["thumbnail_url"].startswith(f"http://localhost/images/{first['id']}/thumbnail?sig=")
    public = make_client(http_server__public_url="https://pictures.example.org/find/")
    first = by_json(public).get_json()["results"][0]
    assert first["url"].startswith(f"https://pictures.example.org/find/images/{first['id']}/file?sig=")


def test_a_forwarded_host_counts_only_from_a_trusted_proxy(client: FlaskClient, make_client: MakeClient) -> None:
    headers = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/find"}
    body = {"image": encoded(RED)}
    first = client.post("/search", json=body, headers=headers).get_json()["results"][0]
    assert first["url"].startswith("http://localhost/")
    behind = make_client(http_server__trusted_proxies="1")
    first = behind.post("/search", json=body, headers=headers).get_json()["results"][0]
    assert first["url"].startswith("https://evil.example/")


# Pictures that are refused


def post_in_every_form(client: FlaskClient, data: bytes) -> list[Any]:
    return [
        client.post("/search", json={"image": encoded(data)}),
        client.post("/search", data=data, content_type="image/jpeg"),
        client.post("/search", data={"image": part(data)}),
    ]


def big_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", (8500, 6000)).save(buffer, "PNG")
    return buffer.getvalue()


BAD_PICTURES: dict[str, tuple[bytes, int, str]] = {
    "a text": (b"this is no picture at all", 415, "unsupported_format"),
    "an SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415, "unsupported_format"),
    "an EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 415, "unsupported_format"),
    "nothing": (b"", 422, "invalid_image"),
    "half a JPEG": (RED[: len(RED) // 2], 422, "invalid_image"),
    "the first bytes of a JPEG": (RED[:20], 422, "invalid_image"),
    "one pixel": (jpeg(Image.new("RGB", (1, 1))), 422, "invalid_image"),
    "60,000 x 60,000": (png_claiming(60_000, 60_000), 413, "image_too_large"),
    "a PNG without its pixels": (png_claiming(600, 600), 422, "invalid_image"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
def test_a_bad_picture_is_refused_in_every_form(client: FlaskClient, name: str) -> None:
    data, status, code = BAD_PICTURES[name]
    for response in post_in_every_form(client, data):
        assert_problem(response, status, code)


def test_51_megapixels_are_beyond_the_cap_of_this_door_and_not_of_the_owners(
    client: FlaskClient, stocked: Services
) -> None:
    data = big_png()
    for response in post_in_every_form(client, data):
        assert "50,000,000" in assert_problem(response, 413, "image_too_large")["detail"]
    assert stocked.settings.imaging.max_local_pixels > 8500 * 6000


def test_a_picture_of_too_many_bytes_is_told_the_limit(make_client: MakeClient) -> None:
    client = make_client(http_server__max_image_bytes=str(len(RED) - 1))
    for response in post_in_every_form(client, RED):
        assert f"{len(RED) - 1:,}" in assert_problem(response, 413, "image_too_large")["detail"]
    client = make_client(http_server__max_image_bytes=str(len(RED)))
    assert [response.status_code for response in post_in_every_form(client, RED)] == [200, 200, 200]


def test_a_request_of_too_many_bytes_is_told_the_limit(make_client: MakeClient) -> None:
    client = make_client(http_server__max_request_bytes="1000")
    for response in post_in_every_form(client, bytes(5000)):
        assert "1,000" in assert_problem(response, 413, "request_too_large")["detail"]


LIMIT = len(RED) + 1000


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("image/jpeg", RED),
        ("application/json", json.dumps({"image": encoded(RED)[:100]}).encode()),
        ("multipart/form-data; boundary=x", b"--x\r\n"),
    ],
)
def test_a_request_without_a_length_is_refused_at_the_limit(
    make_client: MakeClient, serve: Callable[[Flask], tuple[str, int]], kind: str, data: bytes
) -> None:
    host, port = serve(make_client(http_server__max_request_bytes=str(LIMIT)).application)
    answers = {}
    for size in (LIMIT - 1, LIMIT + 1, LIMIT + 5000):
        connection = http.client.HTTPConnection(host, port, timeout=10)
        # White space after JSON and bytes after a JPEG change neither.
        padded = data + b" " * (size - len(data))
        connection.request("POST", "/search", in_pieces(padded), {"Content-Type": kind}, encode_chunked=True)
        response = connection.getresponse()
        answers[size] = json.loads(response.read())
        connection.close()
    assert answers[LIMIT - 1].get("code") != "request_too_large"
    assert [answers[size]["code"] for size in (LIMIT + 1, LIMIT + 5000)] == ["request_too_large"] * 2
    assert f"{LIMIT:,}" in answers[LIMIT + 1]["detail"]


@pytest.mark.parametrize("text", ["!!!!", "abcde", "data:image/jpeg;base64", "http://x/y.jpg", "é" * 8, "data:,abcd"])
def test_base64_that_is_none(client: FlaskClient, text: str) -> None:
    assert_problem(client.post("/search", json={"image": text}), 422, "invalid_parameter", field="image")


@pytest.mark.parametrize("size", [100, 600_000])
def test_base64_in_a_form_field_is_refused_with_what_to_do(client: FlaskClient, size: int) -> None:
    field = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + b"A" * size + b"\r\n--x--\r\n"
    response = client.post("/search", data=field, content_type="multipart/form-data; boundary=x")
    assert "JSON" in assert_problem(response, 422, "invalid_parameter", field="image")["detail"]


def test_an_unknown_part_is_refused(client: FlaskClient) -> None:
    response = client.post("/search", data={"image": part(RED), "picture": part(RED)})
    assert_problem(response, 422, "invalid_parameter", field="picture")


@pytest.mark.parametrize("kind", ["text/xml", "application/pdf", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_told_which_are_taken(client: FlaskClient, kind: str) -> None:
    body = assert_problem(client.post("/search", data=RED, content_type=kind), 415, "unsupported_format")
    assert kind in body["detail"]
    assert "application/json" in body["detail"]


def test_an_empty_library_answers_with_nothing(settings: Any, services: Services) -> None:
    client = create_app(settings, services).test_client()
    assert_problem(by_json(client), 404, "collection_not_found")
    created = client.post("/insert", json={"image": encoded(RED)}, headers=ADMIN).get_json()
    client.delete(f"/images/{created['id']}", headers=ADMIN)
    body = by_json(client).get_json()
    assert (body["ok"], body["results"], body["page"]["has_more"]) == (True, [], False)


def test_pictures_of_every_format_and_kind_are_taken(client: FlaskClient) -> None:
    red = draw((210, 40, 35), mark=3)
    for kind, image in (
        ("PNG", red),
        ("WEBP", red),
        ("GIF", red.convert("P")),
        ("BMP", red),
        ("TIFF", red),
        ("AVIF", red),
        ("JPEG", red.convert("CMYK")),
        ("PNG", red.convert("RGBA")),
        ("PNG", red.convert("P")),
    ):
        buffer = io.BytesIO()
        image.save(buffer, kind)
        body = by_json(client, buffer.getvalue(), top_k=1).get_json()
        assert body["results"][0]["source_name"].startswith("red/"), kind
