"""`image-search fetch` as scripts see it: reports, exit codes, and processes that are killed in the middle."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.conftest import Cli, Start, check_error
from tests.cli.test_processes import until
from tests.unit.test_fetch_set import ranged
from tests.url_servers import Peer, answer
from tests.web_of_pictures import Page, Web, failures, files, picture_of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def allowed(web: Web, *arguments: object) -> tuple[object, ...]:
    """A fetch that may go to the tests' server, and does not wait long."""
    return (
        *("--set", f"url_fetch.allow={web.host}:{web.server.port}", "--set", "fetch.backoff_s=0.01"),
        *("--set", "fetch.read_s=60", "--set", "fetch.total_s=120", "--set", "url_fetch.connect_s=60"),
        *("fetch", *arguments),
    )


def list_of(tmp_path: Path, entries: list[dict[str, Any]]) -> Path:
    path = tmp_path / "list.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_a_list_is_fetched_and_can_be_ingested_as_it_lies(
    cli: Cli, stand_ins: None, web: Web, tmp_path: Path, out: Path
) -> None:
    entries = [{"image_url": url, "title": f"no {n}", "tags": ["web"]} for n, url in enumerate(web.fill(12))]
    entries.append({"image_url": web.url("/gone.jpg")})
    source = list_of(tmp_path, entries)
    outcome = cli(*allowed(web, source, "-o", out, "--json"))
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert (report["fetched"], len(report["failed"])) == (12, 1)
    assert report["failed"][0] == {"path": web.url("/gone.jpg"), "reason": "status 404"}
    ingested = cli("ingest", out, "--metadata", out / "metadata.jsonl", "--json").json
    assert (ingested["added"], ingested["failed"], ingested["unmatched"]) == (12, [], 0)
    images = cli("list", "--json").json["images"]
    assert sorted(image["title"] for image in images) == sorted(f"no {n}" for n in range(12))
    assert cli("ingest", out, "--json").json["unchanged"] == 12, "the metadata file is found by itself"
    again = cli(*allowed(web, source, "-o", out))
    assert again.code == 0
    assert "0 fetched, 12 there before" in again.out
    assert "1 failed for good before" in again.out
    assert "Traceback" not in again.err


def test_all_failed_is_exit_code_1(cli: Cli, web: Web, tmp_path: Path, out: Path) -> None:
    source = list_of(tmp_path, [{"url": web.url(f"/{n}.jpg")} for n in range(3)])
    assert cli(*allowed(web, source, "-o", out)).code == 1
    assert len(failures(out)) == 3
    assert cli(*allowed(web, source, "-o", out)).code == 1, "and it is again when none is tried"
    web.put("/1.jpg", answer(picture_of(1)))
    assert cli(*allowed(web, source, "-o", out, "--retry-failed")).code == 0


def test_addresses_inside_are_refused_unless_they_are_listed(cli: Cli, web: Web, tmp_path: Path, out: Path) -> None:
    source = list_of(tmp_path, [{"url": url} for url in web.fill(2)])
    outcome = cli("fetch", source, "-o", out, "--json")
    assert outcome.code == 1
    assert web.asked == []
    assert outcome.json["failed"] == []
    assert {entry["reason"].partition(" is not accepted")[0] for entry in outcome.json["refused"]} == {
        f"port {web.server.port}"
    }
    entry = f"{web.host}:{web.server.port}"
    assert {refused["admitted_by"] for refused in outcome.json["refused"]} == {entry}
    told = cli("fetch", source, "-o", out, "--set", "url_fetch.allow=nas.lan")
    assert told.code == 1
    assert "2 refused by the settings" in told.out
    assert f"--set url_fetch.allow=nas.lan,{entry}\n" in told.out, "what is listed already stays so"
    assert "for good" not in told.out
    off = cli("--set", "url_fetch.mode=off", *allowed(web, source, "-o", out, "--json"))
    check_error(off, 2, "switched off")
    assert len(failures(out)) == 2, "of what nobody tried nothing is noted"
    assert cli(*allowed(web, source, "-o", out, "--json")).json["fetched"] == 2, "other settings, another try"


def test_options(cli: Cli, web: Web, tmp_path: Path, out: Path) -> None:
    source = list_of(tmp_path, [{"url": url} for url in web.fill(6)])
    outcome = cli(
        *allowed(web, source, "-o", out, "--limit", 4, "--jobs", 3, "--per-host", 1, "--resize", 50, "--json")
    )
    assert outcome.json["fetched"] == 4
    assert web.most_at_once == 1
    assert {max(Image.open(out / name).size) for name in files(out)} == {50}


def test_misuse(cli: Cli, tmp_path: Path, out: Path) -> None:
    check_error(cli("fetch", tmp_path / "nothing.jsonl", "-o", out, "--json"), 1, "no public set has that name")
    check_error(cli("fetch", "--json"), 2, "-o FOLDER")
    check_error(cli("fetch", "coco-val2017", "--json"), 2, "-o FOLDER")
    assert cli("fetch", "x", "-o", out, "--jobs", 0).code == 2
    (tmp_path / "metadata.jsonl").write_text("{}")
    (tmp_path / "l.txt").write_text("http://example.com/a.jpg\n")
    check_error(cli("fetch", tmp_path / "l.txt", "-o", tmp_path, "--json"), 2, "not of this command")
    assert not out.exists()


def test_a_source_without_pictures_is_said(cli: Cli, tmp_path: Path, out: Path) -> None:
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "folder").mkdir()
    for source in ("empty.txt", "folder"):
        assert "tells of no pictures" in cli("fetch", tmp_path / source, "-o", out).out


def test_the_sets_are_listed(cli: Cli) -> None:
    found = {entry["name"]: entry["bytes"] for entry in cli("fetch", "--sets", "--json").json["sets"]}
    assert found["coco-val2017"] == 815_585_330 + 252_907_541
    assert "imagenette" in cli("fetch", "--sets").out


def slow(number: int) -> Page:
    def page(peer: Peer) -> None:
        peer.stopped.wait(0.03)
        peer.sock.sendall(answer(picture_of(number)))

    return page


def test_killed_in_the_middle_and_run_again(cli: Cli, start: Start, web: Web, tmp_path: Path, out: Path) -> None:
    count = 90
    entries = [{"url": web.put(f"/{n:03}.jpg", slow(n)), "title": f"no {n}"} for n in range(count)]
    arguments = allowed(web, list_of(tmp_path, entries), "-o", out, "--jobs", 4, "--json")
    for wanted in (20, 50):
        process = start(*arguments)
        until(lambda wanted=wanted: len(files(out)) >= wanted, process)
        process.kill()
        assert process.communicate()[0] == ""
        assert process.returncode == -signal.SIGKILL
        # Whatever is there under its name is whole.
        assert set(files(out).values()) <= {picture_of(n) for n in range(count)}
    outcome = cli(*arguments)
    assert outcome.code == 0, outcome.err
    report = outcome.json
    assert report["fetched"] + report["unchanged"] + report["duplicates"] == count
    assert report["unchanged"] >= 50 - 4
    assert sorted(files(out).values()) == sorted(picture_of(n) for n in range(count))
    assert list((out / ".fetch" / "tmp").iterdir()) == []
    # A picture that was there without its line in the journal is fetched twice, at most one for each job and kill.
    assert len(web.asked) <= count + 2 * 2 * 4
    ingested = cli("ingest", out, "--json").json
    assert (ingested["added"], ingested["failed"], ingested["unmatched"]) == (count, [], 0)
    hits = cli("search", "--text", "no 41", "--top-k", 1, "--json").json["results"]
    assert hits[0]["title"].startswith("no ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_so_and_a_later_run_goes_on(
    cli: Cli, start: Start, web: Web, tmp_path: Path, out: Path, number: signal.Signals
) -> None:
    entries = [{"url": web.put(f"/{n:03}.jpg", slow(n))} for n in range(60)]
    arguments = allowed(web, list_of(tmp_path, entries), "-o", out, "--jobs", 2, "--json")
    process = start(*arguments)
    until(lambda: len(files(out)) >= 5, process)
    process.send_signal(number)
    report, err = process.communicate()
    assert process.returncode == 1
    assert "start the same command again" in err
    assert json.loads(report)["interrupted"]
    assert json.loads(report)["fetched"] == len(files(out)) < 60
    again = cli(*arguments).json
    assert again["unchanged"] == json.loads(report)["fetched"]
    assert again["fetched"] + again["unchanged"] == 60


def test_two_at_once_in_one_folder(cli: Cli, start: Start, web: Web, tmp_path: Path, out: Path) -> None:
    entries = [{"url": web.put(f"/{n:03}.jpg", slow(n))} for n in range(60)]
    arguments = allowed(web, list_of(tmp_path, entries), "-o", out, "--jobs", 1, "--json")
    process = start(*arguments)
    until(lambda: len(files(out)) >= 1, process)
    check_error(cli(*arguments), 1, "another fetch is working")
    assert json.loads(process.communicate()[0])["fetched"] == 60


def test_a_download_that_is_killed_goes_on(cli: Cli, start: Start, web: Web, tmp_path: Path, out: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(30):
            archive.writestr(f"set/{number}.jpg", picture_of(number) + bytes(5000))
    data = buffer.getvalue()

    def slowly(peer: Peer) -> None:
        peer.sock.sendall(answer(b"", f"Content-Length: {len(data)}", 'ETag: "v1"', length=False))
        for at in range(0, len(data), 2000):
            peer.stopped.wait(0.02)
            peer.sock.sendall(data[at : at + 2000])

    url = web.put("/set.zip", slowly, ranged(data))
    record = {"name": "mine", "pictures": {"url": url, "size_bytes": len(data), "sha256": _sha256(data)}}
    source = tmp_path / "mine.set.json"
    source.write_text(json.dumps(record))
    arguments = allowed(web, source, "-o", out, "--json")
    process = start(*arguments)

    def got() -> int:
        return sum(path.stat().st_size for path in (out / ".fetch" / "downloads").glob("*.part"))

    until(lambda: got() > 40_000, process)
    process.kill()
    process.communicate()
    assert files(out) == {}
    assert cli(*arguments).json["fetched"] == 30
    assert b"\r\nRange: bytes=" in web.server.requests[-1]
    assert len(files(out)) == 30


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_flickr_list_by_way_of_its_own_server(cli: Cli, web: Web, tmp_path: Path, out: Path) -> None:
    from tests.unit.test_metadata_files import FLICKR

    if FLICKR is None:
        pytest.skip("needs the Flickr pictures of ../shared/data/flickr.tar, unpacked")
    lines = (FLICKR / "metadata.jsonl").read_text(encoding="utf-8").splitlines()[:60]
    entries = [json.loads(line) for line in lines]
    for entry in entries:
        data = (FLICKR / "images" / entry["filename"]).read_bytes()
        entry["image_url"] = web.put(f"/{entry['filename']}", answer(data))
    report = cli(*allowed(web, list_of(tmp_path, entries), "-o", out, "--json")).json
    assert report["fetched"] + report["duplicates"] == 60
    table = [json.loads(line) for line in (out / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
    by_source = {entry["source_url"]: entry for entry in table}
    for entry in entries:
        if (found := by_source.get(entry["page_url"])) is not None:
            assert (out / found["filename"]).read_bytes() == (FLICKR / "images" / entry["filename"]).read_bytes()
