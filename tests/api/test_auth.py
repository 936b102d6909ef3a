"""Keys and signed URLs: who may do what, and what the URLs in answers carry."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

import image_search.api.auth as auth
from image_search.api.app import create_app
from image_search.config import Settings, load_settings
from image_search.errors import ConfigError
from image_search.wiring import Services
from tests.api.conftest import MakeClient
from tests.api.helpers import ADMIN, ADMIN_KEY, NEW, RED, USER, USER_KEY, assert_problem, encoded

SOME_ID = "0" * 64

ROLES = {
    ("POST", "/search"): "user",
    ("POST", "/search/batch"): "user",
    ("POST", "/images/check"): "user",
    ("GET", "/images"): "user",
    ("GET", "/images/random"): "user",
    ("GET", "/collections"): "user",
    ("GET", "/images/<image_id>"): "user",
    ("GET", "/images/<image_id>/file"): "user",
    ("GET", "/images/<image_id>/thumbnail"): "user",
    ("GET", "/images/deleted"): "admin",
    ("PATCH", "/images/<image_id>"): "admin",
    ("DELETE", "/images/<image_id>"): "admin",
    ("POST", "/images/<image_id>/restore"): "admin",
    ("POST", "/insert"): "admin",
    ("POST", "/insert/batch"): "admin",
    ("POST", "/indexing"): "admin",
    ("GET", "/export"): "admin",
    ("POST", "/export"): "admin",
    ("POST", "/import"): "admin",
    ("GET", "/jobs"): "admin",
    ("GET", "/jobs/<job_id>"): "admin",
    ("GET", "/jobs/<job_id>/failures"): "admin",
    ("POST", "/jobs/<job_id>/retry"): "admin",
    ("POST", "/jobs/<job_id>/cancel"): "admin",
    ("GET", "/status"): "open",
    ("GET", "/livez"): "open",
    ("GET", "/readyz"): "open",
    ("GET", "/openapi.json"): "open",
    ("GET", "/docs"): "open",
    # From this machine, which the tests come from; test_metrics has the others.
    ("GET", "/metrics"): "open",
    ("GET", "/"): "open",
}
PAGE = ("static", "docs_file")


@pytest.fixture
def keyed(make_client: MakeClient) -> FlaskClient:
    """A service that wants a key for searching."""
    return make_client(security__user_key=USER_KEY)


def call(client: FlaskClient, method: str, rule: str, **more: Any) -> Any:
    path = rule.replace("<image_id>", SOME_ID).replace("<job_id>", "j")
    if method in ("POST", "PATCH"):
        more.setdefault("json", {})
    return client.open(path, method=method, **more)


def test_every_route_has_a_role(app: Flask) -> None:
    """A new route is written into ROLES before it is served."""
    routes = {
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if rule.endpoint not in PAGE
    }
    assert routes == set(ROLES)


@pytest.mark.parametrize(("method", "rule"), ROLES)
def test_roles(keyed: FlaskClient, method: str, rule: str) -> None:
    role = ROLES[method, rule]
    nobody, user, admin = (call(keyed, method, rule, headers=headers) for headers in ({}, USER, ADMIN))
    wrong = call(keyed, method, rule, headers={"X-API-Key": "wrong"})
    if role == "open":
        assert {r.status_code for r in (nobody, wrong, user, admin)} == {200}
        return
    assert_problem(nobody, 401, "invalid_key")
    assert_problem(wrong, 401, "invalid_key")
    if role == "admin":
        assert_problem(user, 403, "forbidden")
    else:
        assert user.status_code in (200, 404, 422)
    assert admin.status_code in (200, 202, 404, 415, 422)


@pytest.mark.parametrize(("method", "rule"), ROLES)
def test_without_a_user_key_search_is_open_and_the_admins_work_is_not(
    client: FlaskClient, method: str, rule: str
) -> None:
    response = call(client, method, rule)
    if ROLES[method, rule] == "admin":
        assert_problem(response, 401, "invalid_key")
    else:
        assert response.status_code in (200, 404, 422)


WAYS: dict[str, Callable[[str], dict[str, Any]]] = {
    "Bearer": lambda key: {"headers": {"Authorization": f"Bearer {key}"}},
    "bearer, two spaces": lambda key: {"headers": {"Authorization": f"bearer  {key}"}},
    "X-API-Key": lambda key: {"headers": {"X-API-Key": key}},
    "body": lambda key: {"key": key},
}


@pytest.mark.parametrize("way", WAYS)
def test_three_ways_to_show_a_key(keyed: FlaskClient, way: str) -> None:
    for key, status in ((USER_KEY, 200), (ADMIN_KEY, 200), ("wrong", 401), ("", 401), (USER_KEY[:-1], 401)):
        shown = WAYS[way](key)
        body = {"image": encoded(RED), **({"key": shown["key"]} if "key" in shown else {})}
        response = keyed.post("/search", json=body, headers=shown.get("headers"))
        assert response.status_code == status, (way, key)
    shown = WAYS[way](ADMIN_KEY)
    body = {"image": encoded(NEW), **({"key": shown["key"]} if "key" in shown else {})}
    assert keyed.post("/insert", json=body, headers=shown.get("headers")).status_code == 201


def test_a_key_in_the_body_counts_whatever_the_content_type_says(keyed: FlaskClient) -> None:
    for kind in ("application/json", "text/plain;charset=UTF-8", None):
        response = keyed.post("/search", data=f'{{"image_id": "{SOME_ID}", "key": "{USER_KEY}"}}', content_type=kind)
        assert_problem(response, 404, "image_not_found")


def test_a_key_in_the_address_does_not_count(keyed: FlaskClient) -> None:
    assert_problem(keyed.get(f"/images/{SOME_ID}?key={USER_KEY}"), 401, "invalid_key")


def test_basic_authorization_of_a_proxy_does_not_hide_the_key(keyed: FlaskClient) -> None:
    headers = {"Authorization": "Basic dXNlcjpwYXNz", **USER}
    assert keyed.post("/search", json={"image": encoded(RED)}, headers=headers).status_code == 200


@pytest.mark.parametrize("key", ["schlüssel", "ключ", "鍵", "\x7f\x80\xff", "a" * 100_000])
def test_any_bytes_in_a_header_are_only_a_wrong_key(keyed: FlaskClient, key: str) -> None:
    as_sent = key.encode().decode("latin-1")
    for name, value in (("HTTP_X_API_KEY", as_sent), ("HTTP_AUTHORIZATION", f"Bearer {as_sent}")):
        response = keyed.post("/search", json={"image": encoded(RED)}, environ_overrides={name: value})
        assert_problem(response, 401, "invalid_key")


@pytest.mark.parametrize(
    "body",
    [
        '{"key": "\\ud800"}',
        '{"key": 5}',
        '{"key": null}',
        '{"key": ["a"]}',
        "[" * 100_000,
        "{",
        "[]",
        "\xff",
        f'{{"key": "{USER_KEY}", "key": "x"}}',
    ],
)
def test_any_body_without_the_key_is_only_unauthorised(keyed: FlaskClient, body: str) -> None:
    response = keyed.post("/search", data=body.encode("latin-1"), content_type="application/json")
    assert_problem(response, 401, "invalid_key")


def test_a_key_that_is_not_ascii_works_in_the_body(make_client: MakeClient) -> None:
    client = make_client(security__user_key="schlüssel-鍵")
    assert client.post("/search", json={"image": encoded(RED), "key": "schlüssel-鍵"}).status_code == 200


def test_user_and_admin_key_must_differ(make_client: MakeClient) -> None:
    with pytest.raises(ConfigError, match="differ"):
        make_client(security__user_key="same", security__admin_key="same")


class TestWithoutAConfiguredAdminKey:
    """One is made, once, and kept where only the owner reads it."""

    @pytest.fixture
    def changes(self) -> dict[str, str]:
        return {}

    def test_it_is_made_once_and_kept_private(self, settings: Settings, stocked: Services) -> None:
        client = create_app(settings, stocked).test_client()
        file = settings.data_dir / auth.ADMIN_KEY_FILE
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE((settings.data_dir / "signing.key").stat().st_mode) == 0o600
        key = file.read_text().strip()
        assert len(key) >= 32
        second = create_app(settings, stocked).test_client()
        assert file.read_text().strip() == key
        for one in (client, second):
            assert call(one, "POST", "/insert", headers={"X-API-Key": key}).status_code == 422
            assert_problem(call(one, "POST", "/insert", headers={"X-API-Key": ""}), 401, "invalid_key")

    def test_an_emptied_key_file_opens_nothing(self, settings: Settings, stocked: Services) -> None:
        settings.data_dir.joinpath(auth.ADMIN_KEY_FILE).write_text("")
        with pytest.raises(ConfigError, match=r"admin\.key in the data folder is empty"):
            create_app(settings, stocked)


def test_keys_are_not_in_a_repr_nor_in_status(keyed: FlaskClient) -> None:
    keys = keyed.application.extensions["keys"]
    shown = repr(keys) + repr(keyed.application.extensions["settings"]) + keyed.get("/status").get_data(as_text=True)
    for secret in (USER_KEY, ADMIN_KEY, keys.signing.decode()):
        assert secret not in shown


# Signed URLs


@pytest.fixture
def first(keyed: FlaskClient) -> dict[str, Any]:
    """The best hit of a search."""
    return dict(keyed.post("/search", json={"image": encoded(RED)}, headers=USER).get_json()["results"][0])


@pytest.mark.parametrize("name", ["url", "thumbnail_url"])
def test_a_signed_url_needs_no_key(keyed: FlaskClient, first: dict[str, Any], name: str) -> None:
    assert keyed.get(first[name]).status_code == 200
    assert keyed.head(first[name]).status_code == 200
    bare = urlsplit(first[name]).path
    assert_problem(keyed.get(bare), 401, "invalid_key")
    assert keyed.get(bare, headers=USER).status_code == 200


def test_a_signature_is_of_one_picture(keyed: FlaskClient, first: dict[str, Any]) -> None:
    signature = urlsplit(first["url"]).query
    assert_problem(keyed.get(f"/images/{SOME_ID}/file?{signature}"), 401, "invalid_key")
    for wrong in ("sig=", "sig=x", f"{signature}x", signature[:-1], signature.swapcase(), "sig=%ff%00", "sig=ключ"):
        assert_problem(keyed.get(f"/images/{first['id']}/file?{wrong}"), 401, "invalid_key")


def test_a_signature_opens_the_picture_and_not_its_record(keyed: FlaskClient, first: dict[str, Any]) -> None:
    signature = urlsplit(first["url"]).query
    assert_problem(keyed.get(f"/images/{first['id']}?{signature}"), 401, "invalid_key")
    assert_problem(keyed.delete(f"/images/{first['id']}?{signature}"), 401, "invalid_key")


def test_a_signature_stays_for_the_day_and_the_next(keyed: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    day_s = 86_400
    now = SimpleNamespace(s=20_000.0 * day_s + 1)
    monkeypatch.setattr(auth, "time", SimpleNamespace(time=lambda: now.s))

    def url() -> str:
        answer = keyed.post("/search", json={"image": encoded(RED)}, headers=USER).get_json()
        return str(answer["results"][0]["url"])

    morning = url()
    now.s += day_s - 2
    assert url() == morning
    now.s += 2
    assert url() != morning
    assert keyed.get(morning).status_code == 200
    now.s += day_s - 2
    assert keyed.get(morning).status_code == 200
    now.s += 2
    assert_problem(keyed.get(morning), 401, "invalid_key")


def test_signatures_of_another_library_do_not_count(keyed: FlaskClient, first: dict[str, Any], tmp_path: Any) -> None:
    other = load_settings(
        environ={},
        overrides={"library.data_dir": str(tmp_path / "other"), "security.user_key": USER_KEY},
    )
    client = create_app(other, keyed.application.extensions["services"]).test_client()
    assert_problem(client.get(first["url"]), 401, "invalid_key")


def test_machines_with_one_signing_key_accept_each_others_signatures(tmp_path: Path) -> None:
    def keys(folder: str, signing: str) -> auth.Keys:
        overrides = {"library.data_dir": str(tmp_path / folder), "security.signing_key": signing}
        return auth.load_keys(load_settings(environ={}, overrides=overrides))

    one, other, third = keys("one", "a" * 32), keys("other", "a" * 32), keys("third", "")
    assert other.verify(SOME_ID, one.sign(SOME_ID))
    assert not third.verify(SOME_ID, one.sign(SOME_ID))
    assert not (tmp_path / "one" / "signing.key").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        {"security.signing_key": "short"},
        {"security.metrics_key": "same", "security.admin_key": "same"},
        {"security.metrics_key": "same", "security.user_key": "same"},
    ],
)
def test_keys_that_protect_nothing_are_refused(tmp_path: Path, overrides: dict[str, str]) -> None:
    settings = load_settings(environ={}, overrides={"library.data_dir": str(tmp_path), **overrides})
    with pytest.raises(ConfigError, match=next(iter(overrides))):
        auth.load_keys(settings)
