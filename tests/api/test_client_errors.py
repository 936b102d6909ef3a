"""The Python client where things go wrong: every problem, connections that fail, and what is sent again."""

from __future__ import annotations

import inspect
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask

from image_search.api.app import create_app
from image_search.client import (
    ApiError,
    Client,
    ClientError,
    Conflict,
    FetchFailed,
    InvalidKey,
    InvalidRequest,
    NotFound,
    Rejected,
    ServerError,
    TooManyRequests,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
)
from image_search.client import http as client_http
from image_search.client.errors import error_of
from image_search.config import load_settings
from image_search.errors import VectorStoreError
from image_search.wiring import Services
from tests.api.helpers import ADMIN_KEY, NEW, RED, USER_KEY, png_claiming

Serve = Callable[[Flask], tuple[str, int]]
Make = Callable[..., Client]


class Stumbling(httpx.BaseTransport):
    """A network that first does what it is told to, one thing for each request, and then reaches the application."""

    def __init__(self, app: Flask, *stumbles: httpx.Response | type[Exception]) -> None:
        self.requests: list[str] = []
        self._stumbles = list(stumbles)
        self._real = httpx.WSGITransport(app=app)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url.path)
        if not self._stumbles:
            return self._real.handle_request(request)
        stumble = self._stumbles.pop(0)
        if isinstance(stumble, httpx.Response):
            return stumble
        raise stumble("so it was told")


def busy(status: int, after: str | None = "0") -> httpx.Response:
    return httpx.Response(status, headers={} if after is None else {"Retry-After": after}, text="<p>busy</p>")


@pytest.fixture
def make(tmp_path: Path, changes: dict[str, str], stocked: Services) -> Iterator[Make]:
    """A client of an application with other settings: make(key, security__user_key="...")."""
    made = []

    def client(key: str = ADMIN_KEY, *stumbles: Any, retries: int = 2, **more: str) -> Client:
        named = {name.replace("__", "."): value for name, value in more.items()}
        settings = load_settings(environ={}, overrides={"library.data_dir": str(tmp_path / "data"), **changes, **named})
        transport = Stumbling(create_app(settings, stocked), *stumbles)
        made.append(Client("http://localhost", key=key, retries=retries, transport=transport))
        made[-1].requests = transport.requests  # type: ignore[attr-defined]
        return made[-1]

    yield client
    for one in made:
        one.close()


def sent(client: Client) -> int:
    return len(client.requests)  # type: ignore[attr-defined]


def test_a_key_that_is_missing_wrong_or_too_small(make: Make) -> None:
    for key, status, code in (("", 401, "invalid_key"), ("wrong", 401, "invalid_key"), (USER_KEY, 403, "forbidden")):
        with pytest.raises(InvalidKey) as caught:
            make(key, security__user_key=USER_KEY).delete("0" * 64)
        assert (caught.value.status, caught.value.code) == (status, code)
        assert "wrong" not in str(caught.value)
    with pytest.raises(InvalidKey):
        make("", security__user_key=USER_KEY).search(RED)
    assert make(USER_KEY, security__user_key=USER_KEY).search(RED).results


def test_what_is_not_there(make: Make) -> None:
    client = make()
    for ask, code in (
        (lambda: client.image("0" * 64), "image_not_found"),
        (lambda: client.search(RED, collection="elsewhere"), "collection_not_found"),
        (lambda: client.job("nowhere"), "job_not_found"),
        (lambda: list(client.job_failures("nowhere")), "job_not_found"),
    ):
        with pytest.raises(NotFound) as caught:
            ask()
        assert caught.value.code == code
        assert len(caught.value.request_id) >= 8
        assert caught.value.request_id in str(caught.value)


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (b"no picture", 415, "unsupported_format"),
        (NEW[:300], 422, "invalid_image"),
        (png_claiming(100_000, 100_000), 413, "image_too_large"),
        (b"\0" * 30_000, 413, "image_too_large"),
        (b"\0" * 70_000, 413, "request_too_large"),
    ],
)
def test_a_picture_that_is_not_accepted(make: Make, image: bytes, status: int, code: str) -> None:
    client = make(http_server__max_image_bytes="20_000", http_server__max_request_bytes="60_000")
    for ask in (client.search, client.insert):
        with pytest.raises(Rejected) as caught:
            ask(image)
        assert (caught.value.status, caught.value.code) == (status, code)
    assert sent(client) == 2


def test_every_wrong_field_is_named(make: Make) -> None:
    with pytest.raises(Rejected) as caught:
        make().search(RED, top_k=0, min_score=7, filter={"colour": "red"})
    assert {one.field for one in caught.value.errors} == {"top_k", "min_score", "filter"}
    with pytest.raises(Rejected) as caught:
        make().search(RED, image_id="0" * 64)
    assert caught.value.errors


def test_the_other_problems(make: Make, stocked: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FetchFailed) as fetched:
        make().search(image_url="http://127.0.0.1/x.jpg")
    assert fetched.value.status == 502
    client = make(security__requests_per_minute="1", retries=0)
    client.search(RED)
    with pytest.raises(TooManyRequests) as limited:
        client.search(RED)
    assert limited.value.retry_after_s is not None
    assert limited.value.retry_after_s > 0
    job = make().start_indexing()
    with pytest.raises(Conflict):
        make().retry_job(job.id)

    def away(*_args: object, **_more: object) -> None:
        raise VectorStoreError("gone", retryable=True)

    with monkeypatch.context() as patched:
        patched.setattr(stocked.store, "list_records", away)
        with pytest.raises(Unavailable) as unavailable:
            next(make(retries=0).images())
        assert unavailable.value.code == "vector_store_unavailable"
        assert unavailable.value.retry_after_s == 5
    monkeypatch.setattr(stocked.store, "list_records", lambda *_args, **_more: 1 // 0)
    defect = make()
    with pytest.raises(ServerError) as broken:
        next(defect.images())
    assert (broken.value.status, broken.value.code) == (500, "internal_error")
    assert sent(defect) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Rejected),
        (401, InvalidKey),
        (418, Rejected),
        (451, Rejected),
        (499, Rejected),
        (500, ServerError),
        (502, Unavailable),
        (504, Unavailable),
        (599, ServerError),
    ],
)
def test_a_proxy_that_answers_without_a_problem_document(make: Make, status: int, kind: type[ApiError]) -> None:
    with pytest.raises(kind) as caught:
        make(ADMIN_KEY, httpx.Response(status, text="<html>"), retries=0).status()
    assert (caught.value.status, caught.value.code) == (status, "")
    assert str(status) in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>another program</html>"),
        httpx.Response(200, json=[1, 2]),
        httpx.Response(200, json={"ok": True}),
        httpx.Response(200, json={"collection": 7}),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.Response(204),
        httpx.Response(307, headers={"Location": "https://elsewhere.example/status"}),
    ],
)
def test_what_answers_is_another_program(make: Make, answer: httpx.Response) -> None:
    client = make(ADMIN_KEY, answer)
    with pytest.raises(UnexpectedAnswer):
        client.status()
    assert sent(client) == 1


@pytest.mark.parametrize(
    ("document", "what"),
    [
        ({"images": [{"id": 7}]}, "'id'"),
        ({"images": [{}]}, "'id'"),
        ({"images": ["x"]}, "ImageInfo"),
        ({"images": {}}, "'images'"),
    ],
)
def test_what_an_answer_lacks_is_named(make: Make, document: dict[str, Any], what: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=what):
        make(ADMIN_KEY, httpx.Response(200, json=document)).random()


def test_a_time_that_is_none_and_a_batch_that_lost_an_item(make: Make) -> None:
    document = dict(next(make().images()).raw)
    with pytest.raises(UnexpectedAnswer, match="yesterday"):
        make(ADMIN_KEY, httpx.Response(200, json={**document, "created_at": "yesterday"})).image(document["id"])
    with pytest.raises(UnexpectedAnswer, match="batch of 2"):
        make(ADMIN_KEY, httpx.Response(200, json={"results": [document]})).search_batch([{"text": "a"}, {"text": "b"}])


def test_a_problem_with_other_types_than_promised_is_still_one() -> None:
    error = error_of(422, {"code": 7, "detail": None, "errors": [3, {"field": "x"}], "request_id": []})
    assert (error.code, error.detail, error.errors[0].field, error.request_id) == ("", "Unprocessable Entity", "x", "")


LOST_BEFORE = [httpx.ConnectError, httpx.ConnectTimeout]
LOST_AFTER = [httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError, httpx.WriteError]


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_http, "FIRST_WAIT_S", 0.001)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("stumble", [busy(503), busy(429), busy(502), busy(504, None), *LOST_BEFORE, *LOST_AFTER])
def test_what_changes_nothing_is_sent_again(make: Make, stumble: Any) -> None:
    for ask in (
        lambda client: client.search(RED).results,
        lambda client: client.search_batch([{"image": RED}]),
        lambda client: client.check(RED),
        lambda client: client.status(),
        lambda client: next(client.images()),
    ):
        client = make(ADMIN_KEY, stumble, stumble)
        assert ask(client)
        assert sent(client) == 3


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize("stumble", [busy(429), *LOST_BEFORE])
def test_a_change_is_sent_again_where_it_was_surely_not_made(make: Make, stumble: Any) -> None:
    client = make(ADMIN_KEY, stumble)
    assert client.insert(NEW).status == "created"
    assert sent(client) == 2


@pytest.mark.parametrize("stumble", [busy(503), busy(502), *LOST_AFTER])
def test_a_change_that_may_have_been_made_is_not_sent_again(make: Make, stumble: Any) -> None:
    for ask in (
        lambda client: client.insert(NEW),
        lambda client: client.insert_batch([{"image": NEW}]),
        lambda client: client.update("0" * 64, title="x"),
        lambda client: client.delete("0" * 64),
        lambda client: client.restore("0" * 64),
        lambda client: client.start_indexing(),
    ):
        client = make(ADMIN_KEY, stumble)
        with pytest.raises((Unreachable, Unavailable)) as caught:
            ask(client)
        assert sent(client) == 1
        assert not isinstance(caught.value, Unreachable) or caught.value.maybe_done


@pytest.mark.usefixtures("_quick")
def test_an_end_to_trying(make: Make) -> None:
    client = make(ADMIN_KEY, *[httpx.ConnectError] * 9, retries=3)
    with pytest.raises(Unreachable):
        client.status()
    assert sent(client) == 4
    client = make(ADMIN_KEY, busy(503), retries=0)
    assert not client.is_ready()
    assert client.is_ready()
    client = make(ADMIN_KEY, httpx.ReadTimeout)
    assert not client.is_ready()
    assert sent(client) == 1


def test_the_time_that_the_service_asks_for_is_waited(make: Make) -> None:
    client, begun_s = make(ADMIN_KEY, busy(503, "1")), time.monotonic()
    client.status()
    assert 1 <= time.monotonic() - begun_s < 10
    past = datetime.now(UTC) - timedelta(seconds=3)
    for after in (format_datetime(past, usegmt=True), format_datetime(past.replace(tzinfo=None))):
        make(ADMIN_KEY, busy(503, after)).status()


@pytest.mark.parametrize("after", ["31", "86400", "9" * 400, "Fri, 01 Jan 2100 00:00:00 GMT"])
def test_nobody_waits_longer_than_half_a_minute(make: Make, after: str) -> None:
    client, begun_s = make(ADMIN_KEY, busy(503, after)), time.monotonic()
    with pytest.raises(Unavailable) as caught:
        client.status()
    assert caught.value.retry_after_s is not None
    assert caught.value.retry_after_s > 30
    assert time.monotonic() - begun_s < 5
    assert sent(client) == 1


@pytest.mark.parametrize("after", [None, "", "soon", "-3", "1.5", "٣"])
def test_without_a_time_it_waits_longer_each_time(after: str | None) -> None:
    headers = {} if after is None else {"Retry-After": after.encode()}
    asked = client_http._retry_after_s(httpx.Response(503, headers=headers))
    assert asked is None
    waits = [client_http.waiting_s(Unavailable(503, retry_after_s=asked), done) for done in range(4)]
    assert waits == [0.5, 1, 2, 4]


def test_every_exception_of_httpx_has_one_of_ours() -> None:
    theirs = {
        value
        for name in httpx.__all__
        if inspect.isclass(value := getattr(httpx, name)) and issubclass(value, Exception)
    }
    assert len(theirs) > 20
    assert theirs <= set(client_http.FAILURES), "a new one: is a request that it ends sent, lost or impossible?"
    for error in client_http.FAILURES:
        assert type(client_http.translated(error.__new__(error), "http://x")) in (
            Unreachable,
            UnexpectedAnswer,
            InvalidRequest,
        )
    assert not client_http.translated(httpx.ConnectTimeout(""), "http://x").args[1]
    assert client_http.translated(httpx.ReadTimeout(""), "http://x").args[1]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "localhost:5000",
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://[::1",
        "http://\ud800/",
        "http://x?y=1",
        "http://x/#a",
        "http://x\n.example",
        "//x",
    ],
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InvalidRequest, match="base_url"):
        Client(address)


@pytest.mark.parametrize("key", ["a\nb", "schlüssel", "\0x"])
def test_a_key_that_is_none_is_not_shown(key: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Client("http://localhost", key=key)
    assert key not in str(caught.value)


def test_nothing_secret_is_shown_and_errors_travel_between_processes(make: Make) -> None:
    client = Client("http://me:secret@127.0.0.1:1", key=ADMIN_KEY, retries=0)
    with pytest.raises(Unreachable) as lost:
        client.status()
    for shown in (repr(client), str(lost.value), repr(lost.value)):
        assert "secret" not in shown
        assert ADMIN_KEY not in shown
    with pytest.raises(NotFound) as caught:
        make().image("0" * 64)
    for error in (caught.value, lost.value):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.__dict__) == (type(error), str(error), error.__dict__)


def test_a_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", retries=0) as client:
        assert not client.is_ready()
        with pytest.raises(Unreachable, match=str(port)) as caught:
            client.insert(NEW)
        assert not caught.value.maybe_done
        assert isinstance(caught.value, ClientError)
    for host in ("no-such-host.invalid", "a" * 70 + ".example"):
        with Client(f"http://{host}", retries=0) as client, pytest.raises((Unreachable, InvalidRequest)):
            client.status()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"SSH-2.0-x\r\n"])
def test_a_connection_that_breaks(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(said)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(address, retries=0) as client, pytest.raises(Unreachable) as caught:
            client.delete("0" * 64)
        thread.join(5)
    assert caught.value.maybe_done


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        with Client(address, retries=0, timeout_s=0.1) as client, pytest.raises(Unreachable) as caught:
            client.insert(NEW)
    assert caught.value.maybe_done


def test_over_a_real_socket_from_several_threads(app: Flask, serve: Serve) -> None:
    host, port = serve(app)
    with Client(f"http://{host}:{port}/", key=ADMIN_KEY) as client:
        assert client.is_ready()
        stored = client.insert(NEW, title="写真")
        assert stored.url.startswith(f"http://{host}:{port}/images/")
        with ThreadPoolExecutor(4) as pool:
            firsts = list(pool.map(lambda _: client.search(NEW, top_k=1).results[0], range(12)))
        assert {(hit.id, hit.title) for hit in firsts} == {(stored.id, "写真")}
        assert client.file(stored.id) == NEW
        assert len(list(client.images(page_size=3))) == 16
        assert not client.thumbnail(stored.id).startswith(b"{")


@pytest.mark.parametrize("what", ["invalid key", "too large"])
def test_a_refusal_is_heard_although_much_is_still_being_sent(
    tmp_path: Path, changes: dict[str, str], stocked: Services, serve: Serve, what: str
) -> None:
    settings = load_settings(
        environ={},
        overrides={
            "library.data_dir": str(tmp_path / "data"),
            **changes,
            "http_server.max_request_bytes": "2_000_000",
            "http_server.max_image_bytes": "1_000_000",
        },
    )
    host, port = serve(create_app(settings, stocked))
    kind, key = {"invalid key": (InvalidKey, "wrong"), "too large": (Rejected, ADMIN_KEY)}[what]
    with Client(f"http://{host}:{port}", key=key, retries=0) as client, pytest.raises(kind):
        client.insert(bytes(3_000_000))
