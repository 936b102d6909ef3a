"""A picture by its URL: what may be fetched, and which addresses are refused, over real connections."""

from __future__ import annotations

import gzip
import itertools
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from image_search.errors import ConfigError, FetchError, InvalidParameter, NotAdmitted
from image_search.fetching import UrlFetcher, UrlPolicy
from tests.unit.test_urls import BAD_FORM, NO_ADDRESS
from tests.url_servers import (
    HURRIED,
    PATIENT,
    PICTURE,
    Peer,
    Script,
    Serve,
    allowing,
    always,
    answer,
    chunked,
    local,
    redirect,
    refusal,
)


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every address that a connection was tried to, in order."""
    tried: list[tuple[str, int]] = []
    real = socket.create_connection

    def connect(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        tried.append(address)
        return real(address, *args, **options)

    monkeypatch.setattr(socket, "create_connection", connect)
    return tried


# What may be fetched


def test_an_allow_listed_host_gives_its_exact_bytes(serve: Serve) -> None:
    server = serve(answer())
    assert allowing(server).fetch(local(server, "/a%20b.jpg?size=1#part")) == PICTURE
    head = server.requests[0].decode().split("\r\n")
    assert head[0] == "GET /a%20b.jpg?size=1 HTTP/1.1"
    assert {line.lower() for line in head[1:] if line} == {
        f"host: 127.0.0.1:{server.port}",
        "accept: image/*,*/*;q=0.5",
        "accept-encoding: identity",
        "user-agent: image-search",
        "connection: close",
    }


@pytest.mark.parametrize("allow", ["127.0.0.0/8", "127.0.0.1", "nas.lan, 127.0.0.1/32"])
@pytest.mark.parametrize("mode", ["public", "allowlist"])
def test_an_allow_listed_network_is_reached_at_the_usual_ports(serve: Serve, mode: Any, allow: str) -> None:
    server = serve(answer())
    policy = replace(PATIENT, mode=mode, allow=tuple(allow.split(", ")), ports=(server.port,))
    assert UrlFetcher(policy, resolve=always("127.0.0.1")).fetch(f"http://here.example:{server.port}/") == PICTURE


@pytest.mark.parametrize(
    "sent",
    [
        chunked(PICTURE[:100], PICTURE[100:]),
        answer(length=False),
        answer(PICTURE, "Content-Encoding: identity", "Content-Type: text/plain"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + answer(),
        b"HTTP/1.0 200\r\n\r\n" + PICTURE,
        answer() + b"more than was said",
    ],
)
def test_a_body_may_come_in_any_framing(serve: Serve, sent: bytes) -> None:
    server = serve(sent)
    assert allowing(server).fetch(local(server)) == PICTURE


def test_a_compressed_file_is_not_unpacked(serve: Serve) -> None:
    bomb = gzip.compress(bytes(10_000_000))
    server = serve(answer(bomb))
    assert allowing(server, policy=replace(PATIENT, max_bytes=100_000)).fetch(local(server)) == bomb


def test_several_threads_at_once_get_each_their_own(serve: Serve) -> None:
    server = serve(lambda peer: peer.sock.sendall(answer(peer.path.encode() * 5000)))
    fetcher = allowing(server, resolve=always("127.0.0.1"))
    paths = [f"/{number}" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        bodies = pool.map(lambda path: fetcher.fetch(f"http://name.example:{server.port}{path}"), paths)
    assert list(bodies) == [path.encode() * 5000 for path in paths]


def test_a_public_name_is_asked_at_the_address_that_was_checked(
    serve: Serve, connected: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer())
    real = socket.create_connection

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        if address[0] == "93.184.215.14":
            return real(("127.0.0.1", server.port), timeout)
        raise OSError("no route")

    monkeypatch.setattr(socket, "create_connection", lambda a, timeout: (connected.append(a), connect(a, timeout))[1])
    fetcher = UrlFetcher(PATIENT, resolve=always("2606:4700::1111", "93.184.215.14"))
    assert fetcher.fetch("HTTP://Pictures.EXAMPLE./x.jpg") == PICTURE
    assert connected[:2] == [("2606:4700::1111", 80), ("93.184.215.14", 80)]
    assert b"\r\nHost: pictures.example\r\n" in server.requests[0]


# Addresses that must be refused

BLOCKED = (
    "http://127.0.0.1/",
    "http://127.0.0.1./",
    "https://127.0.0.1/",
    "http://[::1]/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://10.0.0.1/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[fd00::1]/",
    "http://[fe80::1]/",
    "http://①②⑦.⓪.⓪.①/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://private.example/",
    "http://mixed.example/",
    "http://bücher.example/",
    "http://nowhere.example/",
    "http://empty.example/",
    "http://nonsense.example/",
)
ANSWERS = {
    "localhost": ["127.0.0.1", "::1"],
    "private.example": ["192.168.1.20"],
    "mixed.example": ["1.1.1.1", "10.0.0.1"],
    "xn--bcher-kva.example": ["127.0.0.1"],
    "empty.example": [],
    "nonsense.example": ["not an address"],
}


def directory(name: str, port: int) -> list[str]:
    if name not in ANSWERS:
        raise socket.gaierror(socket.EAI_NONAME, "secret resolver text")
    return ANSWERS[name]


@pytest.mark.parametrize("url", BLOCKED)
def test_an_address_that_is_not_public_is_refused_without_a_connection(
    url: str, connected: list[tuple[str, int]]
) -> None:
    error = refusal(UrlFetcher(PATIENT, resolve=directory), url)
    assert not error.retryable
    assert connected == []


@pytest.mark.parametrize("url", NO_ADDRESS + BAD_FORM + ("http://1.1.1.1:22/", "http://private.example:8080/"))
def test_no_address_by_its_form(url: str, connected: list[tuple[str, int]]) -> None:
    with pytest.raises(InvalidParameter):
        UrlFetcher(PATIENT, resolve=directory).fetch(url)
    assert connected == []


SENDABLE = [url for url in BAD_FORM if url.isprintable()]


@pytest.mark.parametrize("url", [*BLOCKED, *SENDABLE, "http://1.1.1.1:22/", "http://1.1.1.1/\tx", "\x80", ""])
def test_a_redirect_to_any_of_these_is_refused(url: str, serve: Serve, connected: list[tuple[str, int]]) -> None:
    server = serve(redirect(url))
    refusal(allowing(server, resolve=directory), local(server))
    assert connected == [("127.0.0.1", server.port)]


def test_a_name_that_changes_its_answer_is_asked_once(serve: Serve, connected: list[tuple[str, int]]) -> None:
    good = serve(answer())
    inside = serve(answer(b"secret"), host="127.0.0.2", port=good.port)
    answers = itertools.chain([["127.0.0.1"]], itertools.repeat(["127.0.0.2"]))
    asked: list[str] = []

    def resolve(name: str, port: int) -> list[str]:
        asked.append(name)
        return next(answers)

    fetcher = allowing(good, resolve=resolve)
    assert fetcher.fetch(f"http://rebinding.example:{good.port}/") == PICTURE
    assert (asked, connected) == (["rebinding.example"], [("127.0.0.1", good.port)])
    refusal(fetcher, f"http://rebinding.example:{good.port}/")
    assert inside.accepted == 0


def test_the_allow_list_admits_what_it_says_and_nothing_else(connected: list[tuple[str, int]]) -> None:
    policy = replace(HURRIED, mode="allowlist", allow=("pictures.example", "192.168.1.20:8080"))
    for url, address in [
        ("http://other.example/", "1.1.1.1"),
        ("http://1.1.1.1/", ""),
        ("http://sub.pictures.example/", "1.1.1.1"),
        ("http://pictures.example:8080/", "1.1.1.1"),
        ("http://192.168.1.20/", ""),
        ("http://192.168.1.21:8080/", ""),
        ("http://[::ffff:192.168.1.20]:8080/", ""),
        *(("http://pictures.example/", inside) for inside in ("127.0.0.1", "169.254.169.254", "fd00:ec2::254", "::1")),
    ]:
        refusal(UrlFetcher(policy, resolve=always(address)), url)
    assert connected == []


def test_a_listed_name_may_lead_into_the_lan(monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    server, real = serve(answer()), socket.create_connection
    asked: list[Any] = []
    monkeypatch.setattr(
        socket,
        "create_connection",
        lambda address, timeout: (asked.append(address), real(("127.0.0.1", server.port), timeout))[1],
    )
    fetcher = UrlFetcher(replace(PATIENT, mode="allowlist", allow=("nas.lan",)), resolve=always("192.168.1.20"))
    assert fetcher.fetch("http://nas.lan/") == PICTURE
    assert asked == [("192.168.1.20", 80)]


@pytest.mark.parametrize(
    ("url", "address", "mode"),
    [
        ("http://nas.lan/", "192.168.1.20", "public"),
        ("http://nas.lan:8080/", "192.168.1.20", "public"),
        ("http://pictures.example:8080/", "1.1.1.1", "public"),
        ("http://pictures.example/", "1.1.1.1", "allowlist"),
        ("http://localhost:8080/", "127.0.0.1", "public"),
        ("http://localhost/", "::1", "public"),
        ("http://[fd00::7]/", "", "public"),
        ("http://192.168.1.20:81/", "", "public"),
        ("http://169.254.1.1/", "", "allowlist"),
    ],
)
def test_a_refusal_names_the_entry_that_admits_the_address(
    url: str, address: str, mode: Any, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    server, real = serve(answer()), socket.create_connection
    monkeypatch.setattr(
        socket, "create_connection", lambda _address, timeout: real(("127.0.0.1", server.port), timeout)
    )
    allow: tuple[str, ...] = ("other.example",)
    # The port is judged first, then where the name leads.
    for _ in range(3):
        try:
            fetched = UrlFetcher(replace(PATIENT, mode=mode, allow=allow), resolve=always(address)).fetch(url)
            break
        except (FetchError, NotAdmitted) as error:
            assert error.admitted_by not in ("", *allow)
            allow = (*allow, error.admitted_by)
    assert fetched == PICTURE
    assert len(allow) > 1


def test_switched_off_it_says_so() -> None:
    with pytest.raises(InvalidParameter, match="switched off"):
        UrlFetcher(UrlPolicy(mode="off")).fetch("http://example.com/")


def test_a_wrong_allow_list_is_found_at_the_start() -> None:
    with pytest.raises(ConfigError, match=r"'192\.168\.1\.7/24'"):
        UrlFetcher(UrlPolicy(allow=("192.168.1.7/24",)))


# Redirects


def hops(server_count: int) -> Script:
    """/0 leads to /1 and so on; the last is the picture."""

    def script(peer: Peer) -> None:
        number = int(peer.path[1:])
        peer.sock.sendall(redirect(f"/{number + 1}") if number < server_count else answer())

    return script


@pytest.mark.parametrize("status", ["301 a", "302 b", "303 c", "307 d", "308 e"])
def test_redirects_are_followed_and_keep_no_cookie(serve: Serve, status: str) -> None:
    last = serve(answer())
    first = serve(answer(b"", f"Location: {local(last, '/图.jpg')}", "Set-Cookie: id=1; Path=/", status=status))
    assert allowing(first, last).fetch(local(first)) == PICTURE
    assert last.requests[0].startswith(b"GET /%E5%9B%BE.jpg HTTP/1.1\r\n")
    assert b"cookie" not in last.requests[0].lower()
    assert b"referer" not in last.requests[0].lower()


def test_the_third_redirect_is_followed_and_the_fourth_is_not(serve: Serve) -> None:
    server = serve(hops(3))
    assert allowing(server).fetch(local(server, "/0")) == PICTURE
    server = serve(hops(4))
    refusal(allowing(server), local(server, "/0"))
    assert len(server.requests) == 4
    server = serve(redirect("/x.jpg"))
    refusal(allowing(server), local(server))
    assert len(server.requests) == 4, "a loop"


def test_a_redirect_is_resolved_and_checked_anew(serve: Serve) -> None:
    server = serve(redirect("/again"))
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    refusal(allowing(server, resolve=lambda name, port: next(answers)), f"http://turning.example:{server.port}/")
    assert len(server.requests) == 1


def test_a_look_up_that_hangs_is_left_in_time(connected: list[tuple[str, int]]) -> None:
    released = threading.Event()

    def resolve(name: str, port: int) -> list[str]:
        released.wait(60)
        return ["1.1.1.1"]

    try:
        assert refusal(UrlFetcher(HURRIED, resolve=resolve), "http://slow.example/").retryable
    finally:
        released.set()
    assert connected == []
