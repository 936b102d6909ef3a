"""/openapi.json and /docs, and the contract: every documented operation answers as it is documented."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.test import TestResponse

from image_search.fingerprint import content_hash
from image_search.types import Failure
from image_search.wiring import Services
from tests.api.helpers import ADMIN, NEW, RED, encoded, part

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 5
"""Of each operation and kind, right and wrong."""
NOT_DOCUMENTED = {"/", "/openapi.json", "/docs"}
"""The pages, and the document itself."""

Call: TypeAlias = Callable[[FlaskClient, str], TestResponse]
"""A request that succeeds; it gets the id of a stored picture."""


def job(client: FlaskClient, path: str = "", method: str = "GET") -> TestResponse:
    started = client.post("/indexing", headers=ADMIN).get_json()["job"]["id"]
    return client.open(f"/jobs/{started}{path}", method=method, headers=ADMIN)


def jobs(client: FlaskClient, _image_id: str) -> TestResponse:
    job(client)
    return client.get("/jobs", headers=ADMIN)


def restored(client: FlaskClient, image_id: str) -> TestResponse:
    client.delete(f"/images/{image_id}", headers=ADMIN)
    return client.post(f"/images/{image_id}/restore", headers=ADMIN)


def deleted(client: FlaskClient, image_id: str) -> TestResponse:
    client.delete(f"/images/{image_id}", headers=ADMIN)
    return client.get("/images/deleted", headers=ADMIN)


def retried(client: FlaskClient, _image_id: str) -> TestResponse:
    cancelled = job(client, "/cancel", "POST").get_json()["id"]
    return client.post(f"/jobs/{cancelled}/retry", headers=ADMIN)


def failures(client: FlaskClient, _image_id: str) -> TestResponse:
    started = job(client).get_json()["id"]
    client.application.extensions["services"].jobs.add_failures(started, [Failure("a.jpg", "is no picture")])
    return client.get(f"/jobs/{started}/failures", headers=ADMIN)


def imported(client: FlaskClient, _image_id: str) -> TestResponse:
    data = client.get("/export", headers=ADMIN).get_data()
    return client.post("/import", data=data, content_type="application/x-hdf5", headers=ADMIN)


def inserted(client: FlaskClient, image: bytes, **words: Any) -> TestResponse:
    return client.post("/insert", json={"image": encoded(image), **words}, headers=ADMIN)


GOOD: dict[tuple[str, str], list[Call]] = {
    ("POST", "/search"): [
        lambda client, _: client.post("/search", json={"image": encoded(RED)}),
        lambda client, image_id: client.post("/search", json={"image_id": image_id, "text": "red", "top_k": 2}),
        lambda client, _: client.post("/search", json={"text": "red"}),
        lambda client, _: client.post("/search", data={"image": part(RED), "params": '{"top_k": 3}'}),
        lambda client, _: client.post("/search?top_k=1", data=RED, content_type="image/jpeg"),
    ],
    ("POST", "/search/batch"): [
        lambda client, image_id: client.post("/search/batch", json={"queries": [{"image_id": image_id}]}),
        lambda client, image_id: client.post("/search/batch", json={"queries": [{"image_id": image_id}, {}, 5]}),
    ],
    ("POST", "/insert"): [
        lambda client, _: inserted(client, NEW, tags=["a"]),
        lambda client, _: inserted(client, NEW),
    ],
    ("POST", "/insert/batch"): [
        lambda client, _: client.post("/insert/batch", json={"items": [{"image": encoded(NEW)}]}, headers=ADMIN),
        lambda client, _: client.post("/insert/batch", json={"items": [{}]}, headers=ADMIN),
        lambda client, _: client.post("/insert/batch", data={"image": [part(RED), part(NEW)]}, headers=ADMIN),
    ],
    ("POST", "/images/check"): [
        lambda client, image_id: client.post("/images/check", json={"sha256": [image_id, "0" * 64]}),
        lambda client, _: client.post("/images/check", data=RED, content_type="image/jpeg"),
    ],
    ("GET", "/images"): [
        lambda client, _: client.get("/images?limit=2"),
        lambda client, _: client.get("/images?limit=2&order=newest"),
        lambda client, _: client.get("/images", query_string={"filter": '{"width": {"gte": 1}}'}),
    ],
    ("GET", "/collections"): [lambda client, _: client.get("/collections")],
    ("GET", "/images/random"): [lambda client, _: client.get("/images/random?n=3")],
    ("GET", "/images/deleted"): [deleted],
    ("GET", "/images/{image_id}"): [lambda client, image_id: client.get(f"/images/{image_id}")],
    ("PATCH", "/images/{image_id}"): [
        lambda client, image_id: client.patch(f"/images/{image_id}", json={"title": "x"}, headers=ADMIN)
    ],
    ("DELETE", "/images/{image_id}"): [lambda client, image_id: client.delete(f"/images/{image_id}", headers=ADMIN)],
    ("POST", "/images/{image_id}/restore"): [restored],
    ("GET", "/images/{image_id}/file"): [
        lambda client, image_id: client.get(f"/images/{image_id}/file"),
        lambda client, image_id: client.get(f"/images/{image_id}/file", headers={"Range": "bytes=0-3"}),
        lambda client, image_id: client.get(f"/images/{image_id}/file", headers={"If-None-Match": f'"{image_id}"'}),
    ],
    ("GET", "/images/{image_id}/thumbnail"): [lambda client, image_id: client.get(f"/images/{image_id}/thumbnail")],
    ("POST", "/indexing"): [lambda client, _: client.post("/indexing", headers=ADMIN)],
    ("POST", "/export"): [lambda client, _: client.post("/export", headers=ADMIN)],
    ("GET", "/export"): [lambda client, _: client.get("/export", headers=ADMIN)],
    ("POST", "/import"): [imported],
    ("GET", "/jobs"): [jobs],
    ("GET", "/jobs/{job_id}"): [lambda client, _: job(client)],
    ("GET", "/jobs/{job_id}/failures"): [failures],
    ("POST", "/jobs/{job_id}/retry"): [retried],
    ("POST", "/jobs/{job_id}/cancel"): [lambda client, _: job(client, "/cancel", "POST")],
    ("GET", "/status"): [lambda client, _: client.get("/status")],
    ("GET", "/livez"): [lambda client, _: client.get("/livez")],
    ("GET", "/readyz"): [lambda client, _: client.get("/readyz")],
    ("GET", "/metrics"): [lambda client, _: client.get("/metrics")],
}


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    return dict(client.get("/openapi.json").get_json())


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, found in document["paths"].items() for method in found}


def test_every_route_is_documented(app: Flask, document: dict[str, Any]) -> None:
    routes = {
        (method, re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint not in ("static", "docs_file") and rule.rule not in NOT_DOCUMENTED
    }
    assert operations(document) == routes


def test_the_document_says_what_a_person_needs(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"bearer", "header"}
    for path, found in document["paths"].items():
        for method, one in found.items():
            assert one["summary"], (method, path)
            for status, answer in one["responses"].items():
                kinds = list(answer.get("content", {}))
                assert kinds == (["application/problem+json"] if int(status) >= 400 else kinds), (method, path, status)
    assert set(document["paths"]["/search"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "multipart/form-data",
        "image/*",
    }


def test_every_operation_that_needs_a_key_says_so(document: dict[str, Any]) -> None:
    for path, found in document["paths"].items():
        for method, one in found.items():
            open_to_all = path in ("/status", "/livez", "/readyz")
            assert bool(one.get("security")) is not open_to_all, (method, path)
            assert ("401" in one["responses"]) is not open_to_all, (method, path)


def test_what_is_generated_from_the_document_is_answered_as_it_says(app: Flask) -> None:
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    statuses = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
                continue  # Nothing of it can be wrong.

            @seed(7)
            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def call(case: schemathesis.Case) -> None:
                # With the key always: what the generator makes of keys would stop most requests at the door.
                response = case.call(headers={**(case.headers or {}), **ADMIN})
                statuses.add(response.status_code)
                case.validate_response(response, checks=CHECKS)

            call()
    assert {200, 202, 400, 404, 422} <= statuses


def strict(document: dict[str, Any]) -> dict[str, Any]:
    """The document with nothing allowed in an object that it does not name."""
    made = copy.deepcopy(document)
    for schema in made["components"]["schemas"].values():
        schema.setdefault("additionalProperties", False)
    return made


def test_there_is_a_good_request_for_every_operation(document: dict[str, Any]) -> None:
    assert set(GOOD) == operations(document)


@pytest.mark.parametrize(("method", "path"), GOOD)
def test_a_good_answer_is_documented_to_the_last_field(
    client: FlaskClient, stocked: Services, document: dict[str, Any], method: str, path: str
) -> None:
    image_id = stocked.store.list_records("default", limit=1)[0].image_id
    for send in GOOD[method, path]:
        response = send(client, image_id)
        assert response.status_code < 400, response.get_data()
        answer = document["paths"][path][method.lower()]["responses"][str(response.status_code)]
        if response.mimetype == "application/json":
            root = {**answer["content"]["application/json"]["schema"], "components": strict(document)["components"]}
            jsonschema_rs.validator_for(root).validate(response.get_json())
    if (method, path) == ("POST", "/insert"):
        assert client.get(f"/images/{content_hash(NEW)}").status_code == 200


def test_the_docs_page_takes_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    text = page.get_data(as_text=True)
    named = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert len(named) == 5
    for name in named:
        assert "//" not in name
        assert client.get(f"/{name}").status_code == 200, name
    policy = dict(one.strip().split(" ", 1) for one in page.headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["script-src"], policy["connect-src"]) == ("'none'", "'self'", "'self'")
    # No script stands in the page itself.
    assert re.findall(r"<script(?![^>]* src=)", text) == []


def test_the_docs_are_for_everybody_and_tell_nobody_s_secret(make_client: Callable[..., FlaskClient]) -> None:
    client = make_client(security__user_key="a-key-of-a-user")
    assert "a-key-of-a-user" not in json.dumps(client.get("/openapi.json").get_json())
    assert client.get("/docs").status_code == 200
