"""The page's files, and nothing but them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import NotFound

from image_search.api.page import PageFiles
from image_search.resources import web_folder
from tests.api.helpers import assert_problem


def policy(response: object) -> dict[str, str]:
    text = response.headers["Content-Security-Policy"]  # type: ignore[attr-defined]
    return dict(part.strip().split(" ", 1) for part in text.split(";"))


def test_the_page(client: FlaskClient) -> None:
    response = client.get("/")
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    assert response.get_data() == (web_folder() / "index.html").read_bytes()
    assert client.get("/index.html").get_data() == response.get_data()


def test_its_policy_lets_nothing_foreign_run(client: FlaskClient) -> None:
    found = policy(client.get("/"))
    assert found["default-src"] == found["script-src"] == found["style-src"] == "'self'"
    assert found["object-src"] == found["base-uri"] == found["frame-ancestors"] == found["form-action"] == "'none'"
    assert "unsafe" not in str(found)


def test_every_file_of_the_page_is_served(client: FlaskClient) -> None:
    files = [path for path in web_folder().rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 10
    for path in files:
        name = path.relative_to(web_folder()).as_posix()
        response = client.get(f"/{name}")
        assert response.status_code == 200, name
        assert response.get_data() == path.read_bytes()
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/js/main.js", "text/javascript"),
        ("/css/app.css", "text/css"),
        ("/favicon.svg", "image/svg+xml"),
    ],
)
def test_types(client: FlaskClient, path: str, kind: str) -> None:
    assert client.get(path).mimetype == kind


@pytest.mark.parametrize("path", ["/", "/js/main.js"])
def test_what_the_browser_has_is_not_sent_again(client: FlaskClient, path: str) -> None:
    tag = client.get(path).headers["ETag"]
    again = client.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.get_data()) == (304, b"")
    assert again.headers["Cache-Control"] == "no-cache"


def test_text_is_sent_packed_to_who_can_unpack_it(client: FlaskClient) -> None:
    plain = client.get("/js/main.js", headers={"Accept-Encoding": "identity"})
    packed = client.get("/js/main.js", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(packed.get_data()) == plain.get_data()
    assert int(packed.headers["Content-Length"]) == len(packed.get_data()) < len(plain.get_data()) / 2
    assert packed.headers["ETag"] != plain.headers["ETag"]
    assert packed.content_type == plain.content_type == "text/javascript; charset=utf-8"
    for none in ("", "gzip;q=0", "br"):
        assert "Content-Encoding" not in client.get("/", headers={"Accept-Encoding": none}).headers


def test_a_tag_belongs_to_one_form_and_head_has_what_get_has(client: FlaskClient) -> None:
    gzipped = {"Accept-Encoding": "gzip"}
    tag = client.get("/", headers=gzipped).headers["ETag"]
    again = client.get("/", headers={**gzipped, "If-None-Match": tag})
    assert (again.status_code, again.get_data(), again.headers["ETag"]) == (304, b"", tag)
    assert again.headers["Vary"] == "Accept-Encoding"
    assert client.get("/", headers={"If-None-Match": tag}).status_code == 200
    head, get = client.head("/", headers=gzipped), client.get("/", headers=gzipped)
    assert head.get_data() == b""
    for name in ("Content-Length", "Content-Encoding", "ETag", "Vary", "Content-Type", "Content-Security-Policy"):
        assert head.headers[name] == get.headers[name]


def test_a_file_is_kept_once_however_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("let a;" * 300)
    files = PageFiles(tmp_path)
    app = Flask("page")
    for number in range(20):
        with app.test_request_context():
            assert files.send(f"js/q{number}/../a.js").status_code == 200
    assert len(files._files) == 1


def test_a_file_that_changes_is_sent_anew(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("// one" * 100)
    files = PageFiles(tmp_path)
    files.read_all()
    with Flask(__name__).test_request_context("/", headers={"Accept-Encoding": "gzip"}):
        first = files.send("a.js")
        (tmp_path / "a.js").write_text("// another" * 100)
        second = files.send("a.js")
        assert gzip.decompress(second.get_data()) == b"// another" * 100
        assert first.headers["ETag"] != second.headers["ETag"]
        for name in ("b.js", "../a.js", "a.js/b", "", "\0", "x" * 5000):
            with pytest.raises(NotFound):
                files.send(name)


@pytest.mark.parametrize(
    "path",
    [
        "/../conf/config.ini",
        "/js/../../conf/config.ini",
        "/js/..%2f..%2fconf%2fconfig.ini",
        "/js/%2e%2e/%2e%2e/conf/config.ini",
        "/%2e%2e/pyproject.toml",
        "/..%2fpyproject.toml",
        "/js//etc/passwd",
        "/js/%2fetc%2fpasswd",
        "/js/..\\..\\pyproject.toml",
        "/js/main.js%00.png",
        "/js/",
        "/js",
        "/css/nowhere.css",
        "/nowhere.html",
        "/conf/config.ini",
        "/.git/config",
    ],
)
def test_nothing_outside_is_served(client: FlaskClient, path: str) -> None:
    # A doubled slash is redirected to a single one.
    assert_problem(client.get(path, follow_redirects=True), 404, "not_found")
