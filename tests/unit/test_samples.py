"""The drawn sample pictures: the same bytes for the same seed, whole files only, words that match the files."""

from __future__ import annotations

import fcntl
import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import image_search.api.server as server
import image_search.samples as samples
from image_search.config import Settings, load_settings
from image_search.errors import InvalidParameter
from image_search.samples import KINDS, draw_samples
from image_search.services.locking import locked

COUNT = len(KINDS)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    assert draw_samples(folder, count=COUNT) == COUNT
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def metadata(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def test_there_are_at_least_24_kinds_and_each_gets_its_share(drawn: Path) -> None:
    assert COUNT >= 24
    assert {path.name for path in drawn.iterdir() if path.is_dir()} == set(KINDS)
    assert all((drawn / kind / f"{kind}_000.jpg").is_file() for kind in KINDS)
    assert len(list(drawn.rglob("*.jpg"))) == COUNT


def test_the_same_seed_draws_the_same_bytes(drawn: Path, tmp_path: Path) -> None:
    draw_samples(tmp_path, count=COUNT)
    assert contents(tmp_path) == contents(drawn)


def test_the_count_does_not_change_what_is_drawn(drawn: Path, tmp_path: Path) -> None:
    draw_samples(tmp_path, count=4)
    some, everything = contents(tmp_path), contents(drawn)
    assert len(metadata(tmp_path)) == 4
    del some["metadata.jsonl"]
    assert some.items() <= everything.items()


def test_another_seed_draws_other_pictures(drawn: Path, tmp_path: Path) -> None:
    draw_samples(tmp_path, count=5, seed=1)
    everything = contents(drawn)
    for path in tmp_path.rglob("*.jpg"):
        name = path.relative_to(tmp_path).as_posix()
        assert path.read_bytes() != everything[name]
        with Image.open(path) as ours, Image.open(drawn / name) as theirs:
            assert ours.size != theirs.size or np.abs(np.asarray(ours, float) - np.asarray(theirs, float)).mean() > 3


def test_another_seed_over_the_same_folder_draws_it_again(tmp_path: Path) -> None:
    draw_samples(tmp_path, count=3, seed=1)
    first = contents(tmp_path)
    draw_samples(tmp_path, count=3, seed=2)
    assert all(data != first[name] for name, data in contents(tmp_path).items())


def test_pictures_of_one_kind_differ(drawn: Path, tmp_path: Path) -> None:
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    draw_samples(tmp_path, count=COUNT * 2)
    for kind in KINDS:
        first, second = ((tmp_path / kind / f"{kind}_{i:03d}.jpg") for i in range(2))
        with Image.open(first) as one, Image.open(second) as other:
            size = (64, 64)
            difference = np.asarray(one.resize(size), float) - np.asarray(other.resize(size), float)
            assert np.abs(difference).mean() > 4, kind


def test_metadata_names_each_picture_once_and_describes_it(drawn: Path) -> None:
    lines = metadata(drawn)
    names = [line["filename"] for line in lines]
    assert sorted(names) == sorted(p.relative_to(drawn).as_posix() for p in drawn.rglob("*.jpg"))
    for line in lines:
        assert set(line) == {"filename", "title", "tags", "text"}
        title, tags = line["title"], line["tags"]
        assert title[0].isupper() and len(title.split()) >= 2 and "  " not in title and title == title.strip()
        assert not any(f" a {vowel}" in title for vowel in "aeio")
        assert len(tags) >= 2 and len(set(tags)) == len(tags) and all(tags)
        # A name's first word is the kind's: "city" for city_at_night, "hot-air balloon" for hot_air_balloon.
        kind = line["filename"].split("/")[0].replace("_", " ")
        assert any(kind.startswith(tag.replace("-", " ")) for tag in tags), (kind, tags)


def test_pictures_decode_and_show_something(drawn: Path) -> None:
    for path in drawn.rglob("*.jpg"):
        with Image.open(path) as image:
            assert image.format == "JPEG" and image.mode == "RGB"
            assert min(image.size) >= 200 and max(image.size) <= 360
            pixels = np.asarray(image, dtype=np.float32)
        assert pixels.std() > 10, path.name
        assert len(np.unique(pixels.reshape(-1, 3) // 32, axis=0)) >= 8, path.name


def test_a_second_call_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw_samples(tmp_path, count=6)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}

    def refuse(path: Path, data: bytes) -> None:
        raise AssertionError(f"{path.name} was written again")

    monkeypatch.setattr(samples, "_write", refuse)
    assert draw_samples(tmp_path, count=6) == 6
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before


def test_progress_counts_to_the_total(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    draw_samples(tmp_path, count=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_interrupted_call_leaves_whole_files_and_is_resumed(drawn: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_samples(tmp_path, count=COUNT, progress=stop)
    left = contents(tmp_path)
    assert 3 <= len(left) < COUNT
    assert left.items() <= contents(drawn).items()
    kept = {name: (tmp_path / name).stat().st_mtime_ns for name in left}
    draw_samples(tmp_path, count=COUNT // 2)
    whole = contents(tmp_path)
    assert len(whole) == COUNT // 2 + 1 and left.items() <= whole.items()
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in left} == kept


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        with pytest.raises(OSError, match="No space"):
            draw_samples(tmp_path, count=2)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("leftover", [b"", b"\xff\xd8\xff\xe0 cut off"])
def test_a_file_cut_off_by_a_kill_is_drawn_again(drawn: Path, tmp_path: Path, leftover: bytes) -> None:
    kind = next(iter(KINDS))
    (tmp_path / kind).mkdir()
    (tmp_path / kind / f"{kind}_000.jpg").write_bytes(leftover)
    (tmp_path / kind / f".{kind}_000.jpg.part").write_bytes(leftover)
    draw_samples(tmp_path, count=1)
    whole = contents(tmp_path)
    assert set(whole) == {f"{kind}/{kind}_000.jpg", "metadata.jsonl"}
    assert whole[f"{kind}/{kind}_000.jpg"] == (drawn / kind / f"{kind}_000.jpg").read_bytes()


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, list[str]]:
    """A library that is not there yet, and the commands that its start runs, which make it."""
    settings = load_settings(None, overrides={"library.data_dir": str(tmp_path / "new" / "library")})
    ran: list[str] = []

    def run(command: list[str]) -> bytes:
        ran.append(command[-1])
        with pytest.raises(BlockingIOError), locked(settings.data_dir / "samples.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            pass
        (settings.data_dir / "samples").mkdir(exist_ok=True)
        Path(settings.milvus_uri).touch()
        return b""

    monkeypatch.setattr(server, "_run", run)
    return settings, ran


def test_a_start_keeps_the_drawings_to_itself(started: tuple[Settings, list[str]]) -> None:
    settings, ran = started
    server.prepare_library(settings, None, {}, images=None, samples=True)
    assert len(ran) == 2
    assert not (settings.data_dir / "samples").exists()
    server.prepare_library(settings, None, {}, images=None, samples=True)
    assert len(ran) == 2


def test_a_start_that_waited_for_another_finds_its_library(
    started: tuple[Settings, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, ran = started

    def waiting(path: Path, operation: int) -> AbstractContextManager[None]:
        Path(settings.milvus_uri).touch()
        return locked(path, operation)

    monkeypatch.setattr(server, "locked", waiting)
    server.prepare_library(settings, None, {}, images=None, samples=True)
    assert ran == []


def test_no_pictures_is_not_a_count(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="at least 1"):
        draw_samples(tmp_path, count=0)
