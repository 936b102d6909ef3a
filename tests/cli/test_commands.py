"""Every command over stand-ins: help, exit codes, one JSON document, the keys that scripts rely on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest

from image_search.cli.group import group
from tests.cli.conftest import Cli, check_error
from tests.support import draw, jpeg

pytestmark = pytest.mark.usefixtures("stand_ins")


def every_command() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {"": group}
    waiting: list[tuple[str, click.Command]] = [("", group)]
    while waiting:
        name, command = waiting.pop()
        if isinstance(command, click.Group):
            for part, below in command.commands.items():
                full = f"{name} {part}".strip()
                found[full] = below
                waiting.append((full, below))
    return found


COMMANDS = every_command()
LEAVES = [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)]


@pytest.mark.parametrize("name", COMMANDS)
def test_help(cli: Cli, name: str) -> None:
    for flag in ("--help", "-h"):
        outcome = cli(*name.split(), flag)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("Usage: image-search")
        if name in LEAVES or not name:
            assert "Example" in outcome.out
            assert f"image-search {name}".strip() in outcome.out.split("Example")[1]


@pytest.mark.parametrize("name", [name for name in COMMANDS if name])
def test_every_command_takes_the_options_of_all(cli: Cli, name: str) -> None:
    taken = [option for parameter in COMMANDS[name].params for option in parameter.opts]
    assert {"--config", "--data-dir", "--set"} <= set(taken)
    assert len(taken) == len(set(taken))
    assert "Options of every command: --config FILE, --data-dir DIR, --set" in cli(*name.split(), "--help").out


def test_the_options_of_all_stand_before_or_after_the_command(cli: Cli, gallery: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert cli("ingest", gallery, "--data-dir", other, "--json").code == 0
    check_error(cli("list", "--json"), 1, "no library in")
    found = [
        cli("list", "--data-dir", other, "--json"),
        cli("--data-dir", other, "list", "--json"),
        cli("list", "--set", f"library.data_dir={other}", "--json"),
        cli("--set", f"library.data_dir={tmp_path}", "list", "--data-dir", other, "--json"),
    ]
    assert all(outcome.json["images"] == found[0].json["images"] != [] for outcome in found)
    # A group that means its `list` takes them as well, and so does one below it.
    assert cli("trash", "--data-dir", other, "--json").json["images"] == []
    assert cli("trash", "list", "--data-dir", other, "--json").json["images"] == []
    (tmp_path / "mine.ini").write_text(f"[library]\ndata_dir = {tmp_path}\ncollection = mine\n")
    shown = cli("config", "show", "--config", tmp_path / "mine.ini", "--set", "ingest.threads=3", "--json").json
    assert shown["library.collection"]["value"] == "mine"
    assert shown["ingest.threads"]["value"] == "3"
    check_error(cli("list", "--set", "nonsense", "--json"), 2, "SECTION.KEY=VALUE")
    check_error(cli("list", "--set", "library.nonsense=1", "--json"), 2, "unknown")


@pytest.mark.parametrize("group", [name for name in COMMANDS if name not in LEAVES])
def test_the_options_of_all_stand_between_a_group_and_its_command(cli: Cli, group: str, tmp_path: Path) -> None:
    for command in (name for name in LEAVES if name.startswith(f"{group} ".lstrip())):
        inner = command.removeprefix(group).split()
        given = ("--data-dir", tmp_path, f"--config={tmp_path / 'x.ini'}", "--set", "ingest.threads=3")
        outcome = cli(*group.split(), *given, *inner, "--help")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith(f"Usage: image-search {command} ")


def test_between_a_group_and_what_only_its_list_takes(cli: Cli, library: Path, tmp_path: Path) -> None:
    for given in (("--data-dir", tmp_path), (f"--data-dir={tmp_path}",)):
        for more in ((), ("--limit", 5), ("list", "--limit", 5)):
            check_error(cli("jobs", *given, *more, "--json"), 1, f"no library in {tmp_path}")
            check_error(cli("jobs", *more, *given, "--json"), 1, f"no library in {tmp_path}")
        assert "show" in cli("jobs", *given, "--help").out
    assert "requires an argument" in cli("jobs", "--data-dir").err


@pytest.mark.parametrize(
    ("command", "mistyped", "meant"),
    [
        ("search", "--topk", ["--top-k"]),
        ("search", "--jsn", ["--json"]),
        ("ingest", "--sett", ["--set"]),
        ("fetch", "--sest", ["--set", "--sets"]),
        ("jobs", "--limt", ["--limit"]),
        ("search", "--zzzzzz", []),
    ],
)
def test_only_what_is_nearest_to_a_mistyped_option_is_named(
    cli: Cli, command: str, mistyped: str, meant: list[str]
) -> None:
    outcome = cli(command, mistyped, "5", "--json")
    assert outcome.code == 2
    message = outcome.json["error"]["message"]
    assert re.findall(r"'(--[a-z-]+)'", message) == [mistyped, *meant]
    assert message in outcome.err


def test_the_commands_that_scripts_rely_on() -> None:
    expected = {"ingest", "preprocess", "embed", "index", "export", "import", "search", "show", "delete", "status"}
    expected |= {"check", "fetch", "list", "random", "update", "restore", "trash list", "trash empty"}
    expected |= {f"jobs {name}" for name in ("list", "show", "failures", "retry", "cancel")}
    expected |= {f"tiny {name}" for name in ("pack", "unpack", "mosaic", "knn", "label", "report")}
    expected |= {
        "evaluate",
        "samples",
        "serve",
        "init",
        "migrate",
        "config show",
        "models list",
        "models pull",
        "models quantise",
        "models which",
    }
    assert set(LEAVES) == expected


@pytest.mark.parametrize("name", [name for name in LEAVES if name != "serve"])
def test_every_command_but_serve_has_json(name: str) -> None:
    assert "--json" in {flag for parameter in COMMANDS[name].params for flag in parameter.opts}


def test_version(cli: Cli) -> None:
    from image_search import __version__

    assert __version__ in cli("--version").out


# What each command prints as JSON


def test_ingest(cli: Cli, gallery: Path) -> None:
    (gallery / "text.jpg").write_text("no picture")
    (gallery / "copy.jpg").write_bytes((gallery / "red/red_0.jpg").read_bytes())
    outcome = cli("ingest", gallery, "--json")
    assert outcome.code == 0
    report = outcome.json
    assert {key: report[key] for key in ("added", "unchanged", "duplicates", "interrupted")} == {
        "added": 15,
        "unchanged": 0,
        "duplicates": 1,
        "interrupted": False,
    }
    assert report["images_per_second"] > 0
    (failed,) = report["failed"]
    assert failed == {"path": "text.jpg", "reason": "is not a picture of a known format"}
    again = cli("ingest", gallery, "--json").json
    assert (again["added"], again["unchanged"], again["duplicates"], len(again["failed"])) == (0, 16, 0, 1)


def test_ingest_in_words(cli: Cli, gallery: Path) -> None:
    (gallery / "text.jpg").write_text("no picture")
    outcome = cli("ingest", gallery)
    assert outcome.code == 0
    assert "15 added, 0 unchanged, 0 duplicates, 1 failed" in outcome.out
    assert "text.jpg: is not a picture of a known format" in outcome.out
    assert "ingesting" in outcome.err


def test_ingest_of_a_list_with_metadata(cli: Cli, gallery: Path, tmp_path: Path) -> None:
    listed, words = tmp_path / "list.txt", tmp_path / "words.jsonl"
    listed.write_text("gallery/red/red_0.jpg\ngallery/blue/blue_0.jpg\n")
    words.write_text('{"filename": "red_0.jpg", "title": "A title", "tags": ["t"]}\n')
    assert cli("ingest", "--list", listed, "--metadata", words, "--json").json["added"] == 2
    first = cli("search", gallery / "red/red_0.jpg", "--top-k", 1, "--json").json["results"][0]
    assert (first["title"], first["tags"], first["source_name"]) == ("A title", ["t"], "gallery/red/red_0.jpg")


def test_ingest_says_what_became_of_words(cli: Cli, gallery: Path, tmp_path: Path) -> None:
    words = tmp_path / "words.csv"
    words.write_text("File;Title;Text\nred_0.jpg;A title;" + "long " * 20_000 + "\n")
    (gallery / "red/red_1.json").write_text("{")
    report = cli("ingest", gallery, "--metadata", words, "--no-embedded-words", "--json").json
    assert (report["added"], report["failed"], report["cut"]) == (15, [], 1)
    assert report["warnings"] == [{"path": "red/red_1.json", "reason": "the sidecar: not valid JSON"}]
    again = cli("ingest", gallery, "--metadata", words).out
    assert "1 pictures had words longer than is kept" in again
    assert "red/red_1.json: the sidecar: not valid JSON" in again


def test_nothing_to_ingest(cli: Cli, tmp_path: Path, data_dir: Path) -> None:
    check_error(cli("ingest", tmp_path / "nowhere", "--json"), 1, "nowhere")
    assert not data_dir.exists(), "a slip makes no library"
    folder = tmp_path / "empty"
    folder.mkdir()
    for command in ("ingest", "preprocess"):
        outcome = cli(command, folder)
        assert (outcome.code, outcome.out) == (0, f"No pictures found in {folder}.\n")


def test_ingest_says_what_metadata_did(cli: Cli, gallery: Path) -> None:
    table = gallery / "metadata.jsonl"
    table.write_text('{"filename": "image_9999.jpg"}\n{"filename": "red_0.jpg"}\n{"filename": "x\\u001b.jpg"}\n')
    assert (
        "2 entries of the metadata file without a picture here, the first: image_9999.jpg\n"
        in cli("ingest", gallery).out
    )
    table.write_text('{"filename": "red_0.jpg", "title": "New"}\n{"filename": "x\\u001b.jpg"}\n')
    again = cli("ingest", gallery).out
    assert "0 added, 15 unchanged (1 of them with new words), 0 duplicates" in again
    assert "1 entry of the metadata file without" in again
    assert "\x1b" not in again
    report = cli("ingest", gallery, "--json").json
    assert (report["reworded"], report["unmatched"], report["unmatched_names"]) == (0, 1, ["x\x1b.jpg"])
    table.write_text('{"picture": "red_0.jpg", "title": "New"}\n')
    check_error(cli("ingest", gallery, "--json"), 1, 'line 1: must be an object with a text "filename" (or file, path,')


def test_a_table_in_the_folder_is_taken_or_left_out(cli: Cli, gallery: Path) -> None:
    table = gallery / "metadata.csv"
    table.write_text("year,income\n2020,5\n")
    outcome = cli("ingest", gallery)
    assert outcome.code == 0
    assert "Leaving metadata.csv in the folder out" in outcome.err
    table.write_text("file_name,title\nred_0.jpg,From the table\n")
    assert "of 1 pictures from metadata.csv" in cli("ingest", gallery).err
    first = cli("search", gallery / "red/red_0.jpg", "--top-k", 1, "--json").json["results"][0]
    assert first["title"] == "From the table"


def test_status(cli: Cli, library: Path, data_dir: Path) -> None:
    status = cli("status", "--json").json
    expected = {"images": 15, "model": "mean_colour@000000000000", "dim": 48, "index": "FLAT", "projection": "none"}
    assert {key: status[key] for key in expected} == expected
    assert status["data_dir"] == str(data_dir)
    assert "15" in cli("status").out


def test_before_there_is_a_library_nothing_is_made(cli: Cli, data_dir: Path) -> None:
    outcome = cli("status", "--json")
    assert outcome.code == 0
    assert (outcome.json["images"], outcome.json["dim"], outcome.json["data_dir"]) == (0, None, str(data_dir))
    message = f"no library in {data_dir} yet: ingest some pictures first"
    assert (cli("status").code, cli("status").out) == (0, f"{message}\n")
    assert cli("models", "which", "--json").json["why"] == "named"
    for command in (("jobs", "list"), ("show", "0" * 64), ("search", "--text", "sea"), ("export", "x")):
        check_error(cli(*command, "--json"), 1, message)
    assert not data_dir.exists()


def test_evaluate(cli: Cli, library: Path) -> None:
    outcome = cli("evaluate", library, "--json")
    assert outcome.code == 0
    report = outcome.json
    assert (report["precision_at_1"], report["map"], report["recall_at_10"]) == (1.0, 1.0, 1.0)
    # Of a class's five pictures, four are left to be found among the ten.
    assert report["precision_at_10"] == pytest.approx(0.4)
    assert (report["images"], report["classes"]) == (15, 3)
    fewer = cli("evaluate", library, "--exclude", "red", "--json").json
    assert (fewer["images"], fewer["classes"]) == (10, 2)
    assert cli("status", "--json").json["images"] == 15
    assert cli("status", "--json").json["collections"] == ["default"]


def test_samples(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "samples"
    assert cli("samples", folder, "--count", 24, "--json").json == {"folder": str(folder), "pictures": 24}
    report = cli("ingest", folder, "--json").json
    assert (report["added"], report["failed"]) == (24, [])


def test_config_show(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    file = tmp_path / "own.ini"
    file.write_text("[http_server]\nport = 8081\n[milvus]\nef = 200\n[security]\nadmin_key = very secret\n")
    monkeypatch.setenv("IMAGE_SEARCH_MILVUS__EF", "300")
    shown = cli("--config", file, "--set", "ingest.chunk_size=9", "config", "show", "--json")
    assert shown.code == 0
    assert "very secret" not in shown.out
    expected = {
        "http_server.port": {"value": "8081", "origin": "own.ini"},
        "milvus.ef": {"value": "300", "origin": "environment IMAGE_SEARCH_MILVUS__EF"},
        "ingest.chunk_size": {"value": "9", "origin": "command line"},
        "library.data_dir": {"value": str(data_dir), "origin": "command line"},
        "milvus.nprobe": {"value": "32", "origin": "default"},
        "security.admin_key": {"value": "********", "origin": "own.ini"},
    }
    assert {key: shown.json[key] for key in expected} == expected
    words = cli("--config", file, "config", "show").out
    assert "very secret" not in words
    assert "own.ini" in words


def test_models_list(cli: Cli) -> None:
    (model,) = [m for m in cli("models", "list", "--json").json if m["name"] == "resnet50"]
    assert (model["dim"], model["licence"], model["here"]) == (2048, "Apache-2.0", False)
    assert "resnet50" in cli("models", "list").out


def test_the_three_stages(cli: Cli, gallery: Path) -> None:
    (gallery / "text.jpg").write_text("no picture")
    first = cli("preprocess", gallery, "--json").json
    assert (first["added"], first["unchanged"], len(first["failed"])) == (15, 0, 1)
    assert cli("preprocess", gallery, "--json").json["unchanged"] == 15
    assert cli("embed", "--json").json["added"] == 15
    assert cli("embed", "--json").json["unchanged"] == 15
    report = cli("index", "--json").json
    assert (report["images"], report["added"], report["dim"], report["projection_id"]) == (15, 15, 48, "none")
    assert report["index"]["kind"] == "FLAT"
    assert cli("status", "--json").json["images"] == 15


def test_export_and_import(cli: Cli, library: Path, tmp_path: Path) -> None:
    file = tmp_path / "library.h5"
    exported = cli("export", file, "--json").json
    assert (exported["images"], exported["dim"]) == (15, 48)
    imported = cli("import", file, "--collection", "copy", "--json").json
    assert (imported["added"], imported["unchanged"], imported["without_picture"]) == (15, 0, 0)
    assert cli("import", file, "--collection", "copy", "--json").json["unchanged"] == 15
    query = library / "blue/blue_3.jpg"
    one = cli("search", query, "--json").json["results"]
    other = cli("search", query, "--collection", "copy", "--json").json["results"]
    for kept, result in zip(one[:5], other[:5], strict=True):
        # Raw vectors are exported in 16 bits.
        assert result.pop("score") == pytest.approx(kept.pop("score"), abs=1e-3)
        assert result.pop("scores")["image"] == pytest.approx(kept.pop("scores")["image"], abs=1e-3)
        assert result == kept


# Exit codes, and JSON on errors too


def test_nothing_is_misuse_and_shows_help(cli: Cli) -> None:
    outcome = cli()
    assert outcome.code == 2
    assert "Usage" in outcome.out + outcome.err


MISUSE: list[tuple[list[str], str]] = [
    (["--set", "milvus.bogus=1", "status", "--json"], "bogus"),
    (["--set", "bogus.key=1", "status", "--json"], "bogus"),
    (["--set", "nonsense", "status", "--json"], "nonsense"),
    (["--set", "http_server.port=many", "config", "show", "--json"], "many"),
    (["--set", "embedding.projection=umap:2", "status", "--json"], "umap:2"),
    (["--config", "/nowhere.ini", "status", "--json"], "/nowhere.ini"),
    (["search", "--json"], "--text WORDS"),
    (["search", "--text", " ", "--json"], "--text: is empty"),
    (["search", "{picture}", "--text", "", "--json"], "--text: is empty"),
    (["search", "{picture}", "--random", "--json"], "exactly one picture"),
    (["search", "-", "-", "--json"], "only once"),
    (["search", "--text", "sea", "--text-of", "0" * 64, "--json"], "exclude each other"),
    (["search", "--text", "sea", "--min-score", "0.5", "--json"], "min_score"),
    (["search", "--text", "sea", "--unlike", "0" * 64, "--json"], "--unlike"),
    (["search", "{picture}", "--unlike", "0" * 64, "--json"], "negative_ids"),
    (["search", "{picture}", "--crop", "0,0,1", "--json"], "LEFT,TOP,RIGHT,BOTTOM"),
    (["search", "{picture}", "--crop", "0,0,1,wide", "--json"], "LEFT,TOP,RIGHT,BOTTOM"),
    (["search", "{picture}", "--crop", "0.5,0,0.5,1", "--json"], "crop"),
    (["search", "--random", "--crop", "0,0,1,1", "--json"], "crop"),
    (["search", "{picture}", "--text", "sea", "--weights", "1", "--json"], "IMAGE,TEXT"),
    (["search", "{picture}", "--text", "sea", "--weights", "0,0", "--json"], "weights"),
    (["search", "{picture}", "--text", "sea", "--weights", "nan,1", "--json"], "weights"),
    (["search", "{picture}", "--filter", "{", "--json"], "line 1, column 2"),
    (["search", "{picture}", "--filter", '{"width": {"more": 8}}', "--json"], "filter.width.more"),
    (["search", "{picture}", "--filter", "@/nowhere.json", "--json"], "/nowhere.json"),
    (["search", "--url", "ftp://example.org/a.jpg", "--json"], "image_url"),
    (["list", "--filter", '{"or": [{"width": 1}, {"widht": 2}]}', "--json"], "filter.or[1].widht"),
    (["list", "--limit", "0", "--json"], "limit"),
    (["list", "--after", "x", "--json"], "after"),
    (["random", "-n", "101", "--json"], "1 to 100"),
    (["update", "0" * 64, "--json"], "nothing to change"),
    (["update", "0" * 64, "--created-at", "yesterday", "--json"], "yesterday"),
    (["update", "0" * 64, "--field", "camera", "--json"], "NAME=VALUE"),
    (["update", "0" * 64, "--clear", "width", "--json"], "width"),
    (["update", "0" * 64, "--clear", "title", "--title", "x", "--json"], "same time"),
    (["update", "0" * 64, "--clear", "tags", "--tags", "x", "--json"], "same time"),
    (["update", "0" * 64, "--clear", "fields.a", "--field", "a=1", "--json"], "same time"),
    (["trash", "list", "--limit", "1001", "--json"], "limit"),
    (["check", "--sha256", "abc", "--json"], "64 hex digits"),
    (["jobs", "list", "--after", "x", "--json"], "no job"),
    (["search", "{picture}", "--id", "0" * 64, "--json"], "exactly one picture"),
    (["search", "{picture}", "--top-k", "0", "--json"], "top_k"),
    (["search", "{picture}", "--top-k", "1001", "--json"], "top_k"),
    (["search", "{picture}", "--offset", "-1", "--json"], "offset"),
    (["search", "{picture}", "--min-score", "2", "--json"], "min_score"),
    (["search", "{picture}", "--collection", "no/such", "--json"], "no/such"),
    (["ingest", "--json"], "FOLDER"),
    (["ingest", "{gallery}", "--list", "x", "--json"], "FOLDER"),
    (["index", "--fit", "umap:2", "--json"], "umap:2"),
    (["index", "--fit", "pca", "--json"], "give a number, e.g. pca:128"),
    (["ingest", "{text}", "--json"], "is a file: give its folder, or --list FILE"),
    (["preprocess", "{text}", "--json"], "is a file: give its folder, or --list FILE"),
    (["index", "--fit", "pca:2", "--projection", "none", "--json"], "exclude"),
    (["index", "--fit", "pca:8", "--json"], "80 pictures"),
    (["import", "x.npy", "--json"], "--files"),
    (["models", "pull", "nowhere", "--json"], "nowhere"),
]

COULD_NOT: list[tuple[list[str], str]] = [
    (["search", "/nowhere.jpg", "--json"], "nowhere.jpg"),
    (["search", "{gallery}", "--json"], "gallery: cannot be read: Is a directory"),
    (["search", "{text}", "--json"], "known format"),
    (["search", "{picture}", "--collection", "other", "--json"], "there are: default"),
    (["search", "--id", "0" * 64, "--json"], "0" * 64),
    (["show", "0" * 64, "--json"], "no picture"),
    (["show", "x", "--json"], "64 lowercase hex digits"),
    (["delete", "x", "--json"], "64 lowercase hex digits"),
    (["show", "abcdef", "--json"], "begins with 'abcdef'"),
    (["search", "--url", "http://127.0.0.1/a.jpg", "--json"], "cannot be fetched"),
    (["search", "{picture}", "--collection", "empty", "--json"], "no collection"),
    (["update", "0" * 64, "--title", "x", "--json"], "no picture"),
    (["restore", "0" * 64, "--json"], "no picture"),
    (["restore", "x", "--json"], "64 lowercase hex digits"),
    (["trash", "list", "--collection", "other", "--json"], "other"),
    (["check", "{picture}", "--collection", "other", "--json"], "other"),
    (["jobs", "show", "x", "--json"], "no job"),
    (["jobs", "failures", "x", "--json"], "no job"),
    (["jobs", "retry", "x", "--json"], "no job"),
    (["jobs", "cancel", "x", "--json"], "no job"),
    (["ingest", "/nowhere", "--json"], "/nowhere"),
    (["ingest", "--list", "/nowhere.txt", "--json"], "/nowhere.txt"),
    (["ingest", "{gallery}", "--metadata", "/nowhere.jsonl", "--json"], "nowhere.jsonl"),
    (["preprocess", "/nowhere", "--json"], "/nowhere"),
    (["embed", "/nowhere", "--json"], "preprocess"),
    (["index", "--collection", "other", "--json"], "other"),
    (["import", "/nowhere.h5", "--json"], "nowhere.h5"),
    (["import", "{text}", "--json"], "text.jpg"),
    (["export", "/nowhere/deep/x.h5", "--collection", "other", "--json"], "other"),
    (["evaluate", "/nowhere", "--json"], "/nowhere"),
    (["evaluate", "{gallery}/red", "--json"], "at least two"),
]


def filled(arguments: list[str], library: Path) -> list[str]:
    text = library.parent / "text.jpg"
    text.write_text("no picture")
    places = {"{picture}": str(library / "red/red_0.jpg"), "{gallery}": str(library), "{text}": str(text)}
    for place, value in places.items():
        arguments = [argument.replace(place, value) for argument in arguments]
    return arguments


@pytest.mark.parametrize(("arguments", "part"), MISUSE, ids=[" ".join(a) for a, _ in MISUSE])
def test_misuse_is_2(cli: Cli, library: Path, arguments: list[str], part: str) -> None:
    check_error(cli(*filled(arguments, library)), 2, part)


@pytest.mark.parametrize(("arguments", "part"), COULD_NOT, ids=[" ".join(a) for a, _ in COULD_NOT])
def test_what_could_not_be_done_is_1(cli: Cli, library: Path, arguments: list[str], part: str) -> None:
    check_error(cli(*filled(arguments, library)), 1, part)


@pytest.mark.parametrize(
    "arguments",
    [["bogus"], ["search", "--bogus"], ["search", "x", "--top-k", "five"], ["delete"], ["check"], ["jobs", "show"]],
)
def test_what_click_refuses_is_misuse_too(cli: Cli, arguments: list[str]) -> None:
    outcome = cli(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Error" in outcome.err


def test_an_error_without_json_is_one_line_on_stderr(cli: Cli) -> None:
    outcome = cli("ingest", "/nowhere")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err == "Error: folder '/nowhere' does not exist or is no folder\n"


def test_single_failures_are_no_failure_of_the_run(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    whole = jpeg(draw((1, 2, 3)))
    (folder / "whole.jpg").write_bytes(whole)
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    outcome = cli("ingest", folder, "--json")
    assert outcome.code == 0
    assert sorted(failure["path"] for failure in outcome.json["failed"]) == ["cut.jpg", "empty.png"]
    assert outcome.json["added"] == 1


def test_names_in_any_script_stay_readable(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "写真 📷"
    folder.mkdir()
    (folder / "Ünïcode ключ.jpg").write_bytes(jpeg(draw((1, 2, 3))))
    assert cli("ingest", folder).code == 0
    outcome = cli("search", folder / "Ünïcode ключ.jpg", "--json")
    assert "Ünïcode ключ.jpg" in outcome.out
    assert json.loads(outcome.out)["results"][0]["source_name"] == "Ünïcode ключ.jpg"


def test_brackets_in_a_title_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    from image_search.cli.context import console

    table = Table("title")
    table.add_row("[red]a[/red] [/b] :smile:")
    console().print(table)
    assert "[red]a[/red] [/b] :smile:" in capsys.readouterr().out
