"""import: stopped by a signal and started again; files that are none."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

import image_search.datasets.hdf5 as hdf5
import image_search.services.exchanging.transfer as transfer
from tests.cli.conftest import Cli, check_error

pytestmark = pytest.mark.usefixtures("stand_ins")


@pytest.fixture
def file(cli: Cli, library: Path, tmp_path: Path) -> Path:
    """The library's export, with 15 rows."""
    path = tmp_path / "library.h5"
    assert cli("export", path).code == 0
    return path


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_it_between_two_batches_and_it_goes_on_later(
    cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(transfer, "BATCH", 4)
    with monkeypatch.context() as first:
        sound = transfer.sound_rows

        def stopping(*given: object, **named: bool) -> object:
            os.kill(os.getpid(), number)
            return sound(*given, **named)  # type: ignore[arg-type]

        first.setattr(transfer, "sound_rows", stopping)
        outcome = cli("import", file, "--collection", "copy", "--json")
    assert outcome.code == 1
    assert (outcome.json["added"], outcome.json["interrupted"]) == (4, True)
    assert "Stopped early; start the same command again" in outcome.err
    again = cli("import", file, "--collection", "copy", "--json")
    assert again.code == 0
    assert [again.json[name] for name in ("added", "unchanged", "interrupted")] == [11, 4, False]


def test_a_stop_ends_a_matrix_too(cli: Cli, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = sorted(library.rglob("*.jpg"))
    (tmp_path / "list.txt").write_text("\n".join(map(str, files)))
    np.save(tmp_path / "m.npy", np.ones((15, 48), np.float32))
    given = (tmp_path / "m.npy", "--files", tmp_path / "list.txt", "--collection", "copy", "--json")
    monkeypatch.setattr(transfer, "BATCH", 4)
    with monkeypatch.context() as first:
        store = transfer.store_objects

        def stopping(*objects: object) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            # Once: the second ends the process at once.
            first.setattr(transfer, "store_objects", store)
            store(*objects)  # type: ignore[arg-type]

        first.setattr(transfer, "store_objects", stopping)
        outcome = cli("import", *given)
    assert (outcome.code, outcome.json["added"], outcome.json["interrupted"]) == (1, 4, True)
    again = cli("import", *given)
    assert (again.code, again.json["added"], again.json["interrupted"]) == (0, 11, False)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def _emptied(path: Path) -> None:
    path.write_bytes(b"")


def _of_another_model(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["model_id"] = "another@000000000000"


def _of_another_length(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["vectors"]
        file["vectors"] = np.ones((15, 7), np.float16)


def _with_a_broken_row(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["records"][13] = b'{"image_id": 5}'


def _gone(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_cut, "library.h5: is damaged or no HDF5 file"),
        (_emptied, "library.h5: is damaged or no HDF5 file"),
        (_of_another_model, "another@000000000000 cannot be used here"),
        (_of_another_length, "vectors of 7 numbers; the model gives 48"),
        (_with_a_broken_row, "library.h5: row 13: "),
        (_gone, "library.h5: no such file"),
    ],
)
def test_a_wrong_file_is_refused_and_makes_no_collection(
    cli: Cli, file: Path, spoil: Callable[[Path], None], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "BATCH", 4)
    spoil(file)
    check_error(cli("import", file, "--collection", "copy", "--json"), 1, said)
    assert cli("status", "--json").json["collections"] == ["default"]


def test_a_folder_with_a_broken_row_in_its_last_shard_brings_nothing_in(cli: Cli, file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for name in ("a.h5", "b.h5"):
        shutil.copy(file, folder / name)
    _with_a_broken_row(folder / "b.h5")
    check_error(cli("import", folder, "--collection", "copy", "--json"), 1, "b.h5: row 13: ")
    assert cli("status", "--json").json["collections"] == ["default"]
    shutil.copy(file, folder / "b.h5")
    assert cli("import", folder, "--collection", "copy", "--json").json["added"] == 15


def test_a_stop_while_the_rows_are_checked(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as first:
        read = hdf5.read_vector_shard

        def stopping(*given: object) -> object:
            os.kill(os.getpid(), signal.SIGINT)
            first.setattr(hdf5, "read_vector_shard", read)
            return read(*given)  # type: ignore[arg-type]

        first.setattr(hdf5, "read_vector_shard", stopping)
        outcome = cli("import", file, "--collection", "copy", "--json")
    assert (outcome.code, outcome.json["added"], outcome.json["interrupted"]) == (1, 0, True)
    assert cli("status", "--json").json["collections"] == ["default"]
    assert cli("import", file, "--collection", "copy", "--json").json["added"] == 15
