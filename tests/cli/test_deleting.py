"""delete, restore, trash."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_search.services.library.service import LibraryService
from tests.cli.conftest import Cli, check_error, ids

pytestmark = pytest.mark.usefixtures("stand_ins")


def stored(data_dir: Path) -> set[str]:
    """Originals in the image store."""
    return {name for _, _, files in os.walk(data_dir / "images" / "originals") for name in files}


def deleted(cli: Cli, *more: object) -> set[str]:
    return {image["id"] for image in cli("trash", "list", "--json", *more).json["images"]}


def test_delete_and_restore(cli: Cli, library: Path, data_dir: Path) -> None:
    green = ids(cli)["green/green_1.jpg"]
    before = cli("show", green, "--json").json
    assert cli("delete", green, "--json").json == {"deleted": 1, "restorable_days": 30, "purged": 0}
    assert cli("delete", green, "--json").json == {"deleted": 0, "restorable_days": 0, "purged": 0}
    assert cli("show", green).code == 1
    assert (library / "green/green_1.jpg").exists()
    assert cli("status", "--json").json["images"] == 14
    assert green in stored(data_dir)
    restored = cli("restore", green[:12], "--json")
    assert (restored.code, restored.json) == (0, {"restored": [before], "failed": []})
    assert cli("status", "--json").json["images"] == 15
    # One that is there is as it should be.
    assert cli("restore", green, "--json").json["restored"] == [before]


def test_delete_in_words(cli: Cli, library: Path) -> None:
    red, blue, green = (ids(cli)[f"{name}/{name}_0.jpg"] for name in ("red", "blue", "green"))
    assert cli("delete", red[:12], blue).out == "2 deleted; for 30 days: image-search restore ID\n"
    assert cli("delete", red[:12]).out == f"0 deleted\n1 in the trash already: image-search restore {red[:12]}\n"
    assert cli("delete", "0" * 64).out == "0 deleted\n"
    assert cli("delete", green, "--permanently").out == "1 deleted for good\n"


def test_what_is_in_the_trash_is_said_to_be_there(cli: Cli, library: Path) -> None:
    green = ids(cli)["green/green_1.jpg"]
    shown = cli("show", green, "--json").json
    assert cli("delete", green).code == 0
    hint = f"picture {green[:12]} is in the trash: image-search restore {green[:12]}"
    for given in (green, green[:12]):
        for command in (("show", given), ("update", given, "--title", "x"), ("search", "--id", given)):
            check_error(cli(*command, "--json"), 1, hint)
    for _ in range(2):
        assert cli("restore", green[:12], "--json").json["restored"] == [shown]
    assert cli("show", green, "--json").json == shown


def test_permanently(cli: Cli, library: Path, data_dir: Path) -> None:
    red, blue = ids(cli)["red/red_0.jpg"], ids(cli)["blue/blue_0.jpg"]
    assert cli("delete", red).code == 0
    # Of the collection, and of its trash; by their first digits both.
    answer = cli("delete", "--permanently", red[:12], blue[:12], "--json").json
    assert answer == {"deleted": 2, "restorable_days": 0, "purged": 0}
    assert not {red, blue} & stored(data_dir)
    assert deleted(cli) == set()
    check_error(cli("restore", red, "--json"), 1, "in the trash")


def test_a_library_that_keeps_nothing_deleted(cli: Cli, library: Path, data_dir: Path) -> None:
    red = ids(cli)["red/red_0.jpg"]
    outcome = cli("--set", "library.trash_days=0", "delete", red)
    assert outcome.out == "1 deleted for good\n"
    assert red not in stored(data_dir)


def test_delete_purges_what_is_too_old(
    cli: Cli, library: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red, blue, green = (ids(cli)[f"{name}/{name}_0.jpg"] for name in ("red", "blue", "green"))
    other = ids(cli)["red/red_1.jpg"]
    now_s = time.time()
    for image_id, days_ago in ((red, 31), (blue, 29)):
        with monkeypatch.context() as past:
            past.setattr(time, "time", lambda days=days_ago: now_s - days * 86_400)
            assert cli("delete", image_id, "--json").json["deleted"] == 1
    assert deleted(cli) == {red, blue}
    # Once a day: it reads the whole trash of all collections.
    assert cli("delete", other, "--json").json["purged"] == 0
    os.utime(data_dir / "purged", (now_s - 86_401,) * 2)
    outcome = cli("delete", green)
    assert outcome.out.splitlines()[1] == "1 that had been in the trash for more than 30 days are gone for good"
    assert deleted(cli) == {blue, green, other}
    assert red not in stored(data_dir)


def test_only_the_first_delete_of_a_day_looks_for_what_is_too_old(
    cli: Cli, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red, blue = ids(cli)["red/red_0.jpg"], ids(cli)["blue/blue_0.jpg"]
    purges: list[float] = []
    purge = LibraryService.purge

    def noting(self: LibraryService, **named: Any) -> int:
        purges.append(named["older_than_s"])
        return purge(self, **named)

    monkeypatch.setattr(LibraryService, "purge", noting)
    assert cli("delete", red).code == 0
    assert cli("delete", blue).code == 0
    assert purges == [30 * 86_400]


def test_restore_of_several_one_of_them_unknown(cli: Cli, library: Path) -> None:
    red, blue = ids(cli)["red/red_0.jpg"], ids(cli)["blue/blue_0.jpg"]
    assert cli("delete", red, blue).code == 0
    outcome = cli("restore", red, "0" * 64, blue[:12], "--json")
    assert outcome.code == 1
    assert {record["id"] for record in outcome.json["restored"]} == {red, blue}
    (failed,) = outcome.json["failed"]
    assert failed["id"] == "0" * 64
    assert "no picture" in failed["reason"]
    assert cli("status", "--json").json["images"] == 15
    shown = cli("restore", red, "0" * 64)
    assert shown.code == 1
    assert shown.out.startswith("1 restored, 1 could not be:\n")


def test_the_trash_page_by_page(cli: Cli, library: Path) -> None:
    assert cli("trash", "list").out == cli("trash").out == "The trash is empty.\n"
    assert cli("trash", "--limit", 1, "--json").json == {"images": [], "next": None}
    assert "empty" in cli("trash", "--help").out
    gone = sorted(ids(cli).values())[:5]
    assert cli("delete", *gone).code == 0
    first = cli("trash", "list", "--limit", 3, "--json").json
    assert [image["id"] for image in first["images"]] == gone[:3]
    assert first["next"] == gone[2]
    rest = cli("trash", "list", "--after", first["next"], "--json").json
    assert ([image["id"] for image in rest["images"]], rest["next"]) == (gone[3:], None)
    assert first["images"][0]["deleted_at"][:10] < first["images"][0]["kept_until"][:10]
    lines = cli("trash", "list", "--limit", 3).out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == [image_id[:12] for image_id in gone[:3]]
    assert lines[-1] == f"There are more: --after {gone[2]}"


def test_trash_empty(cli: Cli, library: Path, data_dir: Path) -> None:
    red = ids(cli)["red/red_0.jpg"]
    assert cli("delete", red).code == 0
    kept = cli("trash", "empty", "--older-than", 1, "--yes", "--json")
    assert (kept.code, kept.json) == (0, {"purged": 0, "interrupted": False})
    assert deleted(cli) == {red}
    assert cli("trash", "empty", "--yes").out == "1 gone for good\n"
    assert deleted(cli) == set()
    assert red not in stored(data_dir)


class Terminal(io.StringIO):
    """A stdin at which somebody sits."""

    def isatty(self) -> bool:
        return True


def test_trash_empty_asks(
    cli: Cli, library: Path, monkeypatch: pytest.MonkeyPatch, stdin: Callable[[bytes], None]
) -> None:
    red = ids(cli)["red/red_0.jpg"]
    assert cli("delete", red).code == 0
    stdin(b"y\n")
    check_error(cli("trash", "empty", "--json"), 2, "--yes")
    for answer in ("n\n", "\n", ""):
        monkeypatch.setattr(sys, "stdin", Terminal(answer))
        refused = cli("trash", "empty", "--json")
        assert (refused.code, refused.out) == (1, "")
        assert "in all collections?" in refused.err
        assert deleted(cli) == {red}
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert cli("trash", "empty", "--json").json["purged"] == 1


def test_before_there_is_a_library(cli: Cli) -> None:
    for command in (("delete", "0" * 64), ("restore", "0" * 64), ("trash", "list"), ("trash", "empty", "--yes")):
        check_error(cli(*command, "--json"), 1, "ingest some pictures first")
