"""What is behind a URL as a stream: resumed, a redirect at a time, and why it could not be had."""

from __future__ import annotations

from dataclasses import replace

import pytest

from image_search.errors import ConfigError, FetchError, ImageTooLarge
from image_search.fetching import NOT_FETCHED, UrlFetcher, UrlPolicy
from tests.url_servers import HURRIED, PATIENT, Peer, Serve, allowing, always, answer, local, redirect

WHOLE = bytes(range(256)) * 40


def part(start: int, *headers: str, total: str = str(len(WHOLE))) -> bytes:
    return answer(
        WHOLE[start:],
        f"Content-Range: bytes {start}-{len(WHOLE) - 1}/{total}",
        *headers,
        status="206 Partial Content",
    )


def header(request: bytes, name: str) -> str | None:
    lines = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:] if ": " in line)
    return lines.get(name)


def failure(fetcher: UrlFetcher, url: str, **options: int) -> FetchError:
    with pytest.raises(FetchError) as caught, fetcher.open(url, **options) as opened:  # type: ignore[arg-type]
        list(opened.chunks)
    assert str(caught.value) == NOT_FETCHED
    return caught.value


def test_a_whole_answer_tells_its_size_and_what_stands_for_it(serve: Serve) -> None:
    server = serve(answer(WHOLE, 'ETag: "v1"', "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT"))
    with allowing(server).open(local(server)) as opened:
        assert (opened.start, opened.total_bytes, opened.validator) == (0, len(WHOLE), '"v1"')
        assert (opened.moved, opened.url) == (False, local(server))
        assert b"".join(opened.chunks) == WHOLE
    assert header(server.requests[0], "Range") is None


@pytest.mark.parametrize("same_as", ['"v1"', ""])
def test_it_goes_on_where_it_was(serve: Serve, same_as: str) -> None:
    server = serve(part(1000))
    with allowing(server).open(local(server), start=1000, same_as=same_as) as opened:
        assert (opened.start, opened.total_bytes) == (1000, len(WHOLE))
        assert b"".join(opened.chunks) == WHOLE[1000:]
    assert header(server.requests[0], "Range") == "bytes=1000-"
    assert header(server.requests[0], "If-Range") == (same_as or None)


def test_a_server_may_begin_again(serve: Serve) -> None:
    server = serve(answer(WHOLE))
    with allowing(server).open(local(server), start=1000, same_as='"old"') as opened:
        assert opened.start == 0
        assert b"".join(opened.chunks) == WHOLE


@pytest.mark.parametrize(
    "sent",
    [part(500), part(1001), answer(WHOLE, status="206 x"), part(1000, total="many")],
    ids=["before", "after", "unsaid", "no total"],
)
def test_a_part_that_was_not_asked_for_is_refused(serve: Serve, sent: bytes) -> None:
    server = serve(sent)
    assert failure(allowing(server), local(server), start=1000).reason == "a part that was not asked for"


def test_a_part_that_nobody_asked_for_is_refused(serve: Serve) -> None:
    server = serve(part(0))
    assert failure(allowing(server), local(server)).status == 206


def test_the_limit_is_about_the_whole(serve: Serve) -> None:
    server = serve(part(1000))
    fetcher = allowing(server, policy=replace(PATIENT, max_bytes=len(WHOLE) - 1))
    with pytest.raises(ImageTooLarge), fetcher.open(local(server), start=1000):
        pass
    server = serve(answer(WHOLE[1000:], f"Content-Range: bytes 1000-{len(WHOLE)}/*", status="206 x", length=False))
    fetcher = allowing(server, policy=replace(PATIENT, max_bytes=len(WHOLE) - 1))
    with pytest.raises(ImageTooLarge), fetcher.open(local(server), start=1000) as opened:
        list(opened.chunks)


def test_a_redirect_is_handed_back_unless_it_is_to_be_followed(serve: Serve) -> None:
    last = serve(answer(WHOLE))
    first = serve(redirect(local(last, "/new.jpg")))
    fetcher = allowing(first, last)
    with fetcher.open(local(first), follow=False) as opened:
        assert (opened.moved, opened.url, list(opened.chunks)) == (True, local(last, "/new.jpg"), [])
    assert last.accepted == 0
    with fetcher.open(local(first)) as opened:
        assert (opened.url, b"".join(opened.chunks)) == (local(last, "/new.jpg"), WHOLE)


def test_a_redirect_to_what_is_no_address_is_refused_either_way(serve: Serve) -> None:
    server = serve(redirect("file:///etc/passwd"))
    for follow in (True, False):
        with pytest.raises(FetchError), allowing(server).open(local(server), follow=follow):
            pass


@pytest.mark.parametrize(
    ("sent", "status", "retry_after_s", "retryable", "reason"),
    [
        (answer(b"", "Retry-After: 7", status="429 Slow"), 429, 7, True, "status 429"),
        (answer(b"", "Retry-After: 1", status="503 Busy"), 503, 1, True, "status 503"),
        (answer(b"", status="404 secret words"), 404, None, False, "status 404"),
        (answer(b"", "Content-Length: 10", length=False), None, None, True, "the answer was cut short"),
        (b"SSH-2.0-secret\r\n", None, None, False, "no HTTP answer that can be read"),
    ],
)
def test_an_error_says_what_happened_to_those_who_may_know(
    serve: Serve, sent: bytes, status: int | None, retry_after_s: float | None, retryable: bool, reason: str
) -> None:
    server = serve(sent)
    error = failure(allowing(server), local(server))
    assert (error.status, error.retry_after_s, error.retryable, error.reason) == (
        status,
        retry_after_s,
        retryable,
        reason,
    )


def test_an_address_inside_is_named_in_the_reason_only() -> None:
    error = failure(UrlFetcher(HURRIED, resolve=always("10.0.0.1")), "http://inside.example/")
    assert "10.0.0.1" in error.reason
    assert not error.retryable


def test_what_the_reader_does_wrong_is_not_the_network_s_fault(serve: Serve) -> None:
    server = serve(answer(WHOLE))
    with pytest.raises(OSError, match="disk full"), allowing(server).open(local(server)) as opened:
        for _ in opened.chunks:
            raise OSError("disk full")


def test_a_place_is_free_again_after_a_stream_that_was_left(serve: Serve) -> None:
    server = serve(answer(WHOLE))
    fetcher = allowing(server, policy=replace(PATIENT, at_once=1))
    for _ in range(3):
        with fetcher.open(local(server)):
            pass
    assert fetcher.fetch(local(server)) == WHOLE


def test_the_user_agent_is_what_the_policy_says(serve: Serve) -> None:
    server = serve(lambda peer: peer.sock.sendall(answer(agent(peer))))
    fetcher = allowing(server, policy=replace(PATIENT, user_agent="image-search/1 (+https://example.com)"))
    assert fetcher.fetch(local(server)) == b"image-search/1 (+https://example.com)"
    for wrong in ("a\r\nX: y", "für alle"):
        with pytest.raises(ConfigError, match="user agent"):
            UrlFetcher(UrlPolicy(user_agent=wrong))


def agent(peer: Peer) -> bytes:
    return (header(peer.request, "User-Agent") or "").encode()
