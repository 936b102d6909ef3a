"""nginx as it is deployed, before the real service: the page, limits, its own errors in the application's form."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.stack.web import DEPLOY, Web, have_nginx, web
from image_search.api.app import PAGE_POLICY
from image_search.config import Settings
from tests.deploy.conftest import ADMIN_KEY, CORS_ORIGIN, MAX_REQUEST_BYTES
from tests.deploy.upstream import OK, client_of, nobody_there, upstream
from tests.support import draw, jpeg

pytestmark = pytest.mark.skipif(not have_nginx(), reason="needs nginx (apt-get install nginx-light) and openssl")

PROBLEM_KEYS = set("type title status detail instance code errors request_id ok result".split())  # noqa: SIM905


def _check_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == PROBLEM_KEYS
    assert (body["status"], body["code"], body["ok"]) == (status, code, False)
    assert body["type"] == f"urn:image-search:problem:{code}"
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert body["title"] in (HTTPStatus(status).phrase, "Request Entity Too Large")


def _until_refused(ask: Callable[[int], httpx.Response]) -> httpx.Response:
    """The first 429 of requests that are made eight at a time, however slow the machine."""
    turns = itertools.count()
    with ThreadPoolExecutor(8) as pool:
        while True:
            answers = list(pool.map(ask, itertools.islice(turns, 16)))
            assert {answer.status_code for answer in answers} <= {200, 429}
            refused = [answer for answer in answers if answer.status_code == 429]
            if refused:
                return refused[0]


def test_the_page_comes_compressed_and_is_asked_for_again(browser: httpx.Client) -> None:
    page = browser.get("/")
    assert page.status_code == 200
    assert page.headers["Content-Encoding"] == "gzip"
    assert page.headers["Cache-Control"] == "no-cache"
    assert page.headers["Content-Security-Policy"] == PAGE_POLICY
    assert page.headers["Strict-Transport-Security"] == "max-age=300"
    assert (
        browser.get("/js/main.js", headers={"If-None-Match": browser.get("/js/main.js").headers["ETag"]}).status_code
        == 304
    )


def test_every_file_of_the_page_comes_as_the_application_sends_it(browser: httpx.Client, service: str) -> None:
    names = re.findall(
        r'(?:src|href)="\./?([^"]+)"|(?:src|href)="([a-z][^":]+\.(?:js|css|svg))"', browser.get("/").text
    )
    paths = {"/" + (one or other) for one, other in names} | {"/config.js", "/favicon.svg", "/js/main.js"}
    assert len(paths) > 3
    for path in paths:
        ours, theirs = browser.get(path), httpx.get(f"http://{service}{path}", trust_env=False)
        assert (ours.status_code, ours.content) == (200, theirs.content), path
        # What says nothing of its letters is right too.
        assert theirs.headers["Content-Type"].startswith(ours.headers["Content-Type"].split(";")[0]), path
        for name in ("Cache-Control", "X-Content-Type-Options", "Referrer-Policy"):
            assert ours.headers[name] == theirs.headers[name], (path, name)


def test_http_goes_to_https(front: Web) -> None:
    answer = httpx.post(f"{front.http}/search?top_k=3", trust_env=False)
    assert answer.status_code == 308
    assert answer.headers["Location"] == f"{front.https}/search?top_k=3"


def test_pictures_go_in_and_are_found_and_their_addresses_lead_back_through_nginx(browser: httpx.Client) -> None:
    picture = jpeg(draw((200, 40, 40)))
    inserted = browser.post("/insert", files={"image": picture}, headers={"X-API-Key": ADMIN_KEY})
    assert inserted.status_code == 201, inserted.text
    found = browser.post("/search", content=picture, headers={"Content-Type": "image/jpeg"}).json()
    first = found["results"][0]
    assert first["match"] == "identical"
    assert first["url"].startswith(str(browser.base_url).rstrip("/"))
    assert browser.get(first["url"]).content == picture
    assert browser.get(first["thumbnail_url"]).headers["Cache-Control"].startswith("private")


def test_json_is_compressed(browser: httpx.Client) -> None:
    with browser.stream("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"}) as answer:
        body = b"".join(answer.iter_raw())
    assert "openapi" in json.loads(gzip.decompress(body))


def test_what_is_not_there_is_the_applications_to_say(browser: httpx.Client) -> None:
    for path in ("/nothing", "/js/nothing.js", "/css/", "/js/../nothing"):
        _check_problem(browser.get(path), 404, "not_found")
    _check_problem(browser.get("/_problem/503"), 404, "not_found")


def test_what_a_client_says_of_its_way_is_not_passed_on(tmp_path: Path) -> None:
    lies = {
        "X-Forwarded-For": "6.6.6.6",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Port": "1",
        "Forwarded": "for=6.6.6.6",
        "X-Real-IP": "6.6.6.6",
        "X-Request-ID": "a request\tid",
    }
    with upstream(OK) as (server, requests), web(tmp_path, server) as running, client_of(running) as client:
        assert client.get("/status", headers=lies).status_code == 200
        lines = requests[0].decode().split("\r\n")
    assert "X-Forwarded-For: 127.0.0.1" in lines
    assert "X-Forwarded-Proto: https" in lines
    assert not [line for line in lines if re.search(r"6\.6\.6\.6|gopher|evil|a request|X-Forwarded-Port", line)]


def test_what_is_too_large_is_refused_in_the_applications_words(browser: httpx.Client) -> None:
    answer = browser.post("/insert", content=bytes(MAX_REQUEST_BYTES + 1), headers={"Origin": CORS_ORIGIN})
    _check_problem(answer, 413, "request_too_large")
    assert f"{MAX_REQUEST_BYTES:,}" in answer.json()["detail"]
    assert answer.headers["Access-Control-Allow-Origin"] == CORS_ORIGIN
    other = browser.post("/insert", content=bytes(MAX_REQUEST_BYTES + 1), headers={"Origin": "https://other.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_vectors_travel_past_the_limit_of_other_requests(browser: httpx.Client) -> None:
    key = {"X-API-Key": ADMIN_KEY}
    inserted = browser.post("/insert", content=jpeg(draw((90, 10, 60))), headers={**key, "Content-Type": "image/jpeg"})
    assert inserted.status_code in (200, 201)
    link = browser.post("/export", headers=key).json()["url"]
    assert link.startswith(str(browser.base_url))
    exported = browser.get(link)
    assert exported.status_code == 200
    assert exported.content.startswith(b"\x89HDF")
    large = exported.content + bytes(MAX_REQUEST_BYTES)
    answer = browser.post("/import", content=large, headers={**key, "Content-Type": "application/x-hdf5"})
    # Whatever the application makes of it, it has come there.
    assert answer.status_code in (202, 422), answer.text
    refused = browser.post("/import", content=large, headers={"Content-Type": "application/x-hdf5"})
    _check_problem(refused, 401, "invalid_key")


def test_the_largest_body_is_the_applications_default() -> None:
    text = (DEPLOY / "nginx" / "start").read_text()
    default = Settings().http_server.max_request_bytes
    assert f"bytes=${{MAX_REQUEST_BYTES:-{default}}}" in text
    assert (DEPLOY / "nginx" / "page-policy").read_text().strip() == PAGE_POLICY


def test_requests_that_cannot_be_read_are_problems_too(front: Web, browser: httpx.Client) -> None:
    _check_problem(browser.get("/search", headers={"X-Long": "x" * 20_000}), 400, "bad_request")
    _check_problem(browser.post("/index.html"), 405, "method_not_allowed")
    port = urlsplit(front.https).port
    answer = httpx.get(f"http://localhost:{port}/search", trust_env=False)
    _check_problem(answer, 400, "bad_request")
    with (
        socket.create_connection(("localhost", port)) as plain,
        front.trust.wrap_socket(plain, server_hostname="localhost") as raw,
    ):
        raw.sendall(b'GET /a"b\\c HTTP/1.1\r\nBad Header\r\n\r\n')
        reply = b""
        while piece := raw.recv(65_536):
            reply += piece
    assert reply.startswith(b"HTTP/1.1 400"), reply
    json.loads(reply.split(b"\r\n\r\n", 1)[1])


def test_an_address_full_of_quotes_gives_a_document_all_the_same(tmp_path: Path) -> None:
    with nobody_there() as nobody, web(tmp_path, nobody) as running, client_of(running) as client:
        answer = client.get('/x"y\\z"?a="b')
        _check_problem(answer, 503, "backend_unavailable")
        assert answer.json()["instance"] == "/x" or "%22" not in answer.json()["instance"]


def test_a_dead_application_is_a_503_with_retry_after_at_once(tmp_path: Path) -> None:
    with nobody_there() as nobody, web(tmp_path, nobody) as running, client_of(running) as client:
        for method, path in (("GET", "/status"), ("POST", "/search"), ("POST", "/insert"), ("DELETE", "/images/ab")):
            answer = client.request(method, path)
            _check_problem(answer, 503, "backend_unavailable")
            assert answer.headers["Retry-After"] == "5"
            assert answer.json()["instance"] == path
        assert client.get("/").status_code == 200


def test_what_opens_something_is_in_no_log(tmp_path: Path) -> None:
    with nobody_there() as nobody, web(tmp_path, nobody) as running, client_of(running) as client:
        for path in ("/images/ab/file?sig=secret", "/images/ab/thumbnail?sig=secret", "/export?ticket=secret"):
            _check_problem(client.get(path), 503, "backend_unavailable")
        client.get("/status?said=aloud")
    log = running.log.read_text()
    # The application's absence is told all the same.
    assert re.search(r"connect\(\) failed .*said=aloud", log)
    assert "secret" not in log


def test_a_server_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with (
        upstream(OK, threading.Event()) as (server, requests),
        web(tmp_path, server, ANSWER_S="1") as running,
        client_of(running) as client,
    ):
        _check_problem(client.post("/search"), 503, "backend_unavailable")
        # It may be at work on it: asking a second one would double the load.
        assert len(requests) == 1


@pytest.mark.parametrize(
    ("method", "path", "times"), [("GET", "/status", 2), ("POST", "/search", 2), ("POST", "/insert", 1)]
)
def test_what_breaks_off_is_asked_again_where_it_may_be_repeated(
    tmp_path: Path, method: str, path: str, times: int
) -> None:
    with (
        upstream(None) as (server, requests),
        # A busy machine may take longer than two seconds to break off.
        web(tmp_path, server, AGAIN_S="3600") as running,
        client_of(running) as client,
    ):
        _check_problem(client.request(method, path, content=b"{}"), 503, "backend_unavailable")
        assert len(requests) == times


def test_the_applications_own_502_and_503_pass_as_they_are(tmp_path: Path) -> None:
    body = b'{"code":"url_fetch_failed"}'
    head = b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(
        body
    )
    with upstream(head + body) as (server, _), web(tmp_path, server) as running, client_of(running) as client:
        answer = client.post("/search")
        assert (answer.status_code, answer.content) == (502, body)


def test_too_many_requests_are_told_to_wait(tmp_path: Path) -> None:
    with (
        upstream(OK) as (server, _),
        web(tmp_path, server, RATE_PER_ADDRESS="1", RATE_PER_KEY="1") as running,
        client_of(running) as client,
    ):
        refused = _until_refused(lambda n: client.post("/search", headers={"X-API-Key": f"invented {n}"}))
        _check_problem(refused, 429, "too_many_requests")
        assert refused.headers["Retry-After"] == "1"
        # Pictures of the page and who watches the service are not counted.
        assert all(client.get(path).status_code == 200 for path in ("/livez", "/readyz", "/images/ab/thumbnail") * 5)


def test_one_key_from_many_addresses_has_one_allowance(tmp_path: Path) -> None:
    with (
        upstream(OK) as (server, _),
        web(tmp_path, server, RATE_PER_ADDRESS="1000", RATE_PER_KEY="1", TRUSTED_PROXIES="127.0.0.1") as running,
        client_of(running) as client,
    ):

        def ask(key: dict[str, str], n: int) -> httpx.Response:
            return client.post("/search", headers={**key, "X-Forwarded-For": f"10.0.{n // 250}.{n % 250}"})

        _until_refused(lambda n: ask({"Authorization": "Bearer one"}, n))
        # Another key has an allowance of its own, and without a key only the address counts.
        assert [ask({"X-API-Key": "other"}, n).status_code for n in range(4)] == [200] * 4
        assert [ask({}, n).status_code for n in range(12)] == [200] * 12


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2:{:x}::5", "2001:db8:1:3::5"),
        ("2001:db8:1:2:3:4:5:{:x}", "2001:db8:1:3:3:4:5:6"),
        ("2001:db8::{:x}:6:7:8", "2001:db9::5:6:7:8"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2"),
    ],
)
def test_a_network_of_ipv6_has_the_allowance_of_one_address(tmp_path: Path, one: str, other: str) -> None:
    with (
        upstream(OK) as (server, _),
        web(tmp_path, server, RATE_PER_ADDRESS="1", TRUSTED_PROXIES="127.0.0.1") as running,
        client_of(running) as client,
    ):
        _until_refused(lambda n: client.post("/search", headers={"X-Forwarded-For": one.format(n + 1)}))
        assert client.post("/search", headers={"X-Forwarded-For": other}).status_code == 200


def test_too_many_at_once_are_told_to_wait(tmp_path: Path) -> None:
    done = threading.Event()
    with (
        upstream(OK, done) as (server, requests),
        web(tmp_path, server, AT_ONCE_PER_ADDRESS="1", ANSWER_S="3600") as running,
        client_of(running) as client,
    ):
        first = threading.Thread(target=client.post, args=("/search",), kwargs={"timeout": None})
        first.start()
        while not requests:
            time.sleep(0.05)
        _check_problem(client.post("/search"), 429, "too_many_requests")
        done.set()
        first.join()
        assert client.post("/search").status_code == 200


def test_behind_a_proxy_that_ends_tls(tmp_path: Path) -> None:
    with (
        upstream(OK) as (server, requests),
        web(tmp_path, server, TLS="off", TRUSTED_PROXIES="127.0.0.0/8") as running,
    ):
        headers = {"X-Forwarded-For": "9.9.9.9", "X-Forwarded-Proto": "https"}
        assert httpx.get(f"{running.http}/status", headers=headers, trust_env=False).status_code == 200
    lines = requests[0].decode().split("\r\n")
    assert "X-Forwarded-For: 9.9.9.9" in lines
    assert "X-Forwarded-Proto: https" in lines


def test_old_tls_is_refused(front: Web) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("localhost", urlsplit(front.https).port or 0)) as plain, pytest.raises(ssl.SSLError):
        old.wrap_socket(plain, server_hostname="localhost")
