"""Archives of tiny pictures: their layout, packing and unpacking, what is refused, what a kill leaves."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image, ImageDraw

from image_search.errors import (
    DatasetFormatError,
    ImageStoreError,
    InvalidInput,
    InvalidParameter,
)
from image_search.tiny.archive import BLOCK, TASK, Archive
from image_search.tiny.names import names_at, names_path, read_names
from image_search.tiny.output import new_file, new_folder
from image_search.tiny.packing import pack, unpack, walk
from image_search.tiny.pixels import prepare, to_image
from tests.support import draw, jpeg
from tests.tiny_archives import image_of, packed, random_archive, write_pictures


def test_layout_is_planes_of_columns(tmp_path: Path) -> None:
    image = Image.new("RGB", (32, 32))
    image.putpixel((5, 2), (10, 20, 30))
    folder = tmp_path / "in"
    folder.mkdir()
    image.save(folder / "one.png")
    pack(folder, tmp_path / "tiny.bin")
    data = (tmp_path / "tiny.bin").read_bytes()
    assert len(data) == 3072
    # The pixel of column 5, row 2 of each plane; MATLAB counts down a column first.
    assert {place: value for place, value in enumerate(data) if value} == {162: 10, 1024 + 162: 20, 2048 + 162: 30}


def test_a_row_becomes_the_picture_that_the_layout_says() -> None:
    row = np.random.default_rng(1).integers(0, 256, 3072, np.uint8)
    assert to_image(row).tobytes() == image_of(row).tobytes()


def test_what_is_packed_comes_in_the_order_of_paths_and_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    names = ["a-b.png", "a/z.png", "a.png", "b/c/1.png", "b/c.png", "ü.png"]
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (number, 0, 0)).save(folder / name)
    (folder / ".hidden.png").write_bytes((folder / "a.png").read_bytes())
    report = pack(folder, tmp_path / "tiny.bin", threads=3)
    assert (report.pictures, report.failed) == (6, ())
    with Archive(tmp_path / "tiny.bin") as archive:
        assert list(read_names(archive.path, 6)) == sorted(names) == list(walk(folder))
        reds = [int(row[0]) for row in archive.pictures(range(6))]
        assert [names[red] for red in reds] == sorted(names)
        assert names_at(archive.path, 6, [5, 2]) == {5: sorted(names)[5], 2: sorted(names)[2]}


def test_cropped_and_stretched(tmp_path: Path) -> None:
    wide = Image.new("RGB", (300, 100), (255, 0, 0))
    ImageDraw.Draw(wide).rectangle((100, 0, 199, 99), fill=(0, 0, 255))
    path = tmp_path / "wide.png"
    wide.save(path)
    crop = to_image(prepare(path.read_bytes(), max_pixels=10**6))
    stretch = to_image(prepare(path.read_bytes(), fit="stretch", max_pixels=10**6))
    assert crop.getpixel((16, 16)) == crop.getpixel((2, 2)) == (0, 0, 255)
    assert stretch.getpixel((16, 16)) == (0, 0, 255)
    assert stretch.getpixel((2, 16)) == (255, 0, 0)


def test_a_large_jpeg_is_near_its_plain_average() -> None:
    image = draw((200, 40, 90), size=(1600, 1200), mark=3)
    row = prepare(jpeg(image, quality=98), max_pixels=10**8)
    box = image.crop((200, 0, 1400, 1200)).resize((32, 32), Image.Resampling.BOX)
    assert np.abs(np.asarray(to_image(row), np.float64) - np.asarray(box, np.float64)).mean() < 2.0


def test_threads_change_nothing(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 60)
    pack(tmp_path / "in", tmp_path / "one.bin", threads=1)
    pack(tmp_path / "in", tmp_path / "four.bin", threads=4)
    for name in ("{}.bin", "{}.bin.names"):
        assert (tmp_path / name.format("one")).read_bytes() == (tmp_path / name.format("four")).read_bytes()


def test_files_that_are_no_pictures_are_told_and_do_not_end_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    paths = write_pictures(folder, 3)
    (folder / "notes.txt").write_text("no picture")
    (folder / "empty.jpg").touch()
    (folder / "cut.png").write_bytes(paths[0].read_bytes()[:60])
    (folder / "two\nlines.png").write_bytes(paths[0].read_bytes())
    os.mkfifo(folder / "pipe.png")
    (folder / "away.png").symlink_to(folder / "nowhere.png")
    report = pack(folder, tmp_path / "tiny.bin")
    assert report.pictures == 3
    assert {failure.path for failure in report.failed} == {"notes.txt", "empty.jpg", "cut.png", "two\nlines.png"}
    assert all(failure.reason for failure in report.failed)


def test_a_file_with_too_many_bytes_or_pixels_is_one_failure(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_pictures(folder, 2)
    draw((1, 2, 3), size=(400, 400)).save(folder / "large.png")
    report = pack(folder, tmp_path / "tiny.bin", max_pixels=10_000)
    assert [failure.path for failure in report.failed] == ["large.png"]
    assert "10,000" in report.failed[0].reason
    (folder / "long.png").write_bytes((folder / "00/000.png").read_bytes() + b"\0" * 10_000)
    report = pack(folder, tmp_path / "other.bin", max_file_bytes=9_000)
    assert [failure.path for failure in report.failed] == ["long.png"]


def test_a_name_that_is_no_utf_8_is_packed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    source = write_pictures(folder, 1)[0]
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png"))).write_bytes(source.read_bytes())
    assert pack(folder, tmp_path / "tiny.bin").pictures == 2
    assert list(read_names(tmp_path / "tiny.bin", 2)) == ["00/000.png", "\ufffd.png"]


@pytest.mark.parametrize("make", ["nothing", "file", "empty", "no pictures"])
def test_nothing_to_pack(tmp_path: Path, make: str) -> None:
    folder = tmp_path / "in"
    if make == "file":
        folder.touch()
    elif make != "nothing":
        folder.mkdir()
        if make == "no pictures":
            (folder / "a.txt").write_text("a")
    with pytest.raises(InvalidInput, match="in"):
        pack(folder, tmp_path / "tiny.bin")
    assert [path.name for path in tmp_path.iterdir() if "tiny" in path.name] == []


def test_an_archive_that_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    path = packed(tmp_path, 5)
    before = path.read_bytes()
    write_pictures(tmp_path / "more", 9)
    with pytest.raises(InvalidParameter, match="exists already"):
        pack(tmp_path / "more", path)
    assert path.read_bytes() == before
    pack(tmp_path / "more", path, replace=True)
    with Archive(path) as archive:
        assert len(archive) == len(list(read_names(path, 9))) == 9


def test_stopping_leaves_what_was_there(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 30)
    stop = Event()

    def on_count(done: int, total: int | None, failed: int) -> None:
        if done == 7:
            stop.set()

    with pytest.raises(InvalidInput, match="stopped"):
        pack(tmp_path / "in", tmp_path / "tiny.bin", threads=2, on_count=on_count, stop=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_killed_run_leaves_no_archive_and_the_next_one_takes_its_part_over(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 5)
    code = (
        "import sys, time; from pathlib import Path; from image_search.tiny.packing import pack\n"
        "def hold(done, total, failed):\n    print(done, flush=True)\n    if done == 3: time.sleep(600)\n"
        "pack(Path(sys.argv[1]), Path(sys.argv[2]), on_count=hold)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "tiny.bin")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline().strip() != "3":
            assert process.poll() is None
        with pytest.raises(InvalidParameter, match="another process"):
            pack(tmp_path / "in", tmp_path / "tiny.bin")
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "tiny.bin").exists()
    assert not names_path(tmp_path / "tiny.bin").exists()
    assert pack(tmp_path / "in", tmp_path / "tiny.bin").pictures == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "tiny.bin", "tiny.bin.names"]


def test_unpacked_pictures_are_those_that_were_packed(tmp_path: Path) -> None:
    path = packed(tmp_path, 23)
    with Archive(path) as archive:
        assert unpack(archive, tmp_path / "out", threads=3) == 23
        rows = archive.pictures(range(23))
    for name, row in zip(read_names(path, 23), rows, strict=True):
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert image.tobytes() == image_of(row).tobytes()
    pack(tmp_path / "out", tmp_path / "again.bin")
    assert (tmp_path / "again.bin").read_bytes() == path.read_bytes()


def test_unpacking_some_without_names(tmp_path: Path) -> None:
    rows = random_archive(tmp_path / "a.bin", 1200)
    with Archive(tmp_path / "a.bin") as archive:
        assert unpack(archive, tmp_path / "out", [1150, 3]) == 2
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png"))
    assert files == ["00000/00000003.png", "00001/00001150.png"]
    with Image.open(tmp_path / "out" / files[1]) as image:
        assert image.tobytes() == image_of(rows[1150]).tobytes()


@pytest.mark.parametrize("name", ["../out.png", "/etc/passwd", "a/../../b", ""])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    random_archive(tmp_path / "a.bin", 2)
    names_path(tmp_path / "a.bin").write_text(f"good.png\n{name}\n")
    with Archive(tmp_path / "a.bin") as archive, pytest.raises(DatasetFormatError, match="no file within a folder"):
        unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "a.bin.names"]


@pytest.mark.parametrize("names", ["a\n", "a\nb\nc\n"])
def test_names_of_another_archive(tmp_path: Path, names: str) -> None:
    random_archive(tmp_path / "a.bin", 2)
    names_path(tmp_path / "a.bin").write_text(names)
    with pytest.raises(DatasetFormatError, match="another archive"):
        names_at(tmp_path / "a.bin", 2, [0])


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    path = packed(tmp_path, 3)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with Archive(path) as archive, pytest.raises(InvalidParameter, match="other files"):
        unpack(archive, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("size", [1, 3071, 3073, 30_000])
def test_a_size_that_is_no_multiple(tmp_path: Path, size: int) -> None:
    (tmp_path / "a.bin").write_bytes(b"\1" * size)
    with pytest.raises(DatasetFormatError, match=r"3,072"):
        Archive(tmp_path / "a.bin")


def test_no_archive_at_all(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing.bin"):
        with pytest.raises(InvalidParameter, match="db"):
            Archive(path)


@pytest.mark.parametrize("position", [-1, 40, 10**12])
def test_positions_out_of_range(tmp_path: Path, position: int) -> None:
    with Archive(packed(tmp_path)) as archive, pytest.raises(InvalidParameter, match="0 to 39"):
        archive.pictures([0, position])


def test_an_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "a.bin").touch()
    with Archive(tmp_path / "a.bin") as archive:
        assert len(archive) == 0
        assert list(archive.scan(lambda blocks: len(list(blocks)), threads=2)) == []
        with pytest.raises(InvalidParameter, match="empty"):
            archive.pictures([0])
        with pytest.raises(InvalidParameter, match="count"):
            archive.sample(1, 0)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_pass_sees_each_picture_once_and_in_order(tmp_path: Path, threads: int) -> None:
    count = TASK + 2 * BLOCK + 17
    rows = random_archive(tmp_path / "a.bin", count)
    seen: list[tuple[int, int]] = []
    with Archive(tmp_path / "a.bin") as archive:
        parts = archive.scan(
            lambda blocks: [(block.first, block.rows.copy()) for block in blocks],
            threads=threads,
            on_bytes=lambda done, total: seen.append((done, total)),
        )
        together = [item for part in parts for item in part]
    assert [first for first, _ in together] == list(range(0, count, BLOCK))
    assert np.array_equal(np.concatenate([block for _, block in together]), rows)
    assert seen == [(TASK * 3072, count * 3072), (count * 3072, count * 3072)]


def test_a_file_that_is_cut_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Far more than may be under way when the first part is there.
    monkeypatch.setattr("image_search.tiny.archive.TASK", 100)
    path = tmp_path / "a.bin"
    random_archive(path, 2000)
    with Archive(path) as archive:
        parts = archive.scan(lambda blocks: [block.first for block in blocks], threads=2)
        next(parts)
        os.truncate(path, 100 * 3072)
        with pytest.raises(DatasetFormatError, match="cut short while it was read"):
            for _ in parts:
                pass
        with pytest.raises(DatasetFormatError, match="picture 200"):
            archive.pictures([5, 200])


def test_what_is_packed_at_the_same_time(tmp_path: Path) -> None:
    """Two processes, one place: one of them writes, the other is told so; the archive is whole."""
    write_pictures(tmp_path / "in", 40)
    code = (
        "import sys; from pathlib import Path; from image_search.tiny.packing import pack\n"
        "from image_search.errors import InvalidParameter\n"
        "try: pack(Path(sys.argv[1]), Path(sys.argv[2]), replace=True)\n"
        "except InvalidParameter as error: sys.exit(3 if 'another process' in str(error) else 4)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "in"), str(tmp_path / "tiny.bin")]
    ends = [process.wait() for process in [subprocess.Popen(command) for _ in range(4)]]
    assert set(ends) <= {0, 3}
    assert 0 in ends
    with Archive(tmp_path / "tiny.bin") as archive:
        assert len(archive) == len(list(read_names(archive.path, 40))) == 40
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "tiny.bin", "tiny.bin.names"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    path = packed(tmp_path, 2)
    for place in (tmp_path, tmp_path / "no" / "x.bin"):
        with pytest.raises(InvalidParameter, match="output"):
            pack(tmp_path / "pictures", place)
    with pytest.raises(ImageStoreError, match="cannot be written"):
        pack(tmp_path / "pictures", tmp_path / ("x" * 300))
    with Archive(path) as archive, pytest.raises(InvalidParameter, match="is a file"):
        unpack(archive, path)


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_file(tmp_path / "a") as file:
        file.write(b"half")
        raise RuntimeError
    with pytest.raises(RuntimeError), new_folder(tmp_path / "b") as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_ours_is_replaced_whole(tmp_path: Path) -> None:
    for turn in ("1", "2"):
        with new_folder(tmp_path / "out", ("mark", "1", "2")) as folder:
            (folder / "mark").touch()
            (folder / turn).touch()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["2", "mark"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_take_the_place_leaves_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name == ".out.part":
            raise OSError(errno.EIO, "Input/output error")
        return real(path, target)

    with new_folder(tmp_path / "out", ("1",)) as folder:
        (folder / "1").touch()
    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(ImageStoreError, match="Input/output"), new_folder(tmp_path / "out", ("1",)):
        pass
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["out", "out/1"]


def test_a_folder_that_a_killed_run_moved_away_comes_back(tmp_path: Path) -> None:
    old = tmp_path / ".out.old"
    old.mkdir()
    (old / "1").touch()
    with pytest.raises(RuntimeError), new_folder(tmp_path / "out", ("1",)):
        raise RuntimeError
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["out", "out/1"]
    (tmp_path / "out").rename(old)
    with new_folder(tmp_path / "out", ("1",)) as folder:
        (folder / "2").touch()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["out", "out/2"]


def test_a_part_that_a_killed_run_left_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".out.part/old").mkdir(parents=True)
    (tmp_path / ".out.part/old/half.png").touch()
    (tmp_path / ".out.part/half").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "whole").touch()
        with pytest.raises(InvalidParameter, match="another process"), new_folder(tmp_path / "out"):
            pass
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["whole"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "out"]


def test_an_archive_among_the_pictures_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_pictures(folder, 2)
    with (folder / "tiny_images.bin").open("wb") as file:
        file.truncate(10**12)
    report = pack(folder, tmp_path / "tiny.bin")
    assert (report.pictures, [failure.path for failure in report.failed]) == (2, ["tiny_images.bin"])
