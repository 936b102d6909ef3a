"""search: by pictures, words, both; several at once; what a terminal shows of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from image_search.thresholds import MEASURED
from tests.cli.conftest import Cli, check_error, ids
from tests.support import MEAN_COLOUR_MODEL, draw, jpeg

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def worded(cli: Cli, gallery: Path, tmp_path: Path) -> Path:
    """The gallery's folder, ingested with words for three pictures."""
    words = tmp_path / "words.jsonl"
    lines = [
        {"filename": "red/red_0.jpg", "title": "A boat in the harbour", "tags": ["sea"], "fields": {"year": 2019}},
        {"filename": "red/red_1.jpg", "title": "A lighthouse", "tags": ["sea"]},
        {"filename": "blue/blue_0.jpg", "title": "Another boat"},
    ]
    words.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert cli("ingest", gallery, "--metadata", words).code == 0
    return gallery


def names(document: dict[str, list[dict[str, str]]]) -> list[str]:
    return [result["source_name"] for result in document["results"]]


def test_by_a_picture(cli: Cli, library: Path) -> None:
    outcome = cli("search", library / "red/red_2.jpg", "--top-k", 3, "--json")
    assert outcome.code == 0
    answer = outcome.json
    assert set(answer) >= {"results", "timing_ms", "query", "model", "page", "collection", "nothing_close", "cut_off"}
    assert set(answer["timing_ms"]) == {"fetch", "decode", "embed", "search", "total"}
    assert [result["rank"] for result in answer["results"]] == [1, 2, 3]
    first = answer["results"][0]
    assert (first["source_name"], first["match"], first["found_by"]) == ("red/red_2.jpg", "identical", ["image"])
    assert first["score"] == pytest.approx(1, abs=1e-5)
    assert answer["page"] == {"offset": 0, "top_k": 3, "returned": 3, "has_more": True}
    for given in (first["id"], first["id"][:12]):
        by_id = cli("search", "--id", given, "--top-k", 3, "--offset", 1, "--json").json
        assert [result["id"] for result in by_id["results"]][:2] == [result["id"] for result in answer["results"]][1:]
        assert by_id["results"][0]["rank"] == 2


def test_in_a_terminal(cli: Cli, library: Path) -> None:
    outcome = cli("search", library / "red/red_2.jpg", "--top-k", 3)
    assert outcome.code == 0
    first = next(line for line in outcome.out.splitlines() if "red/red_2.jpg" in line)
    assert first.split()[:2] == ["1", "1.0000"]
    assert "identical" in first
    assert "embed" in outcome.out
    assert "--offset 3" in outcome.out
    assert "words" not in outcome.out
    assert "load" in outcome.out
    past = cli("search", library / "red/red_2.jpg", "--offset", 20).out
    assert past.startswith("No more results: there are no more than 20.\n")
    none = cli("search", library / "red/red_2.jpg", "--filter", '{"width": 1}').out
    assert none.startswith("Nothing found.\n")
    by_id = cli("search", "--id", ids(cli)["red/red_2.jpg"]).out
    assert "load" not in by_id, "its vector is there: no network is needed"


def test_by_words(cli: Cli, worded: Path) -> None:
    answer = cli("search", "--text", "boat", "--json").json
    assert set(names(answer)) == {"red/red_0.jpg", "blue/blue_0.jpg"}
    assert {result["scores"]["image"] for result in answer["results"]} == {None}
    assert answer["query"]["text"] == "boat"
    boat = ids(cli)["red/red_0.jpg"]
    like = cli("search", "--text-of", boat[:8], "--json").json
    assert names(like)[0] == "red/red_0.jpg"
    assert "boat" in like["query"]["text"]
    shown = cli("search", "--text", "boat").out
    assert "Another boat" in shown
    assert "█" not in shown
    assert "Nothing found." in cli("search", "--text", "zebra").out


def test_by_both(cli: Cli, worded: Path) -> None:
    asked = ("search", worded / "blue/blue_0.jpg", "--text", "lighthouse", "--top-k", 15)
    answer = cli(*asked, "--weights", "0.1,9", "--json").json
    first = answer["results"][0]
    assert (first["source_name"], "text" in first["found_by"]) == ("red/red_1.jpg", True)
    assert first["scores"]["text"] > 0
    assert names(cli(*asked, "--weights", "9,0.1", "--json").json)[0] == "blue/blue_0.jpg"
    lines = cli(*asked, "--weights", "9,0.1").out.splitlines()
    assert lines[0].split() == [
        "#",
        "score",
        "image",
        "words",
        "found",
        "by",
        "match",
        "id",
        "picture",
        "size",
        "title",
    ]
    blue = next(line for line in lines if "blue/blue_0.jpg" in line)
    assert "picture" in blue
    assert "identical" in blue
    lighthouse = next(line for line in lines if "red/red_1.jpg" in line)
    assert f"{first['scores']['text']:.4f}" in lighthouse


def test_a_filter_as_text_and_as_a_file(cli: Cli, worded: Path, tmp_path: Path) -> None:
    wanted = {"tags": {"any": ["sea"]}, "fields.year": {"gte": 2000}}
    file = tmp_path / "wanted.json"
    file.write_text(json.dumps(wanted), encoding="utf-8-sig")
    for given in (json.dumps(wanted), f"@{file}"):
        assert names(cli("search", worded / "blue/blue_1.jpg", "--filter", given, "--json").json) == ["red/red_0.jpg"]
    file.write_bytes(b"\xff\xfe\xff")
    check_error(cli("search", "--text", "x", "--filter", f"@{file}", "--json"), 2, "UTF-8")


def test_unlike_and_collapse(cli: Cli, library: Path) -> None:
    known = ids(cli)
    plain = cli("search", "--id", known["red/red_0.jpg"], "--top-k", 15, "--json").json
    unlike = (known["red/red_1.jpg"][:12], known["red/red_2.jpg"])
    options = [part for image_id in unlike for part in ("--unlike", image_id)]
    less = cli("search", "--id", known["red/red_0.jpg"], "--top-k", 15, *options, "--json").json
    assert {"red/red_1.jpg", "red/red_2.jpg"} == set(names(plain)) - set(names(less))

    (library / "red" / "again.jpg").write_bytes((library / "red/red_0.jpg").read_bytes() + b"\0")
    assert cli("ingest", library, "--json").json["added"] == 1
    query = ("search", library / "red/red_0.jpg", "--top-k", 15)
    before, after = (cli(*query, "--collapse", how, "--json").json for how in ("none", "near_duplicate"))
    assert len(after["results"]) < len(before["results"])
    assert after["results"][0]["collapsed"]
    hidden = len(after["results"][0]["collapsed"])
    assert f"identical +{hidden}" in cli(*query, "--collapse", "near_duplicate").out


def test_a_region(cli: Cli, library: Path, tmp_path: Path) -> None:
    both = draw((220, 30, 30), size=(96, 64))
    both.paste((40, 50, 220), (0, 0, 48, 64))
    picture = tmp_path / "both.jpg"
    picture.write_bytes(jpeg(both))
    for region, colour in (("0,0,0.5,1", "blue"), ("0.5,0,1,1", "red")):
        assert names(cli("search", picture, "--crop", region, "--json").json)[0].startswith(colour)


def test_a_random_picture(cli: Cli, library: Path) -> None:
    first = cli("search", "--random", "--top-k", 1, "--json").json
    assert first["query"]["image_id"] == first["results"][0]["id"]
    assert first["results"][0]["match"] == "identical"
    head, _, first_row = cli("search", "--random", "--top-k", 1).out.splitlines()[:3]
    assert head.startswith("Searching with ")
    assert set(head.split()[2:]) <= set(first_row.split())
    assert cli("delete", *ids(cli).values()).code == 0
    check_error(cli("search", "--random", "--json"), 1, "has no pictures")


def test_a_picture_on_stdin(cli: Cli, library: Path, stdin: Callable[[bytes], None]) -> None:
    stdin((library / "green/green_3.jpg").read_bytes())
    assert names(cli("search", "-", "--json").json)[0] == "green/green_3.jpg"
    stdin(b"no picture")
    check_error(cli("search", "-", "--json"), 1, "known format")


def test_several_pictures_one_of_them_broken(cli: Cli, library: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes((library / "red/red_0.jpg").read_bytes()[:200])
    files = [library / "red/red_0.jpg", broken, "/nowhere.jpg", library / "blue/blue_0.jpg"]
    outcome = cli("search", *files, "--top-k", 2, "--json")
    assert outcome.code == 1
    one, two, three, four = outcome.json
    assert [entry["file"] for entry in outcome.json] == [str(file) for file in files]
    assert (names(one)[0], names(four)[0]) == ("red/red_0.jpg", "blue/blue_0.jpg")
    assert two["error"] == {"type": "InvalidImage", "message": "the picture is cut short or damaged"}
    assert three["error"]["message"].startswith("cannot be read: "), "its name stands beside it"

    shown = cli("search", *files)
    assert shown.code == 1
    assert shown.out.count("embed") == 2
    assert f"{files[0]}:" in shown.out
    check_error(cli("search", broken, "--json"), 1, f"{broken}: the picture is cut short or damaged")
    assert "2 of 4 could not be searched with" in shown.err
    assert f"{broken}: the picture is cut short or damaged" in shown.err
    assert cli("search", files[0], files[3], "--json").code == 0


def test_what_is_wrong_for_all_ends_all(cli: Cli, library: Path) -> None:
    files = (library / "red/red_0.jpg", library / "blue/blue_0.jpg")
    check_error(cli("search", *files, "--top-k", 0, "--json"), 2, "top_k")
    check_error(cli("search", *files, "--collection", "other", "--json"), 1, "no collection 'other'")


def test_nothing_close_is_said(cli: Cli, library: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(MEASURED, MEAN_COLOUR_MODEL, {"none": (((4, 0.99),), 0.97)})
    far = tmp_path / "far.jpg"
    far.write_bytes(jpeg(draw((200, 200, 30), mark=9)))
    answer = cli("search", far, "--json").json
    assert (answer["nothing_close"], answer["cut_off"]) == (True, 0.97)
    shown = cli("search", far).out
    assert "Nothing close: no picture reaches 0.97" in shown
    assert answer["results"][0]["source_name"] in shown
    assert "Nothing close" not in cli("search", library / "red/red_0.jpg").out


def test_what_owners_wrote_does_not_steer_the_terminal(cli: Cli, worded: Path) -> None:
    green = ids(cli)["green/green_0.jpg"]
    title = "[bold]\x1b[31mgrass\x1b[0m"
    assert cli("update", green, "--title", title, "--json").json["title"] == title
    for command in (("search", "--id", green, "--top-k", 1), ("list",), ("show", green)):
        shown = cli(*command).out
        assert "[bold] [31mgrass" in shown
        assert "\x1b" not in shown


def test_before_there_is_a_library(cli: Cli, gallery: Path) -> None:
    for given in ((gallery / "red/red_0.jpg",), ("--text", "boat"), ("--random",)):
        check_error(cli("search", *given, "--json"), 1, "ingest some pictures first")


def test_an_address_that_is_refused_is_told_with_the_way_out(cli: Cli, library: Path) -> None:
    inside = "127.0.0.1 is at 127.0.0.1, which is neither public nor listed in url_fetch.allow"
    way_out = "to admit it, add 127.0.0.1:{} to url_fetch.allow"
    refused = cli("search", "--url", "http://127.0.0.1/a.jpg", "--json")
    check_error(refused, 1, f"cannot be fetched: {inside}; {way_out.format(80)}")
    refused = cli("search", "--url", "http://127.0.0.1:99/a.jpg", "--json")
    check_error(refused, 2, f"port 99 is not accepted; accepted are 80, 443; {way_out.format(99)}")
    check_error(cli("search", "--url", "http://nowhere.invalid/a.jpg", "--json"), 1, "cannot be fetched: ")
