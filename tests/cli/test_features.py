"""Features that are taken away while an ingest runs, or after it was killed, and make a library elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Start, check_error
from tests.cli.test_processes import SMALL_CHUNKS, stored, until

pytestmark = pytest.mark.usefixtures("real")


@pytest.mark.parametrize("projection", ["none", "random:8"])
def test_features_of_an_ingest_that_runs_and_is_killed(
    cli: Cli, start: Start, many: Path, data_dir: Path, tmp_path: Path, projection: str
) -> None:
    process = start(*SMALL_CHUNKS, "--set", f"embedding.projection={projection}", "ingest", many, "--json")
    until(lambda: stored(data_dir) >= 40, process, limit_s=3600)
    # This process joins the one that ingests.
    running = cli("export", "--features-only", tmp_path / "running.h5", "--json")
    assert running.code == 0, running.err
    assert (running.json["projection_id"], running.json["dim"], running.json["lost"]) == ("none", 16, [])
    # What was being written when the pictures were counted may not have had its rows.
    assert 40 - 8 <= running.json["images"] <= 400
    process.kill()
    process.communicate()
    killed = cli("export", "--features-only", tmp_path / "killed.h5", "--json").json
    assert killed["images"] >= running.json["images"]

    shutil.move(many, tmp_path / "moved")
    other = ("--data-dir", tmp_path / "elsewhere")
    report = cli(*other, "import", tmp_path / "killed.h5", "--images", tmp_path / "moved", "--json")
    assert report.code == 0, report.err
    assert (report.json["added"], report.json["pictures"]) == (killed["images"], killed["images"])
    assert (report.json["without_picture"], report.json["not_found"]) == (0, [])
    # An ingest there goes on: what was computed is not computed again.
    done = cli(*other, "ingest", tmp_path / "moved", "--json").json
    assert (done["unchanged"], done["added"]) == (killed["images"], 400 - killed["images"])
    (first, *_) = cli(*other, "search", tmp_path / "moved/007.jpg", "--json").json["results"]
    assert (first["source_name"], first["match"]) == ("007.jpg", "identical")


def test_features_of_the_stages_carry_their_words_before_there_is_any_library(
    cli: Cli, gallery: Path, data_dir: Path, tmp_path: Path
) -> None:
    (gallery / "red/red_0.json").write_text('{"title": "Red at dawn", "tags": ["dawn"], "place": "Oslo"}')
    assert cli("preprocess", gallery).code == 0
    assert cli("embed").code == 0
    outcome = cli("export", "--features-only", tmp_path / "staged.h5")
    assert (outcome.code, "15 pictures written" in outcome.out) == (0, True), outcome.err
    assert not (data_dir / "library.db").exists()

    other = ("--data-dir", tmp_path / "other")
    (gallery / "blue/blue_0.jpg").rename(gallery / "blue/renamed.jpg")
    report = cli(*other, "import", tmp_path / "staged.h5", "--images", gallery, "--json").json
    assert (report["added"], report["pictures"]) == (15, 14)
    assert [one["path"] for one in report["not_found"]] == ["blue/blue_0.jpg"], "its content alone does not find it"
    listed = {image["source_name"]: image for image in cli(*other, "list", "--json").json["images"]}
    shown = listed["red/red_0.jpg"]
    assert (shown["title"], shown["tags"], shown["fields"]) == ("Red at dawn", ["dawn"], {"place": "Oslo"})


def test_what_is_not_found_is_listed(cli: Cli, gallery: Path, tmp_path: Path) -> None:
    assert cli("ingest", gallery).code == 0
    outcome = cli("export", "--features-only", tmp_path / "so-far.h5")
    assert (outcome.code, "15 pictures written" in outcome.out) == (0, True)
    (gallery / "red/red_0.jpg").unlink()
    (gallery / "red/red_1.jpg").write_bytes((gallery / "blue/blue_0.jpg").read_bytes())
    outcome = cli("--data-dir", tmp_path / "other", "import", tmp_path / "so-far.h5", "--images", gallery)
    assert outcome.code == 0, outcome.err
    assert "15 added" in outcome.out
    assert "13 pictures stored, 2 not found" in outcome.out
    assert "red/red_0.jpg: no file of this name" in outcome.out
    assert "red/red_1.jpg: the files of this name" in outcome.out


def test_what_makes_no_sense_is_refused_and_makes_no_library(cli: Cli, data_dir: Path, tmp_path: Path) -> None:
    run = ("import", tmp_path / "x.h5", "--images", tmp_path / "nowhere", "--json")
    check_error(cli(*run), 1, "does not exist")
    check_error(cli("import", tmp_path / "x.npy", "--images", tmp_path, "--json"), 2, "--files")
    (tmp_path / "list.txt").touch()
    both = ("--files", tmp_path / "list.txt", "--images", tmp_path)
    check_error(cli("import", tmp_path / "x.npy", *both, "--json"), 2, "--images")
    check_error(cli("export", "--features-only", tmp_path / "x.h5", "--json"), 1, "ingest some pictures first")
    assert not data_dir.exists()
    assert not (tmp_path / "x.h5").exists()
