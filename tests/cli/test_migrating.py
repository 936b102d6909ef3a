"""`image-search migrate` into folders: which ones it takes, over stand-ins; tests/integration has servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, check_error

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.mark.parametrize("name", ["a.txt", ".hidden", "images/mine.jpg", "vectors/mine.h5"])
def test_a_folder_of_somebody_else_s_is_refused(cli: Cli, library: Path, tmp_path: Path, name: str) -> None:
    theirs = tmp_path / "theirs" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    before = sorted((tmp_path / "theirs").rglob("*"))
    check_error(cli("migrate", "--to-data-dir", tmp_path / "theirs", "--json"), 2, "is no library")
    assert sorted((tmp_path / "theirs").rglob("*")) == before
    assert theirs.read_text() == "theirs"


def test_a_file_is_no_folder(cli: Cli, library: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    check_error(cli("migrate", "--to-data-dir", tmp_path / "file", "--json"), 2, "a folder is expected")


@pytest.mark.parametrize("begun", ["", "lost+found", "library.lock", "images/tmp", "projections", "library.db"])
def test_new_empty_and_half_filled_folders_are_taken(cli: Cli, library: Path, tmp_path: Path, begun: str) -> None:
    target = tmp_path / "target"
    (target / begun).mkdir(parents=True)
    if not begun:
        # What a run that was killed at once has left.
        (target / "switch.rebuild").touch()
    first = cli("migrate", "--to-data-dir", target, "--json").json["collections"][0]
    again = cli("migrate", "--to-data-dir", target, "--json").json["collections"][0]
    assert first["there"] == first["copied"] == again["there"] == first["images"] > 0
    assert again["copied"] == 0
    check_error(cli("migrate", "--data-dir", target, "--to-data-dir", target, "--json"), 2, "where the library is")
