"""show, list, random, update, and ids that are shortened."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from image_search.cli.ids import MIN_DIGITS
from image_search.cli.options import parse_field, split_tags
from image_search.cli.tables import plain
from image_search.services.library.changes import Changes
from image_search.services.library.service import LibraryService
from image_search.types import ImageRecord
from tests.cli.conftest import Cli, check_error, ids

pytestmark = pytest.mark.usefixtures("stand_ins")


def test_show(cli: Cli, library: Path) -> None:
    green = ids(cli)["green/green_1.jpg"]
    shown = cli("show", green, "--json").json
    assert (shown["id"], shown["source_name"], shown["width"]) == (green, "green/green_1.jpg", 96)
    assert f"source_name       {'green/green_1.jpg'}" in cli("show", green[:12]).out


def test_first_digits_are_enough(cli: Cli, library: Path) -> None:
    known = sorted(ids(cli).values())
    for image_id in known:
        assert cli("show", image_id[:MIN_DIGITS], "--json").json["id"] == image_id
    for command in (("show",), ("search", "--id")):
        check_error(cli(*command, known[0][: MIN_DIGITS - 1], "--json"), 2, "give at least 6 digits")


def test_digits_that_several_ids_begin_with(cli: Cli, library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Pictures whose ids begin with the same six digits cannot be drawn; none at all is a beginning of all.
    monkeypatch.setattr("image_search.cli.ids._BEGINNING", re.compile("[0-9a-f]{0,63}"))
    check_error(cli("show", "", "--json"), 2, "several pictures' ids begin with")


def test_list_page_by_page(cli: Cli, library: Path) -> None:
    whole = cli("list", "--json").json
    assert whole["next"] is None
    every = [image["id"] for image in whole["images"]]
    assert (len(every), every) == (15, sorted(every))
    seen: list[str] = []
    following: list[Any] = []
    while True:
        page = cli("list", "--limit", 4, *following, "--json").json
        seen += [image["id"] for image in page["images"]]
        if page["next"] is None:
            break
        following = ["--after", page["next"]]
    assert seen == every


def test_list_in_a_terminal(cli: Cli, library: Path) -> None:
    known = ids(cli)
    outcome = cli("list", "--limit", 14)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert len(lines) == 1 + 14 + 1
    assert lines[1].split()[:2] == [sorted(known.values())[0][:12], min(known, key=lambda name: known[name])]
    assert lines[-1] == f"There are more: --after {sorted(known.values())[13]}"
    assert cli("list", "--filter", '{"width": {"gt": 96}}').out == "No pictures.\n"


def test_list_with_a_filter(cli: Cli, library: Path) -> None:
    assert set(ids(cli, "--filter", '{"source_name": {"starts_with": "red/"}}')) == {
        f"red/red_{n}.jpg" for n in range(5)
    }


def test_random(cli: Cli, library: Path) -> None:
    found = cli("random", "-n", 4, "--json").json["images"]
    assert len({image["id"] for image in found}) == 4
    red = cli("random", "-n", 100, "--filter", '{"source_name": {"starts_with": "red/"}}', "--json").json["images"]
    assert {image["source_name"] for image in red} == {f"red/red_{n}.jpg" for n in range(5)}
    assert len(cli("random").out.splitlines()) == 2
    assert cli("random", "--filter", '{"width": 1}').out == "No pictures.\n"


def test_update(cli: Cli, library: Path) -> None:
    red = ids(cli)["red/red_0.jpg"]
    changed = cli(
        "update",
        red[:12],
        *(
            "--title",
            "A boat",
            "--tags",
            "sea, boat,,draft",
            "--text",
            "Long ago",
            "--source-url",
            "https://a.example/",
        ),
        *("--created-at", "2019-05-17T12:00:00+02:00", "--field", "rating=5", "--field", "camera=X100"),
        "--json",
    ).json
    expected = {
        "id": red,
        "title": "A boat",
        "tags": ["sea", "boat", "draft"],
        "text": "Long ago",
        "source_url": "https://a.example/",
        "created_at": "2019-05-17T10:00:00Z",
        "fields": {"rating": 5, "camera": "X100"},
    }
    assert {key: changed[key] for key in expected} == expected
    assert cli("show", red, "--json").json == changed
    again = cli(
        "update",
        red,
        *("--add-tag", "2019", "--add-tag", "sea", "--remove-tag", "draft", "--clear", "title", "--clear", "text"),
        *("--clear", "fields.camera", "--clear", "fields.nothing", "--json"),
    ).json
    assert (again["title"], again["text"], again["tags"]) == ("", "", ["sea", "boat", "2019"])
    assert again["fields"] == {"rating": 5}
    assert (again["source_url"], again["created_at"]) == (changed["source_url"], changed["created_at"])
    shown = cli("update", red, "--clear", "tags", "--created-at", "2020-01-31").out
    assert "fields.rating     5" in shown
    assert "created_at        2020-01-31T00:00:00Z" in shown
    assert cli("show", red, "--json").json["tags"] == []


def test_a_tag_that_comes_from_elsewhere_meanwhile_stays(
    cli: Cli, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    red = ids(cli)["red/red_0.jpg"]
    update = LibraryService.update

    def late(self: LibraryService, collection: str, image_id: str, changes: Changes) -> ImageRecord:
        update(self, collection, image_id, Changes(tags=("from elsewhere",)))
        return update(self, collection, image_id, changes)

    monkeypatch.setattr(LibraryService, "update", late)
    assert cli("update", red, "--add-tag", "mine", "--json").json["tags"] == ["from elsewhere", "mine"]


def test_an_update_that_is_refused_changes_nothing(cli: Cli, library: Path) -> None:
    red = ids(cli)["red/red_0.jpg"]
    before = cli("show", red, "--json").json
    check_error(cli("update", red, "--title", "x", "--text", "long " * 20_000, "--json"), 2, "text")
    check_error(cli("update", red, "--title", "x", "--field", "big=1e999", "--json"), 2, "fields")
    assert cli("show", red, "--json").json == before


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=1", 1),
        ("a=1.5", 1.5),
        ("a=true", True),
        ("a=null", None),
        ('a="7"', "7"),
        ("a=seven", "seven"),
        ("a=", ""),
        ("a=b=c", "b=c"),
        ("a=[1]", "[1]"),
        ("a=NaN", "NaN"),
        ("a=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_values_of_fields(text: str, value: object) -> None:
    name, parsed = parse_field(text)
    assert (name, parsed, type(parsed)) == ("a", value, type(value))


def test_tags_with_commas_between() -> None:
    assert split_tags(" a, b c ,,d") == ("a", "b c", "d")
    assert split_tags("") == ()


def test_plain_text() -> None:
    assert plain("a\x1b[2Jb\r\nc\x9bd\u2028e\ud800 👩‍🚀") == "a [2Jb  c d e\ufffd 👩‍🚀"


def test_before_there_is_a_library(cli: Cli) -> None:
    for command in (("list",), ("random",), ("show", "0" * 12), ("update", "0" * 64, "--title", "x")):
        check_error(cli(*command, "--json"), 1, "ingest some pictures first")


def test_a_list_that_is_json_has_every_field(cli: Cli, library: Path) -> None:
    outcome = cli("list", "--limit", 1, "--json")
    (image,) = json.loads(outcome.out)["images"]
    assert image == cli("show", image["id"], "--json").json
