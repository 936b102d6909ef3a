"""Dataset shards: whole or not at all, refused where they are not what they should be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import image_search.datasets.hdf5 as hdf5
from image_search.datasets.hdf5 import VectorArchive
from image_search.errors import DatasetFormatError, ImageStoreError
from image_search.types import ImageRecord, ShardInfo

MODEL = "m@0123456789ab"
RAW = ShardInfo(model_id=MODEL, projection_id="none", dim=12, count=0)


def records(count: int, start: int = 0) -> list[ImageRecord]:
    made = []
    for number in range(start, start + count):
        image_id = f"{number:064x}"
        made.append(
            ImageRecord(
                image_id, f"originals/{image_id[:2]}/{image_id}", (640, 480), (f"Ordner/猫 {number}.jpg",), tags=("x",)
            )
        )
    return made


def rows(count: int, dim: int = 12, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((count, dim), dtype=np.float32)


def read_all(batches: Iterator[tuple[list[ImageRecord], NDArray[np.float32]]]) -> dict[str, NDArray[np.float32]]:
    found: dict[str, NDArray[np.float32]] = {}
    for batch, vectors in batches:
        assert len(batch) == len(vectors)
        found |= {record.image_id: row for record, row in zip(batch, vectors, strict=True)}
    return found


def write(path: Path, count: int = 10) -> Path:
    hdf5.write_vector_shard(path, RAW, [(records(count), rows(count))])
    return path


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write(tmp_path / "shard.h5")


# Round trips


def test_raw_vectors_come_back_as_float16_gives_them(tmp_path: Path) -> None:
    path, given = tmp_path / "new" / "shard.h5", rows(700)
    written = hdf5.write_vector_shard(path, RAW, [(records(300), given[:300]), (records(400, 300), given[300:])])
    assert written == 700
    assert hdf5.describe_vector_shard(path) == replace(RAW, count=700)
    read: list[ImageRecord] = []
    parts = []
    for batch, vectors in hdf5.read_vector_shard(path, batch_size=256):
        assert len(batch) <= 256
        assert vectors.dtype == np.float32
        read += batch
        parts.append(vectors)
    assert read == records(700), "in the order they were written"
    assert (np.concatenate(parts) == given.astype(np.float16)).all()
    assert hdf5.read_projection(path) == b""


def test_projected_vectors_come_back_exactly_with_their_projection(tmp_path: Path) -> None:
    path, info = tmp_path / "p.h5", replace(RAW, projection_id="pca:12@0123456789ab")
    hdf5.write_vector_shard(path, info, [(records(5), rows(5))], projection=b"\0artefact\xff")
    ((batch, vectors),) = hdf5.read_vector_shard(path)
    assert batch == records(5)
    assert (vectors == rows(5)).all()
    assert hdf5.describe_vector_shard(path) == replace(info, count=5)
    assert hdf5.read_projection(path) == b"\0artefact\xff"


def test_a_shard_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.h5"
    assert hdf5.write_vector_shard(path, RAW, []) == 0
    assert hdf5.describe_vector_shard(path).count == 0
    assert list(hdf5.read_vector_shard(path)) == []
    hdf5.write_picture_shard(path, [], [], shortest_px=0)
    assert list(hdf5.read_picture_shard(path)) == []


def test_pictures_come_back_byte_for_byte(tmp_path: Path) -> None:
    pictures = [b"", b"\0", b"\xff\xd8\xff" * 1000, bytes(range(256)), b"x" * 100_000] * 30
    hdf5.write_picture_shard(tmp_path / "p.h5", records(150), pictures, shortest_px=256)
    read_records: list[ImageRecord] = []
    read: list[bytes] = []
    for batch, data in hdf5.read_picture_shard(tmp_path / "p.h5", batch_size=64):
        read_records += batch
        read += data
    assert read == pictures
    assert read_records == records(150)


def test_the_layout_is_the_documented_one(shard: Path) -> None:
    """Other programs read these files: names, types and attributes are a promise."""
    with h5py.File(shard) as file:
        assert file.attrs["format"] == "image_search/vectors"
        assert (file.attrs["version"], file.attrs["count"]) == (1, 10)
        assert (file.attrs["model_id"], file.attrs["projection_id"]) == (MODEL, "none")
        assert (file["vectors"].shape, file["vectors"].dtype) == ((10, 12), np.float16)
        assert json.loads(file["records"][3])["sources"] == ["Ordner/猫 3.jpg"]


# What is refused


def test_a_file_that_was_cut(shard: Path) -> None:
    whole = shard.read_bytes()
    for share in (0.0, 0.01, 0.3, 0.6, 0.95):
        shard.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(DatasetFormatError, match=r"shard\.h5"):
            list(hdf5.read_vector_shard(shard))
        with pytest.raises(DatasetFormatError):
            hdf5.describe_vector_shard(shard)


def change(path: Path, what: str) -> None:
    with h5py.File(path, "a") as file:
        match what:
            case "version":
                file.attrs["version"] = 2
            case "no version":
                del file.attrs["version"]
            case "format":
                file.attrs["format"] = "somebody/else"
            case "no format":
                del file.attrs["format"]
            case "odd format":
                file.attrs["format"] = [1, 2]
            case "fewer records":
                file["records"].resize(3, axis=0)
            case "count":
                file.attrs["count"] = 11
            case "odd count":
                file.attrs["count"] = h5py.Empty("i8")
            case "no vectors":
                del file["vectors"]
            case "flat vectors":
                del file["vectors"]
                file["vectors"] = np.zeros(10)
            case "a group of vectors":
                del file["vectors"]
                file.create_group("vectors")
            case "records that are numbers":
                del file["records"]
                file["records"] = np.zeros(10)
            case "records that are no JSON":
                file["records"][:] = ["x"] * 10
            case "texts for vectors":
                del file["vectors"]
                file.create_dataset("vectors", (10, 12), h5py.string_dtype())
            case "no model":
                del file.attrs["model_id"]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("version", "version 2"),
        ("no version", "version None"),
        ("format", "somebody/else"),
        ("no format", "no dataset shard"),
        ("odd format", "damaged"),
        ("fewer records", "different lengths"),
        ("count", "different lengths"),
        ("odd count", "shard"),
        ("no vectors", "shard"),
        ("flat vectors", "shard"),
        ("a group of vectors", "shard"),
        ("records that are numbers", "shard"),
        ("records that are no JSON", "no.* JSON|not valid JSON"),
        ("texts for vectors", "shard"),
        ("no model", "shard"),
    ],
)
def test_another_layout_is_refused(shard: Path, what: str, reason: str) -> None:
    change(shard, what)
    with pytest.raises(DatasetFormatError, match=reason):
        hdf5.describe_vector_shard(shard)
        list(hdf5.read_vector_shard(shard))


def test_a_picture_shard_is_no_vector_shard(tmp_path: Path, shard: Path) -> None:
    pictures = tmp_path / "pictures.h5"
    hdf5.write_picture_shard(pictures, records(1), [b"x"], shortest_px=0)
    with pytest.raises(DatasetFormatError, match="image_search/pictures"):
        list(hdf5.read_vector_shard(pictures))
    with pytest.raises(DatasetFormatError, match="image_search/vectors"):
        list(hdf5.read_picture_shard(shard))


def test_no_file_a_folder_and_a_text(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("not HDF5")
    for path in (tmp_path / "absent.h5", tmp_path, tmp_path / "text.h5"):
        with pytest.raises(DatasetFormatError):
            hdf5.describe_vector_shard(path)


def test_a_generic_hdf5_file_is_refused_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros(5)
    with pytest.raises(DatasetFormatError, match=r"other\.h5: is 'no dataset shard'"):
        hdf5.describe_vector_shard(tmp_path / "other.h5")


# Whole or not at all


def test_a_writer_that_fails_leaves_the_old_shard_and_nothing_else(shard: Path) -> None:
    before = shard.read_bytes()

    def failing() -> Iterator[tuple[list[ImageRecord], NDArray[np.float32]]]:
        yield records(300), rows(300)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hdf5.write_vector_shard(shard, RAW, failing())
    assert shard.read_bytes() == before
    assert list(shard.parent.iterdir()) == [shard]


KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
import image_search.datasets.hdf5 as hdf5
from image_search.types import ShardInfo
from tests.unit.test_hdf5 import RAW, records, rows

def batches():
    yield records(500), rows(500)
    print("half", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    yield records(500, 500), rows(500)

hdf5.write_vector_shard(Path(sys.argv[1]), RAW, batches())
"""


def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    path = tmp_path / "killed.h5"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == -9, done.stderr
    assert done.stdout == "half\n"
    assert not path.exists()
    archive = VectorArchive(tmp_path, MODEL)
    assert list(archive.iterate()) == [], "what it left is no shard"
    write(path)
    assert hdf5.describe_vector_shard(path).count == 10


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import image_search.datasets.hdf5 as hdf5
from image_search.errors import ImageStoreError
from tests.unit.test_hdf5 import RAW, records, rows

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
folder = Path(sys.argv[1])
for name, write in (
    ("v.h5", lambda path: hdf5.write_vector_shard(path, RAW, [(records(20_000), rows(20_000))])),
    ("p.h5", lambda path: hdf5.write_picture_shard(path, records(9), [bytes(100_000)] * 9, shortest_px=0)),
):
    try:
        write(folder / name)
        print("written")
    except ImageStoreError as error:
        print("refused:", error)
hdf5.write_vector_shard(folder / "small.h5", RAW, [(records(10), rows(10))])
print(sorted(path.name for path in folder.iterdir()))
"""


def test_a_disk_that_fills_up_stops_cleanly_and_a_later_write_works(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["refused", "refused"]
    assert lines[2] == "['small.h5']"


def test_a_folder_that_cannot_be_made_is_one_of_our_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ImageStoreError):
        write(tmp_path / "file" / "shard.h5")


# The archive


@pytest.fixture
def archive(tmp_path: Path) -> VectorArchive:
    return VectorArchive(tmp_path / "vectors", MODEL)


def fill(archive: VectorArchive, parts: int, each: int = 10) -> dict[str, NDArray[np.float32]]:
    for part in range(parts):
        archive.append(records(each, part * each), rows(each, seed=part))
    kept = np.concatenate([rows(each, seed=part) for part in range(parts)]).astype(np.float16).astype(np.float32)
    return {record.image_id: row for record, row in zip(records(parts * each), kept, strict=True)}


def assert_same(found: dict[str, NDArray[np.float32]], wanted: dict[str, NDArray[np.float32]]) -> None:
    assert found.keys() == wanted.keys()
    assert all((found[image_id] == wanted[image_id]).all() for image_id in wanted)


def test_an_archive_that_is_not_there_is_empty(archive: VectorArchive) -> None:
    assert list(archive.iterate()) == []
    archive.compact()
    assert not archive.folder.exists()


def test_compaction_joins_and_loses_nothing(archive: VectorArchive) -> None:
    wanted = fill(archive, 7)
    assert len(archive.shards()) == 7
    archive.compact()
    assert len(archive.shards()) == 1
    assert_same(read_all(archive.iterate()), wanted)
    archive.append(records(3, 1000), rows(3))
    archive.compact()
    assert len(archive.shards()) == 1, "a part that is still small is joined again"
    assert len(read_all(archive.iterate())) == 73


def test_several_may_compact_at_once(archive: VectorArchive) -> None:
    """As when two bulk runs end at the same moment."""
    for number in range(6):
        archive.append(records(2, 2 * number), rows(2))
    together = threading.Barrier(4)

    def compact() -> None:
        together.wait()
        VectorArchive(archive.folder, MODEL).compact()

    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(compact) for _ in range(4)]:
            one.result()
    assert len(archive.shards()) == 1
    assert len(read_all(archive.iterate())) == 12


def test_a_compaction_removes_what_killed_writers_left(archive: VectorArchive) -> None:
    archive.append(records(2), rows(2))
    left, written = archive.folder / "part-000001-a.h5.0123.part", archive.folder / "part-000001-b.h5.4567.part"
    for path in (left, written):
        path.write_bytes(b"half")
    os.utime(left, (time.time() - 2 * 3600,) * 2)
    archive.compact()
    assert (left.exists(), written.exists()) == (False, True)


def test_an_archive_that_cannot_be_locked_is_said_in_words(archive: VectorArchive) -> None:
    archive.append(records(2), rows(2))
    (archive.folder / "lock").mkdir()
    with pytest.raises(ImageStoreError, match="cannot be locked"):
        archive.compact()


def test_a_large_shard_is_left_alone(archive: VectorArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VectorArchive, "rows_per_shard", 30)
    wanted = fill(archive, 7)
    archive.compact()
    names = [path.name for path in archive.shards()]
    assert sorted(name.partition("-")[0] for name in names) == ["part", "shard", "shard"]
    archive.compact()
    assert [path.name for path in archive.shards()] == names
    assert_same(read_all(archive.iterate()), wanted)


@pytest.mark.parametrize("survivors", [0, 1, 3])
def test_compaction_killed_between_write_and_unlink_loses_nothing(
    archive: VectorArchive, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    wanted = fill(archive, 4)
    unlink, calls = Path.unlink, 0

    def dies(path: Path, missing_ok: bool = False) -> None:
        nonlocal calls
        if path.suffix == ".h5":
            calls += 1
            if calls > survivors:
                raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", dies)
        with pytest.raises(KeyboardInterrupt):
            archive.compact()
    assert len(archive.shards()) == 5 - survivors
    assert_same(read_all(archive.iterate()), wanted)
    archive.compact()
    assert len(archive.shards()) == 1
    assert_same(read_all(archive.iterate()), wanted)


def test_a_compaction_while_somebody_reads_hides_nothing(archive: VectorArchive) -> None:
    """A rebuild reads in one process while a bulk run in another ends with a compaction."""
    wanted = fill(archive, 6)
    reading = archive.iterate(batch_size=4)
    found = read_all(iter([next(reading), next(reading)]))
    archive.compact()
    assert_same(found | read_all(reading), wanted)


def test_a_damaged_shard_is_not_passed_over(archive: VectorArchive) -> None:
    fill(archive, 2)
    path = archive.shards()[0]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetFormatError):
        read_all(archive.iterate())


def test_an_adopted_shard_is_read_with_the_others(archive: VectorArchive, shard: Path) -> None:
    archive.append(records(5, 500), rows(5))
    archive.adopt(shard)
    assert not shard.exists()
    assert len(read_all(archive.iterate())) == 15


def test_a_check_of_a_foreign_file_is_given_up_when_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hdf5, "LOOK_UP_EVERY_S", 0.001)
    path = tmp_path / "a.h5"
    path.write_bytes(b"no dataset")
    hdf5.check_vector_shard(path, rows=True, give_up=lambda: True)
    with pytest.raises(DatasetFormatError):
        hdf5.check_vector_shard(path, rows=True)
