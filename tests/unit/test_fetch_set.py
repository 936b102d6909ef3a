"""Public sets: archives that are resumed and compared, what may come out of them, and their words."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import stat
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from image_search.errors import FetchError, ImageStoreError, InvalidInput
from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.words import Words
from image_search.names import is_sha256
from image_search.services.collecting.captions import read_captions
from image_search.services.collecting.set_run import MAX_PICTURE_BYTES, _ahead
from image_search.services.collecting.sets import PUBLIC_SETS, Archive, PublicSet, read_set
from image_search.services.collecting.unpacking import Member, pictures_in, text_in
from image_search.services.progress import Progress
from image_search.urls import Target
from tests.url_servers import Peer, answer
from tests.web_of_pictures import SOON, Web, collecting, failures, files, picture_of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CAPTIONS = {
    "licenses": [{"id": 3, "url": "http://example.com/by", "name": "By"}],
    "images": [
        {"id": n, "file_name": f"COCO_{n}.jpg", "license": 3, "flickr_url": f"http://example.com/{n}"} for n in range(6)
    ],
    "annotations": [
        {"image_id": n, "id": 10 * n + k, "caption": f"caption {k}\n of {n} "} for n in range(6) for k in range(3)
    ],
}


def ranged(data: bytes, etag: str = '"v1"') -> Callable[[Peer], None]:
    """A page that serves parts, as archives' servers do."""

    def page(peer: Peer) -> None:
        asked = re.search(rb"\r\nRange: bytes=(\d+)-\r\n", peer.request)
        same_as = re.search(rb"\r\nIf-Range: (.*?)\r\n", peer.request)
        if asked and (same_as is None or same_as[1].decode() == etag):
            start = int(asked[1])
            if start >= len(data):
                peer.sock.sendall(answer(b"", status="416 No"))
                return
            head = f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}"
            peer.sock.sendall(answer(data[start:], head, f"ETag: {etag}", status="206 Part"))
        else:
            peer.sock.sendall(answer(data, f"ETag: {etag}"))

    return page


def cut(data: bytes, at: int, etag: str = '"v1"') -> bytes:
    """An answer whose connection breaks after so many bytes."""
    return answer(data[:at], f"Content-Length: {len(data)}", f"ETag: {etag}", length=False)


def archive_of(url: str, data: bytes, *, known: bool = True) -> Archive:
    return Archive(url, len(data), hashlib.sha256(data).hexdigest() if known else "")


def coco(web: Web, pictures: bytes | None = None, *, known: bool = True) -> PublicSet:
    """A set of six pictures with captions, served."""
    pictures = pictures or zipped({f"val/COCO_{n}.jpg": picture_of(n) for n in range(6)})
    captions = zipped({"annotations/captions.json": json.dumps(CAPTIONS).encode()})
    return PublicSet(
        "coco-test",
        archive_of(web.put("/val.zip", ranged(pictures)), pictures, known=known),
        "",
        archive_of(web.put("/captions.zip", ranged(captions)), captions),
        "annotations/captions.json",
    )


def requests(web: Web, path: str) -> list[bytes]:
    return [request for request in web.server.requests if request.startswith(f"GET {path} ".encode())]


# Whole sets


def test_pictures_and_captions(web: Web, out: Path) -> None:
    public = coco(web)
    seen: list[Progress] = []
    report = collecting(web).fetch_set(public, out, on_progress=seen.append)
    assert (report.fetched, report.failed) == (6, ())
    assert files(out) == {f"val/COCO_{n}.jpg": picture_of(n) for n in range(6)}
    words = read_jsonl(out / "metadata.jsonl").find("val/COCO_4.jpg")
    assert (words.title, words.text) == ("caption 0 of 4", "caption 1 of 4\ncaption 2 of 4")
    assert (words.source_url, words.fields) == ("http://example.com/4", {"licence": "http://example.com/by"})
    assert {p.stage for p in seen} >= {"unpacking"}
    assert not [p for p in (out / ".fetch" / "downloads").iterdir() if p.stat().st_size > 1000], "archives go"


def test_classes_of_a_tar(web: Web, out: Path) -> None:
    members = {f"set/train/n01440764/{n}.JPEG": picture_of(n) for n in range(3)} | {"set/readme.csv": b"x"}
    data = tarred(members)
    public = PublicSet("ten", archive_of(web.put("/ten.tgz", answer(data)), data), classes={"n01440764": "tench"})
    assert collecting(web).fetch_set(public, out).fetched == 3
    table = read_jsonl(out / "metadata.jsonl")
    words = table.find("set/train/n01440764/2.JPEG")
    assert (words.title, words.tags, words.fields) == ("tench", ("tench",), {"class": "n01440764"})


def test_a_second_run_downloads_nothing(web: Web, out: Path) -> None:
    public, service = coco(web), collecting(web)
    service.fetch_set(public, out)
    before = len(web.asked)
    report = service.fetch_set(public, out)
    assert (report.fetched, report.unchanged, len(web.asked)) == (0, 6, before)
    (out / "val" / "COCO_3.jpg").unlink()
    report = service.fetch_set(public, out)
    assert (report.fetched, report.unchanged) == (1, 5)
    assert len(files(out)) == len(read_jsonl(out / "metadata.jsonl")) == 6


def test_the_first_pictures_and_later_all(web: Web, out: Path) -> None:
    public, service = coco(web), collecting(web)
    assert service.fetch_set(public, out, limit=2).fetched == 2
    assert sorted(files(out)) == ["val/COCO_0.jpg", "val/COCO_1.jpg"]
    asked = len(web.asked)
    report = service.fetch_set(public, out, keep_archives=True)
    assert (report.fetched, report.unchanged, len(web.asked)) == (4, 2, asked), "the archive was still there"
    assert len([p for p in (out / ".fetch" / "downloads").iterdir() if p.suffix == ".zip"]) == 2


def test_made_smaller(web: Web, out: Path) -> None:
    collecting(web).fetch_set(coco(web), out, longest_px=48)
    sizes = {max(_size(data)) for data in files(out).values()}
    assert sizes == {48}


def _size(data: bytes) -> tuple[int, int]:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return image.size


def test_a_bad_picture_in_an_archive_does_not_end_the_run(web: Web, out: Path) -> None:
    public = coco(web, zipped({"a/1.jpg": b"no picture", "a/2.jpg": picture_of(2), "a/3.jpg": b""}))
    service = collecting(web)
    report = service.fetch_set(public, out)
    assert (report.fetched, sorted(f.path for f in report.failed)) == (1, ["a/1.jpg", "a/3.jpg"])
    assert len(failures(out)) == 2
    asked = len(web.asked)
    report = service.fetch_set(public, out)
    assert (report.unchanged, report.skipped, len(web.asked)) == (1, 2, asked)
    assert len(service.fetch_set(public, out, retry_failed=True).failed) == 2


def test_a_stop_while_unpacking(web: Web, out: Path) -> None:
    public, stop = coco(web), threading.Event()

    def listen(progress: Progress) -> None:
        if progress.stage == "unpacking" and progress.done >= 2:
            stop.set()

    service = collecting(web)
    report = service.fetch_set(public, out, on_progress=listen, stop=stop)
    assert (report.interrupted, report.fetched) == (True, 2)
    asked = len(web.asked)
    again = service.fetch_set(public, out)
    assert (again.fetched, again.unchanged, len(web.asked)) == (4, 2, asked)


# Downloads

DATA = zipped({f"x/{n}.jpg": picture_of(n) for n in range(40)})


def only(web: Web, *pages: Any, known: bool = True, data: bytes = DATA) -> PublicSet:
    return PublicSet("x", archive_of(web.put("/x.zip", *pages), data, known=known))


@pytest.mark.parametrize("known", [True, False])
def test_a_broken_download_goes_on_where_it_was(web: Web, out: Path, known: bool) -> None:
    public = only(web, cut(DATA, 10_000), ranged(DATA), known=known)
    assert collecting(web).fetch_set(public, out).fetched == 40
    assert b'\r\nRange: bytes=10000-\r\nIf-Range: "v1"\r\n' in requests(web, "/x.zip")[1]


def test_content_that_changed_meanwhile_is_begun_again(web: Web, out: Path) -> None:
    public = only(web, cut(DATA[::-1], 10_000, '"old"'), ranged(DATA, '"new"'))
    assert collecting(web).fetch_set(public, out).fetched == 40


def test_without_a_validator_and_a_sum_nothing_is_spliced(web: Web, out: Path) -> None:
    public = only(web, cut(DATA[::-1], 10_000, ""), ranged(DATA, ""), known=False)
    assert collecting(web).fetch_set(public, out).fetched == 40
    assert b"\r\nRange:" not in requests(web, "/x.zip")[1]


def test_without_a_validator_the_sum_tells_what_belongs_together(web: Web, out: Path) -> None:
    assert collecting(web).fetch_set(only(web, cut(DATA, 10_000, ""), ranged(DATA, "")), out).fetched == 40
    assert b"\r\nRange: bytes=10000-\r\n" in requests(web, "/x.zip")[1]


# The whole at the end: a loop that never gave up would end as well, and the test with it.
@pytest.mark.parametrize("sizes", [[0], [9000], [9000, 4000, 8000, 500]], ids=["empty", "short", "here-and-there"])
def test_an_answer_that_just_ends_is_not_asked_for_for_ever(web: Web, out: Path, sizes: list[int]) -> None:
    short = [answer(DATA[:size], length=False) for size in sizes] * 20
    with pytest.raises(FetchError, match="cut short"):
        collecting(web).fetch_set(only(web, *short, answer(DATA)), out)
    assert len(web.asked) == SOON.attempts


def test_a_stop_is_heard_between_answers_that_are_empty(web: Web, out: Path) -> None:
    stop = threading.Event()

    def empty(peer: Peer) -> None:
        stop.set()
        peer.sock.sendall(answer(b"", length=False))

    report = collecting(web).fetch_set(only(web, empty, empty, answer(DATA)), out, stop=stop)
    assert (report.interrupted, len(web.asked)) == (True, 1)


def test_a_server_without_parts(web: Web, out: Path) -> None:
    public = only(web, cut(DATA, 10_000), answer(DATA))
    assert collecting(web).fetch_set(public, out).fetched == 40


def test_a_download_that_always_breaks_but_gets_on_gets_there(web: Web, out: Path) -> None:
    step = len(DATA) // 9 + 1
    parts = []
    for start in range(0, len(DATA), step):
        head = f"Content-Range: bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        body = DATA[start : start + step]
        length = f"Content-Length: {len(DATA) - start}"
        status = "206 Part" if start else "200 OK"
        parts.append(answer(body, head, length, 'ETag: "v1"', status=status, length=False))
    assert collecting(web).fetch_set(only(web, *parts), out).fetched == 40
    assert len(web.asked) == 9


def test_a_stop_in_a_download_and_a_later_run(web: Web, out: Path) -> None:
    stop = threading.Event()

    def slowly(peer: Peer) -> None:
        peer.sock.sendall(answer(b"", f"Content-Length: {len(DATA)}", 'ETag: "v1"', length=False))
        for at in range(0, len(DATA), 500):
            peer.stopped.wait(0.01)
            peer.sock.sendall(DATA[at : at + 500])

    public = only(web, slowly, ranged(DATA))
    service = collecting(web)

    def listen(progress: Progress) -> None:
        if progress.stage.startswith("downloading"):
            threading.Timer(0.05, stop.set).start()

    report = service.fetch_set(public, out, on_progress=listen, stop=stop)
    assert (report.interrupted, report.fetched) == (True, 0)
    assert service.fetch_set(public, out).fetched == 40
    assert b"\r\nRange: bytes=" in requests(web, "/x.zip")[1]


@pytest.mark.parametrize(
    ("page", "reason"),
    [
        (answer(DATA[:-1] + b"!"), "its SHA-256 begins"),
        (answer(DATA + b"more"), "bytes, and"),
        (answer(DATA + b"more", length=False), "more than the"),
        (answer(DATA[:-9]), "bytes, and"),
        (answer(b"", status="404 Gone"), "status 404"),
        (answer(b"", status="503 Busy"), "status 503"),
        (answer(b"", "Retry-After: 9999", status="503 Busy"), "left alone for 9,999 s"),
        (answer(b"<html>sign in", "Content-Type: text/html"), "a web page"),
        (cut(DATA, 0), "cut short"),
    ],
    ids=["sum", "longer", "endless", "shorter", "404", "503", "later", "page", "cut"],
)
def test_a_download_that_is_not_what_it_should_be(web: Web, out: Path, page: bytes, reason: str) -> None:
    public = only(web, page)
    with pytest.raises(FetchError, match=reason) as caught:
        collecting(web).fetch_set(public, out)
    assert "x.zip could not be downloaded" in str(caught.value)
    assert files(out) == {}
    web.put("/x.zip", answer(DATA))
    assert collecting(web).fetch_set(public, out).fetched == 40, "nothing wrong was kept"


def test_a_part_that_has_more_than_the_whole_is_thrown_away(web: Web, out: Path) -> None:
    public, service = only(web, cut(DATA, 5000), answer(b"", status="404 x"), ranged(DATA)), collecting(web)
    with pytest.raises(FetchError):
        service.fetch_set(public, out)
    (part,) = (out / ".fetch" / "downloads").glob("*.part")
    part.write_bytes(DATA + b"and more")
    with pytest.raises(FetchError, match="SHA-256"):
        service.fetch_set(public, out)
    assert service.fetch_set(public, out).fetched == 40


def test_a_sum_that_is_not_known_is_noted_at_the_first_use(web: Web, out: Path) -> None:
    public, service = only(web, answer(DATA), known=False), collecting(web)
    service.fetch_set(public, out)
    sums = json.loads((out / ".fetch" / "downloads" / "sums.json").read_text())
    assert sums == {public.pictures.url: hashlib.sha256(DATA).hexdigest()}
    (out / "x" / "0.jpg").unlink()
    web.put("/x.zip", answer(DATA[:-1] + b"!"))
    with pytest.raises(FetchError, match="SHA-256"):
        service.fetch_set(public, out)


def test_a_disk_without_room_is_said_before_anything_is_asked(web: Web, out: Path) -> None:
    public = PublicSet("huge", Archive(web.url("/x.zip"), 10**17))
    with pytest.raises(ImageStoreError, match="MB are free"):
        collecting(web).fetch_set(public, out)
    assert web.asked == []


# What may come out of an archive


def written(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "archive"
    path.write_bytes(data)
    return path


def members(path: Path, **options: Any) -> list[Member]:
    return list(pictures_in(path, max_bytes=options.pop("max_bytes", 10_000), **options))


EVIL = [
    "../evil.jpg",
    "/tmp/evil.jpg",
    "a/../../evil.jpg",
    "a\\..\\evil.jpg",
    "C:evil.jpg",
    "a/" * 20 + "evil.jpg",
    "a//evil.jpg",
    "new\nline.jpg",
    "e\u0301vil.jpg",
]


@pytest.mark.parametrize("pack", [zipped, tarred, lambda names: tarred(names, "w")], ids=["zip", "tgz", "tar"])
def test_names_that_lead_elsewhere_are_left_out(tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    path = written(tmp_path, pack({**dict.fromkeys(EVIL, b"x"), "./good/a.jpg": b"y", "notes.txt": b"z"}))
    found = members(path)
    assert [m.data for m in found if not m.problem] == [b"y"]
    assert [m.name for m in found if not m.problem] == ["good/a.jpg"]
    assert len(found) == len(EVIL) + 1
    assert {m.problem for m in found if m.problem} == {"its name is not one that may be written"}


def test_what_a_mac_and_others_leave_beside_files_is_nothing(tmp_path: Path) -> None:
    path = written(
        tmp_path, zipped({"__MACOSX/a/._1.jpg": b"x", "a/._1.jpg": b"x", ".git/1.jpg": b"x", "a/1.jpg": b"y"})
    )
    assert [m.name for m in members(path)] == ["a/1.jpg"]


def test_links_and_devices_in_a_tar_are_left_out(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, kind in enumerate((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE)):
            info = tarfile.TarInfo(f"link{number}.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        directory = tarfile.TarInfo("folder.jpg")
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
    found = members(written(tmp_path, buffer.getvalue()))
    assert [m.problem for m in found] == ["is no plain file"] * 5


def test_a_link_in_a_zip_is_left_out(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert [m.problem for m in members(written(tmp_path, buffer.getvalue()))] == ["is no plain file"]


def test_a_picture_over_the_limit_is_left_out_unread(tmp_path: Path) -> None:
    for data in (
        zipped({"a.jpg": bytes(101), "b.jpg": bytes(100)}),
        tarred({"a.jpg": bytes(101), "b.jpg": bytes(100)}),
    ):
        first, second = members(written(tmp_path, data), max_bytes=100)
        assert (first.data, second.data) == (b"", bytes(100))
        assert "101 bytes" in first.problem


def test_what_is_there_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path, zipped({"a.jpg": b"x", "b.jpg": b"y"}))
    assert members(path, skip=frozenset({"a.jpg"})) == [Member("a.jpg", b""), Member("b.jpg", b"y")]


@pytest.mark.parametrize("tar", [False, True])
def test_a_bomb_is_refused(tmp_path: Path, tar: bool) -> None:
    size = 150_000_000
    path = tmp_path / "bomb"
    if tar:
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            info = tarfile.TarInfo("notes.txt")
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
            archive.addfile(tarfile.TarInfo("a.jpg"))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zip_archive:
            zip_archive.writestr("a.jpg", bytes(size))
    assert path.stat().st_size < 2_000_000
    with pytest.raises(InvalidInput, match="grow"):
        members(path, max_bytes=MAX_PICTURE_BYTES)


@pytest.mark.parametrize(
    "data",
    [b"", b"no archive at all", zipped({"a.jpg": b"x" * 500})[:300], tarred({"a.jpg": b"x" * 500})[:-30], b"\x1f\x8b"],
    ids=["empty", "text", "zip", "tar", "magic"],
)
def test_a_damaged_archive_is_said(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InvalidInput, match="archive"):
        members(written(tmp_path, data))


def test_a_damaged_member_of_a_zip_is_one_failure(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jpg": b"first picture", "b.jpg": b"second"}))
    data[data.index(b"first picture")] ^= 255
    first, second = members(written(tmp_path, bytes(data)))
    assert (first.problem, second.data) == ("is damaged in the archive", b"second")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_of_a_packed_zip_is_one_failure(tmp_path: Path, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.jpg", random.Random(1).randbytes(5000))
        archive.writestr("b.jpg", b"second")
    whole = buffer.getvalue()
    start = 30 + len("a.jpg")
    for at in (start, start + 4, start + 9, start + 40, start + 3000):
        path = written(tmp_path, whole[:at] + bytes([whole[at] ^ 255] * 8) + whole[at + 8 :])
        first, second = members(path)
        assert (first.problem, second.data) == ("is damaged in the archive", b"second"), at
        with pytest.raises(InvalidInput, match="damaged"):
            text_in(path, "a.jpg")


@pytest.mark.parametrize(("count", "size_bytes", "most"), [(3, 10**9, 3), (100, 2000, 3), (100, 0, 1)])
def test_no_more_is_read_ahead_than_may(count: int, size_bytes: int, most: int) -> None:
    read = done = furthest = 0

    def some() -> Iterator[Member]:
        nonlocal read, furthest
        for number in range(20):
            read += 1
            furthest = max(furthest, read - done)
            yield Member(str(number), bytes(1000))

    names = []
    with ThreadPoolExecutor(2) as pool:
        for member, name in _ahead(pool, lambda member: member.name, some(), count, size_bytes):
            done += 1
            names.append((member.name, name))
    assert names == [(str(number), str(number)) for number in range(20)]
    assert furthest == most


def test_an_encrypted_zip_is_said(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.jpg": b"x"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    with pytest.raises(InvalidInput, match="cannot be read"):
        members(written(tmp_path, bytes(data)))


def test_captions_that_are_not_there(tmp_path: Path) -> None:
    path = written(tmp_path, zipped({"a.json": b"{}"}))
    assert text_in(path, "a.json") == b"{}"
    with pytest.raises(InvalidInput, match=r"has no 'b\.json'"):
        text_in(path, "b.json")
    with pytest.raises(InvalidInput, match="damaged"):
        text_in(written(tmp_path, b"x"), "a.json")


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"images": 1, "annotations": []}', b'{"images": [{}], "annotations": []}', b"[" * 100_000],
)
def test_captions_in_another_form(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="COCO"):
        read_captions(data, "captions.json")


def test_a_picture_without_captions_has_no_words() -> None:
    document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}
    assert read_captions(json.dumps(document).encode(), "x") == {"a.jpg": Words(fields={"licence": None})}


# Records


def test_the_registered_sets_are_whole_records() -> None:
    assert {"coco-val2014", "coco-val2017", "imagenette"} <= set(PUBLIC_SETS)
    for name, public in PUBLIC_SETS.items():
        assert public.name == name
        for archive in filter(None, (public.pictures, public.captions)):
            assert is_sha256(archive.sha256)
            assert archive.size_bytes > 50_000_000
            assert Target.parse(archive.url).port in (80, 443)


RECORD: dict[str, Any] = {
    "name": "mine",
    "pictures": {"url": "https://example.com/x.zip", "size_bytes": 5, "sha256": "ab" * 32},
    "captions": {"url": "https://example.com/y.zip", "size_bytes": 6},
    "captions_member": "c.json",
    "classes": {"a": "b"},
}


def test_a_record_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.set.json"
    path.write_text(json.dumps(RECORD))
    assert read_set(path) == PublicSet(
        "mine",
        Archive("https://example.com/x.zip", 5, "ab" * 32),
        captions=Archive("https://example.com/y.zip", 6),
        captions_member="c.json",
        classes={"a": "b"},
    )


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"name": "../x"}, "name must be"),
        ({"more": 1}, "unknown more"),
        ({"pictures": None}, "must be a JSON object"),
        ({"pictures": {**RECORD["pictures"], "size_bytes": 0}}, "size_bytes"),
        ({"pictures": {**RECORD["pictures"], "size_bytes": True}}, "size_bytes"),
        ({"pictures": {**RECORD["pictures"], "sha256": "AB"}}, "sha256"),
        ({"pictures": {**RECORD["pictures"], "md5": "x"}}, "unknown md5"),
        ({"captions": None}, "go together"),
        ({"classes": {"a": 1}}, "must be a text"),
        ({"description": []}, "must be a text"),
    ],
)
def test_a_wrong_record(tmp_path: Path, change: dict[str, Any], part: str) -> None:
    path = tmp_path / "mine.set.json"
    path.write_text(json.dumps({**RECORD, **change}))
    with pytest.raises(InvalidInput, match=part):
        read_set(path)
    path.write_text("{")
    with pytest.raises(InvalidInput, match="JSON"):
        read_set(path)


def test_an_address_of_a_record_obeys_the_rules_of_all_addresses(web: Web, out: Path) -> None:
    public = only(web, answer(DATA))
    inside = replace(public.pictures, url=public.pictures.url.replace("127.0.0.1", "127.0.0.9"))
    with pytest.raises(FetchError, match=r"neither public nor listed .*add 127\.0\.0\.9:[0-9]+ to url_fetch\.allow"):
        collecting(web).fetch_set(replace(public, pictures=inside), out)
    with pytest.raises(FetchError, match="only http"):
        collecting(web).fetch_set(replace(public, pictures=replace(public.pictures, url="file:///etc/passwd")), out)
