"""A list of pictures into a folder, from servers that are busy, broken, moved, hostile or gone."""

from __future__ import annotations

import gzip
import io
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from image_search.errors import ImageStoreError, InvalidInput
from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.listed import BrokenRow, ListedPicture
from image_search.metadata.reader import read_list
from image_search.services.collecting.folder import CollectedFolder
from image_search.services.collecting.waiting import Patience
from image_search.services.progress import Progress
from tests.support import draw
from tests.url_servers import HURRIED, PATIENT, Peer, Serve, answer, forever, redirect
from tests.web_of_pictures import SOON, Web, collecting, failures, files, picture_of, rows


@pytest.fixture
def other(serve: Serve) -> Web:
    return Web(serve, "127.0.0.2")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def fetched_contents(folder: Path) -> list[bytes]:
    return sorted(files(folder).values())


# What is fetched


def test_pictures_and_their_words(web: Web, out: Path) -> None:
    urls = web.fill(20)
    entries = [{"url": url, "title": f"title {n}", "tags": ["x"], "n": n} for n, url in enumerate(urls)]
    seen: list[Progress] = []
    report = collecting(web).fetch_list(rows(entries), out, on_progress=seen.append)
    assert (report.fetched, report.failed, report.interrupted) == (20, (), False)
    assert fetched_contents(out) == sorted(picture_of(n) for n in range(20))
    assert report.bytes_fetched == sum(len(picture_of(n)) for n in range(20))
    table = read_jsonl(out / "metadata.jsonl")
    assert len(table) == 20
    for name, data in files(out).items():
        words = table.find(name)
        number = int(words.title.removeprefix("title "))
        assert data == picture_of(number)
        assert (words.tags, words.fields, words.source_url) == (("x",), {"n": number}, urls[number])
    assert (seen[-1].done, seen[-1].total, seen[-1].failed) == (20, 20, 0)
    assert [p.done for p in seen] == sorted(p.done for p in seen)


def test_a_second_run_asks_for_nothing(web: Web, out: Path) -> None:
    service, listed = collecting(web), rows(web.fill(5))
    service.fetch_list(listed, out)
    before, asked = files(out), len(web.asked)
    report = service.fetch_list(listed, out)
    assert (report.fetched, report.unchanged, len(web.asked)) == (0, 5, asked)
    assert files(out) == before


def test_the_first_of_a_list(web: Web, out: Path) -> None:
    assert collecting(web).fetch_list(rows(web.fill(9)), out, limit=4).fetched == 4
    assert sorted(path for path, _ in web.asked) == [f"/{n:03}.jpg" for n in range(4)]
    assert collecting(web).fetch_list(rows(web.fill(9)), out, limit=6).fetched == 2


def test_an_address_twice_is_asked_once(web: Web, out: Path) -> None:
    (url,) = web.fill(1)
    report = collecting(web).fetch_list(rows([url, url, url]), out)
    assert (report.fetched, report.repeated, len(web.asked)) == (1, 2, 1)


def test_one_content_at_two_addresses_is_one_file(web: Web, out: Path) -> None:
    same = answer(picture_of(7))
    entries = [{"url": web.put(f"/{n}.jpg", same), "tags": [f"t{n}"], "filename": f"{n}.jpg"} for n in range(6)]
    report = collecting(web).fetch_list(rows(entries), out)
    assert (report.fetched, report.duplicates) == (1, 5)
    (name,) = files(out)
    assert sorted(read_jsonl(out / "metadata.jsonl").find(name).tags) == [f"t{n}" for n in range(6)]


def test_new_words_in_the_list_are_taken_without_asking(web: Web, out: Path) -> None:
    urls = web.fill(3)
    service = collecting(web)
    service.fetch_list(rows(urls), out)
    asked = len(web.asked)
    report = service.fetch_list(rows([{"url": urls[0], "title": "now"}, *urls[1:]]), out)
    assert (report.unchanged, report.reworded, len(web.asked)) == (3, 1, asked)
    titles = sorted(read_jsonl(out / "metadata.jsonl").find(name).title for name in files(out))
    assert titles == ["", "", "now"]


def test_another_list_into_the_same_folder(web: Web, out: Path) -> None:
    urls = web.fill(6)
    collecting(web).fetch_list(rows(urls[:3]), out)
    report = collecting(web).fetch_list(rows(urls[2:]), out)
    assert (report.fetched, report.unchanged) == (3, 1)
    assert len(read_jsonl(out / "metadata.jsonl")) == 6


def with_title(title: str) -> bytes:
    image, exif = draw((9, 99, 200), size=(300, 200)), Image.Exif()
    exif[0x010E] = title
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_a_picture_made_smaller_keeps_the_words_of_its_file(web: Web, out: Path) -> None:
    url = web.put("/x.jpg", answer(with_title("A harbour at night")))
    entry = {"url": url, "tags": ["boat"]}
    service = collecting(web)
    assert service.fetch_list(rows([entry]), out, longest_px=100).fetched == 1
    ((name, data),) = files(out).items()
    assert Image.open(out / name).size == (100, 67)
    assert b"harbour" not in data
    for _ in range(2):
        words = read_jsonl(out / "metadata.jsonl").find(name)
        assert words.tags == ("boat",)
        assert "A harbour at night" in (words.title, words.text)
        assert service.fetch_list(rows([entry]), out).unchanged == 1


# Hosts and their limits


def test_no_host_is_asked_by_more_than_may(serve: Serve, out: Path) -> None:
    webs = [Web(serve, f"127.0.0.{n}") for n in (1, 2, 3)]
    entries = []
    for web in webs:
        for number in range(15):
            path = f"/{web.host}/{number}.jpg"
            data = answer(picture_of(number + 100 * webs.index(web)))

            def slowly(peer: Peer, data: bytes = data) -> bytes:
                peer.stopped.wait(0.01)
                return data

            entries.append(web.put(path, slowly))
    assert collecting(*webs, jobs=12, per_host=2).fetch_list(rows(entries), out).fetched == 45
    assert all(1 <= web.most_at_once <= 2 for web in webs)


def test_a_list_sorted_by_host_keeps_no_host_waiting(web: Web, other: Web, out: Path) -> None:
    met = threading.Event()

    def until_the_other_is_asked(peer: Peer) -> None:
        if met.wait(60):
            peer.sock.sendall(answer(picture_of(1)))

    def asked(peer: Peer) -> None:
        met.set()
        peer.sock.sendall(answer(picture_of(2)))

    entries = [web.put("/1.jpg", until_the_other_is_asked), *web.fill(30), other.put("/2.jpg", asked)]
    report = collecting(web, other, jobs=2, per_host=1).fetch_list(rows(entries), out)
    assert report.failed == ()


def test_a_host_that_is_asked_too_often_is_left_alone_as_long_as_it_says(web: Web, other: Web, out: Path) -> None:
    urls = web.fill(6)
    too_much = answer(b"", "Retry-After: 1", status="429 Too Many Requests")
    web.put("/000.jpg", too_much, answer(picture_of(0)))
    report = collecting(web, other, per_host=1).fetch_list(rows([*urls, other.put("/x.jpg", answer())]), out)
    assert (report.fetched, report.failed) == (7, ())
    refused, again = web.times("/000.jpg")
    assert again - refused >= 1
    assert not [path for path, when in web.asked if refused < when < refused + 1]


@pytest.mark.parametrize(
    "first",
    [answer(b"", "Retry-After: 1", status="429 Too Many Requests"), answer(b"", status="429 No"), b""],
    ids=["told", "untold", "silence"],
)
def test_one_bad_moment_of_a_host_is_one_whatever_was_under_way(web: Web, out: Path, first: bytes) -> None:
    together = threading.Barrier(16)

    def refuse(peer: Peer) -> None:
        together.wait(60)
        peer.sock.sendall(first)

    urls = web.fill(16)
    for number in range(16):
        web.put(f"/{number:03}.jpg", refuse, answer(picture_of(number)))
    report = collecting(web, jobs=16, per_host=16, patience=Patience(backoff_s=1)).fetch_list(rows(urls), out)
    assert (report.fetched, report.failed) == (16, ())


def test_a_host_with_a_strict_limit_gives_everything_in_the_end(web: Web, out: Path) -> None:
    lock, last = threading.Lock(), [0.0]

    def sparing(number: int) -> Any:
        def page(peer: Peer) -> None:
            with lock:
                early = time.monotonic() - last[0] < 0.02
                if not early:
                    last[0] = time.monotonic()
            peer.sock.sendall(answer(b"", status="429 No") if early else answer(picture_of(number)))

        return page

    urls = [web.put(f"/{n}.jpg", sparing(n)) for n in range(25)]
    service = collecting(web, patience=Patience(backoff_s=0.02))
    report = service.fetch_list(rows(urls), out)
    assert (report.fetched, report.failed) == (25, ())


def test_a_host_that_wants_an_hour_is_left_to_a_later_run(web: Web, other: Web, out: Path) -> None:
    urls = web.fill(40)
    web.put("/003.jpg", answer(b"", "Retry-After: 3600", status="503 Later"))
    good = other.fill(3)
    other.put("/000.jpg", answer(picture_of(500)))
    other.put("/001.jpg", answer(picture_of(501)))
    other.put("/002.jpg", answer(picture_of(502)))
    report = collecting(web, other, per_host=1).fetch_list(rows([*urls, *good]), out)
    assert report.fetched == 3 + 3
    found = failures(out)
    assert len(found) == 37
    assert set(found.values()) == {("the host asks to be left alone for 3,600 s", True)}
    assert len(web.asked) == 4
    web.put("/003.jpg", answer(picture_of(3)))
    again = collecting(web, other).fetch_list(rows([*urls, *good]), out)
    assert (again.fetched, again.unchanged, again.failed) == (37, 6, ())
    assert failures(out) == {}


def test_a_host_that_is_away_is_not_asked_for_every_picture(web: Web, other: Web, out: Path) -> None:
    urls = [web.put(f"/{n}.jpg", lambda peer: None) for n in range(60)]
    good = other.fill(5)
    report = collecting(web, other, per_host=2).fetch_list(rows([*urls, *good]), out)
    assert report.fetched == 5
    assert len(web.asked) <= 2 * (SOON.silent + 1)
    assert {may_pass for _, may_pass in failures(out).values()} == {True}
    assert any("failed 10 times in a row" in reason for reason, _ in failures(out).values())


def test_a_picture_that_always_says_busy_does_not_keep_the_run(web: Web, out: Path) -> None:
    urls = web.fill(5)
    web.put("/002.jpg", answer(b"", status="503 Broken"))
    report = collecting(web, per_host=1).fetch_list(rows(urls), out)
    assert report.fetched == 4
    assert failures(out) == {urls[2]: ("status 503", True)}
    assert len(web.times("/002.jpg")) == SOON.refusals + 1


# What goes wrong


@pytest.mark.parametrize(
    "first",
    [
        answer(b"", status="500 Oh"),
        answer(b"", status="502 Gateway"),
        answer(picture_of(0)[:-5], f"Content-Length: {len(picture_of(0))}", length=False),
        b"",
    ],
    ids=["500", "502", "cut", "silence"],
)
def test_what_may_pass_is_tried_again(web: Web, out: Path, first: bytes) -> None:
    url = web.put("/x.jpg", first, first, answer(picture_of(0)))
    report = collecting(web).fetch_list(rows([url]), out)
    assert (report.fetched, len(web.asked)) == (1, 3)


def test_what_does_not_pass_is_given_up_and_tried_in_the_next_run(web: Web, out: Path) -> None:
    url = web.put("/x.jpg", *[answer(b"", status="500 Oh")] * SOON.attempts, answer(picture_of(0)))
    service = collecting(web)
    report = service.fetch_list(rows([url]), out)
    assert [failure.reason for failure in report.failed] == ["status 500"]
    assert failures(out) == {url: ("status 500", True)}
    assert len(web.asked) == SOON.attempts
    assert service.fetch_list(rows([url]), out).fetched == 1
    assert failures(out) == {}


def bomb() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4000, 4000)).save(buffer, "PNG")
    return buffer.getvalue()


PERMANENT: dict[str, tuple[Any, str]] = {
    "gone": (answer(b"", status="404 Gone"), "status 404"),
    "forbidden": (answer(b"", status="403 No"), "status 403"),
    "page": (answer(b"<html>", "Content-Type: text/html"), "the address gives a web page, not a picture"),
    "page as picture": (answer(b"<html>sorry", "Content-Type: image/jpeg"), "not a picture of a known format"),
    "cut": (answer(picture_of(0)[:400]), "the picture is cut short or damaged"),
    "empty": (answer(b""), "the file is empty"),
    "pixels": (answer(bomb()), "picture has 4000 x 4000 pixels"),
    "gzip": (answer(gzip.compress(bytes(10**7)), "Content-Encoding: gzip"), "a compressed body"),
    "endless": (forever(answer(b"", length=False), bytes(4096)), "more than the 200,000 bytes"),
    "announced": (answer(b"", "Content-Length: 99999999999", length=False), "more than the 200,000 bytes"),
    "svg": (answer(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), "not a picture of a known format"),
    "file": (redirect("file:///etc/passwd"), "a redirect to what is no acceptable address"),
    "placeholder": (redirect("/photo_unavailable_l.png"), "the picture is gone"),
    "404 in no hurry": (answer(b"", "Retry-After: 1", status="404 Gone"), "status 404"),
    "loop": (redirect("/loop"), "more than 3 redirects"),
    "noise": (b"SSH-2.0-x\r\n", "no HTTP answer"),
}


def test_what_fails_for_good_is_told_and_not_asked_again(web: Web, out: Path) -> None:
    urls = {name: web.put(f"/{name.replace(' ', '-')}", page) for name, (page, _) in PERMANENT.items()}
    urls |= {"scheme": "ftp://example.com/a.jpg", "nonsense": "not an address"}
    reasons = {name: reason for name, (_, reason) in PERMANENT.items()}
    reasons |= {"scheme": "only http://", "nonsense": "address"}
    good = web.fill(3)
    service = collecting(web, policy=replace(PATIENT, max_bytes=200_000))
    report = service.fetch_list(rows([*urls.values(), *good]), out)
    assert report.fetched == 3
    assert len(report.failed) == len(urls)
    found = failures(out)
    for name, url in urls.items():
        assert reasons[name] in found[url][0], name
        assert found[url][1] is False, name
    asked = len(web.asked)
    again = service.fetch_list(rows([*urls.values(), *good]), out)
    assert (again.unchanged, again.skipped, again.failed, len(web.asked)) == (3, len(urls), (), asked)
    assert failures(out) == found
    web.put("/gone", answer(picture_of(77)))
    retried = service.fetch_list(rows([*urls.values(), *good]), out, retry_failed=True)
    assert (retried.fetched, len(retried.failed)) == (1, len(urls) - 1)
    assert set(failures(out)) == set(urls.values()) - {urls["gone"]}


def test_what_the_settings_refuse_is_told_apart_and_tried_when_they_change(web: Web, other: Web, out: Path) -> None:
    (direct,) = web.fill(1)
    there = other.put("/there.jpg", answer(picture_of(5)))
    urls = {
        "port": other.put("/port.jpg", answer(picture_of(6))),
        "inside": "http://127.0.0.9/a.jpg",
        "moved to another port": web.put("/moved.jpg", redirect(there)),
        "moved inside": web.put("/inside.jpg", redirect("http://169.254.169.254/latest/meta-data/")),
    }
    entries = {
        "port": f"127.0.0.2:{other.server.port}",
        "inside": "127.0.0.9:80",
        "moved to another port": f"127.0.0.2:{other.server.port}",
        "moved inside": "169.254.169.254:80",
    }
    listed = rows([direct, *urls.values()])
    first = collecting(web).fetch_list(listed, out)
    assert (first.fetched, first.failed, first.skipped) == (1, (), 0)
    assert {one.path: one.admitted_by for one in first.refused} == {urls[name]: entries[name] for name in urls}
    assert {failures(out)[url][1] for url in urls.values()} == {False}
    assert other.asked == []
    asked = len(web.asked)
    second = collecting(web).fetch_list(listed, out)
    assert sorted(second.refused, key=str) == sorted(first.refused, key=str)
    assert (second.skipped, second.failed, len(web.asked)) == (0, (), asked), "nobody is asked by the same settings"
    third = collecting(web, other).fetch_list(listed, out)
    assert (third.fetched, third.unchanged) == (2, 1)
    assert {one.path for one in third.refused} == {urls["inside"], urls["moved inside"]}
    assert set(failures(out)) == {urls["inside"], urls["moved inside"]}


def test_a_slow_server_is_left_in_time(web: Web, out: Path) -> None:
    url = web.put("/x.jpg", lambda peer: peer.drip(b"HTTP/1.1 200 OK\r\n"))
    report = collecting(web, policy=HURRIED).fetch_list(rows([url]), out)
    assert (report.fetched, len(report.failed)) == (0, 1)
    assert failures(out)[url][1] is True


def test_what_moved_is_found_at_its_new_host_under_that_host_s_limit(web: Web, other: Web, out: Path) -> None:
    entries = []
    for number in range(20):

        def slowly(peer: Peer, number: int = number) -> bytes:
            peer.stopped.wait(0.01)
            return answer(picture_of(number))

        there = other.put(f"/new/{number}.jpg", slowly)
        entries.append(web.put(f"/{number}.jpg", redirect(there, "301 Moved")))
    report = collecting(web, other, jobs=16, per_host=2).fetch_list(rows(entries), out)
    assert (report.fetched, report.failed) == (20, ())
    assert other.most_at_once <= 2
    assert collecting(web, other).fetch_list(rows(entries), out).unchanged == 20


def test_a_name_that_only_reminds_of_a_placeholder_is_a_picture(web: Web, out: Path) -> None:
    urls = [
        web.put(f"/{n}", redirect(web.put(f"/{name}.jpg", answer(picture_of(n)))))
        for n, name in enumerate(["background-removed", "missing-link-statue", "unavailable_street_art"])
    ]
    assert collecting(web).fetch_list(rows(urls), out).fetched == 3


def test_the_words_are_there_from_time_to_time(web: Web, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_search.services.collecting.listed_run.PUBLISH_EVERY_S", 0.0)
    urls = web.fill(5)
    seen: list[int] = []

    def look(peer: Peer) -> None:
        seen.append(len(read_jsonl(out / "metadata.jsonl")))
        peer.sock.sendall(answer(picture_of(50)))

    entries = [*urls, web.put("/last.jpg", look)]
    assert collecting(web, jobs=1).fetch_list(rows(entries), out).fetched == 6
    assert seen[0] >= 1


def test_mvso_s_photos(web: Web, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("image_search.metadata.mvso.PHOTO_URL", web.url("/{server}/{id}_{secret}.jpg"))
    web.put("/30/1_ab.jpg", answer(picture_of(1)))
    web.put("/30/2_cd.jpg", redirect("/photo_unavailable.png"))
    for number, secret in ((1, "ab"), (2, "cd")):
        path = tmp_path / "english" / "red_boat" / f"{number}.xml"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo = f'<photo id="{number}" server="30" farm="1" secret="{secret}"><title>Boat {number}</title></photo>'
        path.write_text(f'<rsp stat="ok">{photo}</rsp>')
    (tmp_path / "english" / "red_boat" / "3.xml").write_text("<rsp")
    report = collecting(web).fetch_list(read_list(tmp_path / "english"), out)
    assert (report.fetched, len(report.failed)) == (1, 2)
    (name,) = files(out)
    assert "/1-" in name
    words = read_jsonl(out / "metadata.jsonl").find(name)
    assert (words.title, words.fields) == ("Boat 1", {"flickr_id": "1", "concept": "red_boat"})


def test_bad_rows_are_told_and_the_others_are_fetched(web: Web, out: Path) -> None:
    report = collecting(web).fetch_list(rows([{"title": "no address"}, *web.fill(2)]), out)
    assert (report.fetched, [failure.path for failure in report.failed]) == (2, ["row 1"])
    assert "no address of a picture" in failures(out)["row 1"][0]


def test_a_list_that_is_damaged_in_the_middle(web: Web, out: Path) -> None:
    def damaged() -> Iterator[ListedPicture | BrokenRow]:
        yield from rows(web.fill(3))
        raise InvalidInput("list.csv, line 5: not valid CSV")

    with pytest.raises(InvalidInput, match="line 5"):
        collecting(web).fetch_list(damaged(), out)
    assert len(read_jsonl(out / "metadata.jsonl")) == len(files(out)) == 3


def test_a_list_that_fails_in_another_way_ends_the_run(web: Web, out: Path) -> None:
    def failing() -> Iterator[ListedPicture | BrokenRow]:
        yield from rows(web.fill(3))
        raise RuntimeError("a defect")

    with pytest.raises(RuntimeError, match="a defect"):
        collecting(web).fetch_list(failing(), out)
    assert len(read_jsonl(out / "metadata.jsonl")) == len(files(out))


def test_a_stop_leaves_whole_files_and_right_words(web: Web, out: Path) -> None:
    urls, stop = web.fill(50), threading.Event()

    def listen(progress: Progress) -> None:
        if progress.done >= 10:
            stop.set()

    service = collecting(web, jobs=2)
    report = service.fetch_list(rows(urls), out, on_progress=listen, stop=stop)
    assert report.interrupted
    assert 10 <= report.fetched < 50
    assert len(files(out)) == report.fetched == len(read_jsonl(out / "metadata.jsonl"))
    again = service.fetch_list(rows(urls), out)
    assert (again.unchanged, again.fetched) == (report.fetched, 50 - report.fetched)
    assert len(web.asked) <= 50 + 2, "what was fetched is not fetched again"


def test_a_stop_ends_a_fetch_that_would_go_on_for_ever(web: Web, out: Path) -> None:
    stop, begun = threading.Event(), threading.Event()

    def endless(peer: Peer) -> None:
        begun.set()
        forever(answer(b"", length=False), bytes(16))(peer)

    url = web.put("/x.jpg", endless)
    threading.Thread(target=lambda: (begun.wait(), stop.set()), daemon=True).start()
    report = collecting(web).fetch_list(rows([url]), out, stop=stop)
    assert (report.interrupted, report.fetched, report.failed) == (True, 0, ())
    assert files(out) == {}


def test_an_error_of_the_disk_ends_the_run(web: Web, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> bool:
        raise ImageStoreError("the folder cannot be written or read: No space left on device")

    monkeypatch.setattr(CollectedFolder, "keep", full)
    with pytest.raises(ImageStoreError, match="No space left"):
        collecting(web).fetch_list(rows(web.fill(100)), out)
    assert files(out) == {}


def test_an_empty_list(out: Path) -> None:
    report = collecting().fetch_list([], out)
    assert (report.fetched, report.failed) == (0, ())
    assert (out / "metadata.jsonl").read_text() == ""


def test_names_of_a_hostile_list_stay_in_the_folder(web: Web, out: Path, tmp_path: Path) -> None:
    entries = [
        {"url": web.put("/../../../../etc/x.jpg", answer(picture_of(1))), "filename": "../../../x.jpg"},
        {"url": web.put("/%2e%2e%2f%2e%2e%2fy.jpg", answer(picture_of(2)))},
        {"url": web.put("/z.jpg", answer(picture_of(3))), "filename": "/etc/cron.d/z"},
    ]
    assert collecting(web).fetch_list(rows(entries), out).fetched == 3
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert all(name.startswith("pictures/") for name in files(out))


def test_a_png_keeps_its_format(web: Web, out: Path) -> None:
    buffer = io.BytesIO()
    draw((1, 200, 3)).save(buffer, "PNG")
    collecting(web).fetch_list(rows([web.put("/photo.jpg", answer(buffer.getvalue()))]), out)
    (name,) = files(out)
    assert name.endswith(".png")
