"""check: does the library hold these already?"""

from __future__ import annotations

import hashlib
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image

from image_search.cli.checking import MANY
from image_search.interfaces import FloatArray
from image_search.storage.keys import original_key
from tests.cli.conftest import Cli, check_error
from tests.support import MeanColourEmbedder, draw, jpeg

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def near(library: Path, tmp_path: Path) -> Path:
    """The picture red_0 in other bytes."""
    path = tmp_path / "near.jpg"
    path.write_bytes(jpeg(draw((220, 30, 30), mark=0), quality=95))
    return path


@pytest.fixture
def new(tmp_path: Path) -> Path:
    """A picture that the library has not in any form."""
    path = tmp_path / "new.jpg"
    picture = draw((240, 230, 10), mark=4)
    picture.paste((0, 0, 0), (40, 10, 90, 30))
    path.write_bytes(jpeg(picture))
    return path


def held(document: dict[str, Any]) -> dict[str, str]:
    return {Path(result["name"]).name: result["held"] for result in document["results"]}


def test_what_is_there_and_what_is_not(cli: Cli, library: Path, near: Path, new: Path) -> None:
    red = library / "red/red_0.jpg"
    outcome = cli("check", red, near, new, "--json")
    assert outcome.code == 1
    answer = outcome.json
    assert answer["counts"] == {"identical": 1, "near_duplicate": 1, "no": 1, "failed": 0}
    assert held(answer) == {"red_0.jpg": "identical", "near.jpg": "near_duplicate", "new.jpg": "no"}
    first, second, third = answer["results"]
    assert first["id"] == hashlib.sha256(red.read_bytes()).hexdigest() == first["identical"]["id"]
    assert (second["identical"], second["near_duplicates"][0]["id"]) == (None, first["id"])
    assert (third["identical"], third["near_duplicates"]) == (None, [])
    assert cli("check", red, near, "--json").code == 0
    assert outcome.err == ""


def test_in_a_terminal(cli: Cli, library: Path, near: Path, new: Path) -> None:
    outcome = cli("check", library / "red/red_0.jpg", near, new)
    assert outcome.code == 1
    _, one, two, three, summary = outcome.out.splitlines()
    assert one.split()[0] == "identical"
    assert two.split()[0] == "near-duplicate"
    assert three.split() == ["new", str(new)]
    assert one.split()[-2:] == two.split()[-2:]
    assert one.split()[-1] == "red/red_0.jpg"
    assert summary == "1 identical, 1 near-duplicate, 1 new, 0 failed"


def test_the_same_bytes_only(cli: Cli, library: Path, near: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no network is needed")

    monkeypatch.setattr(MeanColourEmbedder, "embed", refuse)
    answer = cli("check", library / "red/red_0.jpg", near, "--exact", "--json")
    assert answer.code == 1
    assert held(answer.json) == {"red_0.jpg": "identical", "near.jpg": "no"}
    assert {result["near_duplicates"] for result in answer.json["results"]} == {None}


@pytest.mark.parametrize(("mode", "held_as"), [("copy", "identical"), ("hardlink", "identical"), ("reference", "no")])
def test_a_picture_that_the_library_only_refers_to_is_not_held(
    cli: Cli, gallery: Path, tmp_path: Path, mode: str, held_as: str
) -> None:
    """`check --exact FILE && rm FILE` must never remove the last copy."""
    assert cli("ingest", gallery, "--originals", mode).code == 0
    red = gallery / "red/red_0.jpg"
    code = int(held_as == "no")
    for given in ([red, "--exact"], [red.parent, "--exact"]):
        answer = cli("check", *given, "--json")
        assert answer.code == code
        assert held(answer.json)["red_0.jpg"] == held_as
    (told,) = cli("check", red, "--exact", "--json").json["results"]
    assert told["original"] == ("reference" if mode == "reference" else "kept")
    assert ("by reference to this very file" in cli("check", red, "--exact").out) == (mode == "reference")
    # Another copy may go: the library and the file that it refers to stay.
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(red.read_bytes())
    assert cli("check", copy, "--exact").code == 0
    linked = tmp_path / "linked.jpg"
    linked.symlink_to(red)
    assert cli("check", linked, "--exact").code == code


def test_the_files_of_hashes_are_looked_at_too(cli: Cli, gallery: Path, stdin: Callable[[bytes], None]) -> None:
    assert cli("ingest", gallery, "--originals", "reference").code == 0
    red = gallery / "red/red_0.jpg"
    digest = hashlib.sha256(red.read_bytes()).hexdigest()
    stdin(f"{digest}  {red}\n".encode())
    assert cli("check", "--sha256", "-", "--json").code == 1
    assert cli("check", "--sha256", digest, "--json").code == 0
    red.write_bytes(b"changed since")
    assert cli("check", "--sha256", digest, "--json").code == 1


def test_a_row_without_its_picture_holds_nothing(cli: Cli, library: Path, data_dir: Path) -> None:
    red = library / "red/red_0.jpg"
    digest = hashlib.sha256(red.read_bytes()).hexdigest()
    (data_dir / "images" / original_key(digest)).unlink()
    for given in ([red, "--exact"], ["--sha256", digest]):
        outcome = cli("check", *given, "--json")
        assert (outcome.code, outcome.json["results"][0]["original"]) == (1, "missing")
    assert "without its picture" in cli("check", red, "--exact").out


@pytest.mark.parametrize("exact", [[], ["--exact"]])
def test_a_folder(cli: Cli, library: Path, exact: list[str]) -> None:
    (library / "notes.txt").write_text("no picture")
    (library / ".hidden.jpg").write_bytes(b"x")
    outcome = cli("check", library, *exact, "--json")
    assert outcome.code == 0, outcome
    assert outcome.json["counts"] == {"identical": 15, "near_duplicate": 0, "no": 0, "failed": 0}
    assert outcome.json["not_pictures"] == [str(library / "notes.txt")]
    assert f"1 file is no picture: {library / 'notes.txt'}\n" in cli("check", library, *exact).out
    for number in range(5):
        (library / f"notes_{number}.txt").write_text("no picture")
    last = cli("check", library, *exact).out.splitlines()[-1]
    assert last.startswith("6 files are no pictures: ")
    assert last.endswith("notes_3.txt, ...")


def test_broken_ones_are_listed_and_the_others_answered(cli: Cli, library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    whole = (library / "red/red_0.jpg").read_bytes()
    (folder / "whole.jpg").write_bytes(whole)
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    text = tmp_path / "text.jpg"
    text.write_text("no picture")
    outcome = cli("check", folder, text, "/nowhere.jpg", "--json")
    assert outcome.code == 1
    assert held(outcome.json) == {"whole.jpg": "identical"}
    reasons = {Path(failure["path"]).name: failure["reason"] for failure in outcome.json["failed"]}
    assert set(reasons) == {"cut.jpg", "text.jpg", "nowhere.jpg"}
    assert "cut short" in reasons["cut.jpg"]
    assert "cannot be read" in reasons["nowhere.jpg"]
    shown = cli("check", folder, text)
    assert "1 identical, 0 near-duplicates, 0 new, 2 failed" in shown.out
    assert f"{text}: not a picture of a known format" in shown.out


def test_names_that_are_no_utf_8(cli: Cli, library: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff.jpg"))
    odd.write_bytes((library / "red/red_0.jpg").read_bytes())
    for command in ("check", "search"):
        for form in ((), ("--json",)):
            outcome = cli(command, odd, library / "red/red_0.jpg", *form)
            assert outcome.code == 0, outcome
            assert "odd\ufffd.jpg" in outcome.out


def test_by_hashes(cli: Cli, library: Path, new: Path, stdin: Callable[[bytes], None]) -> None:
    there, absent = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (library / "red/red_0.jpg", new))
    outcome = cli("check", "--sha256", there.upper(), absent, "--json")
    assert outcome.code == 1
    assert [(r["id"], r["held"]) for r in outcome.json["results"]] == [(there, "identical"), (absent, "no")]
    assert cli("check", "--sha256", there).code == 0
    stdin(f"{there}  red boat.jpg\n{there} *binary.jpg\n\\{absent}  back\\\\slash.jpg\n\n".encode())
    listed = cli("check", "--sha256", "-", "--json").json["results"]
    assert [(r["name"], r["held"]) for r in listed] == [
        ("red boat.jpg", "identical"),
        ("binary.jpg", "identical"),
        ("back\\\\slash.jpg", "no"),
    ]
    stdin(b"MD5 of nothing\n")
    check_error(cli("check", "--sha256", "-", "--json"), 2, "64 hex digits")


def test_a_picture_on_stdin(cli: Cli, library: Path, stdin: Callable[[bytes], None]) -> None:
    stdin((library / "blue/blue_1.jpg").read_bytes())
    assert held(cli("check", "-", "--json").json) == {"-": "identical"}


def test_many_files_show_progress(cli: Cli, library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    for number in range(MANY):
        (folder / f"{number}.jpg").write_bytes((library / "red/red_0.jpg").read_bytes())
    outcome = cli("check", folder, "--exact", "--json")
    assert outcome.json["counts"]["identical"] == MANY
    assert "checking: 0 of 20" in outcome.err


def test_a_stop_tells_what_is_known_so_far(cli: Cli, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embed = MeanColourEmbedder.embed

    def stopping(self: MeanColourEmbedder, images: Sequence[Image]) -> FloatArray:
        os.kill(os.getpid(), signal.SIGINT)
        return embed(self, images)

    monkeypatch.setattr(MeanColourEmbedder, "embed", stopping)
    outcome = cli("check", library, "--json")
    assert outcome.code == 1
    assert (outcome.json["interrupted"], len(outcome.json["results"])) == (True, 1)
    assert "Stopped early" in outcome.err


def test_before_there_is_a_library(cli: Cli, new: Path) -> None:
    for given in ((new,), (new, "--exact"), ("--sha256", "0" * 64)):
        check_error(cli("check", *given, "--json"), 1, "ingest some pictures first")
