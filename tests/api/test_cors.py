"""Cross-origin requests: none by default, an exact list by configuration, never everyone."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from image_search.errors import ConfigError
from tests.api.conftest import MakeClient
from tests.api.helpers import ADMIN, RED, encoded

ORIGIN = "https://page.example.org"


def cors_headers(response: object) -> dict[str, str]:
    return {
        name: value
        for name, value in response.headers.items()  # type: ignore[attr-defined]
        if name.startswith("Access-Control-")
    }


@pytest.fixture
def allowed(make_client: MakeClient) -> FlaskClient:
    return make_client(http_server__cors_origins=f"{ORIGIN}, null, http://[::1]:8080")


def preflight(client: FlaskClient, origin: str, method: str = "POST", path: str = "/search") -> object:
    return client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "authorization, content-type, x-api-key",
        },
    )


def test_none_by_default(client: FlaskClient) -> None:
    for origin in (ORIGIN, "null", "http://localhost"):
        headers = {"Origin": origin}
        assert cors_headers(client.get("/status", headers=headers)) == {}
        assert cors_headers(client.post("/search", json={"image": encoded(RED)}, headers=headers)) == {}
        assert cors_headers(preflight(client, origin)) == {}


@pytest.mark.parametrize("origin", [ORIGIN, "null", "http://[::1]:8080"])
def test_a_listed_origin_may_read_answers_and_errors(allowed: FlaskClient, origin: str) -> None:
    headers = {"Origin": origin}
    for response in (
        allowed.get("/status/", headers=headers),
        allowed.post("/search", json={"image": encoded(RED)}, headers=headers),
        allowed.post("/search", json={"top_k": 0}, headers=headers),
        allowed.post("/search", data="{", headers=headers, content_type="application/json"),
        allowed.post("/insert", json={}, headers=headers),
        allowed.post("/indexing/", json={"key": "wrong"}, headers=headers),
        allowed.get("/nowhere", headers=headers),
        allowed.put("/search", headers=headers),
    ):
        assert response.headers.getlist("Access-Control-Allow-Origin") == [origin], response.status
        assert "Access-Control-Allow-Credentials" not in response.headers
        assert "Origin" in response.headers["Vary"]
        exposed = response.headers["Access-Control-Expose-Headers"]
        for name in ("Location", "Retry-After", "X-Request-ID"):
            assert name in exposed


@pytest.mark.parametrize("origin", [ORIGIN, "null"])
def test_preflight(allowed: FlaskClient, origin: str) -> None:
    for path, method in (("/search", "POST"), ("/insert/", "POST"), (f"/images/{'0' * 64}", "DELETE")):
        response = preflight(allowed, origin, method, path)
        assert response.status_code in (200, 204)  # type: ignore[attr-defined]
        found = cors_headers(response)
        assert found["Access-Control-Allow-Origin"] == origin
        assert method in found["Access-Control-Allow-Methods"]
        granted = found["Access-Control-Allow-Headers"].lower()
        for name in ("authorization", "content-type", "x-api-key"):
            assert name in granted


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://page.example.org.evil.example",
        "https://pageXexample.org",
        "http://page.example.org",
        "https://page.example.org:444",
        "https://evil.example/https://page.example.org",
        "nullx",
        "",
    ],
)
def test_another_origin_gets_nothing(allowed: FlaskClient, origin: str) -> None:
    for response in (allowed.get("/status", headers={"Origin": origin}), preflight(allowed, origin)):
        assert "Access-Control-Allow-Origin" not in response.headers  # type: ignore[attr-defined]


def test_without_an_origin_the_list_is_not_told(allowed: FlaskClient) -> None:
    assert "Access-Control-Allow-Origin" not in allowed.get("/status").headers


def test_everyone_is_never_allowed(make_client: MakeClient) -> None:
    with pytest.raises(ConfigError, match=r"\*"):
        make_client(http_server__cors_origins="*")
    for pattern in (".*", "https://.*", "*.example.org"):
        client = make_client(http_server__cors_origins=pattern)
        response = client.get("/status", headers={"Origin": "https://www.example.org", **ADMIN})
        assert "Access-Control-Allow-Origin" not in response.headers
