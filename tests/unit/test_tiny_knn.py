"""Nearest neighbours on raw pixels, beside plain NumPy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from image_search.errors import DatasetFormatError, InvalidInput, InvalidParameter
from image_search.tiny import knn
from image_search.tiny.archive import Archive
from image_search.tiny.compare import Comparer, PixelMetric
from image_search.tiny.knn import METRICS, Metric, all_distances, nearest
from image_search.tiny.pixels import prepare, to_pixels
from image_search.tiny.shifts import mirrored, shifted_distances
from tests.tiny_archives import packed, plain_l2, plain_normalised, random_archive

COUNT = 700


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that several threads have several blocks to do."""
    monkeypatch.setattr("image_search.tiny.archive.BLOCK", 64)
    monkeypatch.setattr("image_search.tiny.archive.TASK", 160)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.uint8]]:
    path = tmp_path_factory.mktemp("noise") / "noise.bin"
    return path, random_archive(path, COUNT)


@pytest.fixture
def archive(rows: tuple[Path, NDArray[np.uint8]]) -> Iterator[Archive]:
    with Archive(rows[0]) as opened:
        yield opened


def queries(pictures: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Some that are in the archive, flat ones, and others."""
    others = np.random.default_rng(9).integers(0, 256, (count, 3072), np.uint8)
    known = [2, 3, 4, 600][: max(0, count - 1)]
    others[: len(known)] = pictures[known]
    return others


@pytest.mark.parametrize("count", [1, 2, 17, 300])
def test_squares_of_l2_are_whole_and_exact(rows: tuple[Path, NDArray[np.uint8]], count: int) -> None:
    some, asked = rows[1][:70], queries(rows[1], count)
    plain = np.array([((some.astype(np.int64) - query) ** 2).sum(1) for query in asked]).T
    assert np.array_equal(Comparer(asked, "l2").squared(some), plain)


@pytest.mark.parametrize("size", [1, 31, 2523])
def test_parts_of_pictures(rows: tuple[Path, NDArray[np.uint8]], size: int) -> None:
    some, asked = np.ascontiguousarray(rows[1][:50, :size]), np.ascontiguousarray(rows[1][20:23, :size])
    pairs: tuple[tuple[PixelMetric, Any], ...] = (("l2", plain_l2), ("normalised", plain_normalised))
    for metric, plain in pairs:
        found = np.sqrt(Comparer(asked, metric).squared(some))
        assert np.allclose(found, np.array([plain(some, query) for query in asked]).T, atol=1e-7, rtol=0)


@pytest.mark.parametrize("count", [1, 5, 40])
def test_normalised_is_what_it_says(rows: tuple[Path, NDArray[np.uint8]], count: int) -> None:
    some, asked = rows[1][:70], queries(rows[1], count)
    found = np.sqrt(Comparer(asked, "normalised").squared(some))
    plain = np.array([plain_normalised(some, query) for query in asked]).T
    # The plain way loses half of its digits next to 0.
    assert np.allclose(found, plain, atol=1e-7, rtol=0)
    assert 0 <= found.min() <= found.max() <= 2


def test_brightness_and_contrast_do_not_matter_to_normalised() -> None:
    row = np.random.default_rng(4).integers(0, 100, (1, 3072), np.uint8)
    other = np.concatenate([row * 2 + 30, 100 - row])
    assert np.sqrt(Comparer(row, "normalised").squared(other))[:, 0].tolist() == [0.0, 2.0]


@pytest.mark.parametrize("kernels", ["icelake genoa sapphire turin", "skylake icelake genoa sapphire turin haswell"])
def test_other_processors_find_the_same(tmp_path: Path, kernels: str) -> None:
    """The library chooses its kernels by what the processor has: without the newest ones the numbers are the same."""
    code = (
        "import sys, numkong, numpy as np\n"
        "[numkong.disable_capability(name) for name in sys.argv[2:]]\n"
        "from image_search.tiny.compare import Comparer\n"
        "rows = np.random.default_rng(0).integers(0, 256, (40, 3072), np.uint8)\n"
        "rows[0], rows[1] = 0, 255\n"
        "np.save(sys.argv[1], [Comparer(rows[:9], metric).squared(rows) for metric in ('l2', 'normalised')])"
    )
    found = []
    for number, names in enumerate(([], kernels.split())):
        path = tmp_path / f"{number}.npy"
        subprocess.run([sys.executable, "-c", code, str(path), *names], check=True)
        found.append(np.load(path))
    assert np.array_equal(*found)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("metric", ["l2", "normalised"])
@pytest.mark.parametrize("k", [1, 10, 650])
def test_the_nearest_are_those_of_a_sort(
    archive: Archive, rows: tuple[Path, NDArray[np.uint8]], metric: PixelMetric, k: int, threads: int
) -> None:
    asked = queries(rows[1], 6)
    plain = plain_l2 if metric == "l2" else plain_normalised
    for query, found in zip(asked, nearest(archive, asked, k, metric=metric, threads=threads), strict=True):
        distances = np.round(plain(rows[1], query), 12)
        # Floating point finds a picture and its double next to 0, not at it.
        distances[distances < 1e-6] = 0
        order = np.lexsort((np.arange(COUNT), distances))[:k]
        assert [one.position for one in found] == order.tolist()
        assert np.allclose([one.score for one in found], distances[order], atol=1e-6, rtol=0)


@pytest.mark.parametrize("metric", METRICS)
def test_a_picture_finds_itself_and_its_double_at_exactly_0(archive: Archive, metric: Metric) -> None:
    asked = archive.pictures([2, 77, 3])
    first, second, flat = nearest(archive, asked, 3, metric=metric, threads=2)
    assert [(one.score, one.position) for one in first] == [(0.0, 2), (0.0, 7), (0.0, COUNT - 1)]
    assert (second[0].score, second[0].position) == (0.0, 77)
    assert second[1].score > 0
    assert [one.score for one in flat[:2]] == [0.0, 0.0]
    assert flat[0].position == 3


def test_a_packed_picture_finds_itself(tmp_path: Path) -> None:
    path = packed(tmp_path, 30)
    files = sorted((tmp_path / "pictures").rglob("*.png"))
    with Archive(path) as archive:
        asked = np.stack([prepare(file.read_bytes(), max_pixels=10**6) for file in files])
        for position, found in enumerate(nearest(archive, asked, 1)):
            assert (found[0].score, found[0].position) == (0.0, position)


def test_many_queries_are_those_one_by_one(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = np.random.default_rng(5).integers(0, 256, (23, 3072), np.uint8)
    monkeypatch.setattr(knn, "QUERIES_AT_ONCE", 10)
    for metric in METRICS:
        together = nearest(archive, asked, 5, metric=metric, threads=2)
        assert together == [nearest(archive, one[None], 5, metric=metric)[0] for one in asked]


def test_k_beyond_the_archive(archive: Archive) -> None:
    found = nearest(archive, archive.pictures([1]), 10**9)[0]
    assert sorted(one.position for one in found) == list(range(COUNT))
    assert [one.score for one in found] == sorted(one.score for one in found)


def test_nothing_to_find(tmp_path: Path, archive: Archive) -> None:
    (tmp_path / "empty.bin").touch()
    with Archive(tmp_path / "empty.bin") as empty:
        for metric in METRICS:
            assert nearest(empty, archive.pictures([1, 2]), 3, metric=metric) == [[], []]
    assert nearest(archive, archive.pictures([]), 3) == []
    for k in (0, -1):
        with pytest.raises(InvalidParameter, match="k"):
            nearest(archive, archive.pictures([1]), k)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("metric", ["l2", "normalised"])
def test_all_distances_in_file_order(
    archive: Archive, rows: tuple[Path, NDArray[np.uint8]], metric: PixelMetric, threads: int
) -> None:
    asked = queries(rows[1], 3)
    parts = list(all_distances(archive, asked, metric=metric, threads=threads))
    assert [first for first, _ in parts] == np.cumsum([0, *(len(part) for _, part in parts[:-1])]).tolist()
    plain = plain_l2 if metric == "l2" else plain_normalised
    expected = np.stack([plain(rows[1], query) for query in asked], axis=1)
    assert np.allclose(np.concatenate([part for _, part in parts]), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (2, -1), (-2, 2)])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_shifts_and_mirror_images_are_found(right: int, down: int, is_mirrored: bool) -> None:
    scene = np.random.default_rng(7).integers(0, 256, (40, 40, 3), np.uint8)
    query = scene[4:36, 4:36]
    # What it shows lies that much further left and up: moved right and down again it fits.
    other = scene[4 + down : 36 + down, 4 + right : 36 + right]
    other = other[:, ::-1] if is_mirrored else other
    rows = np.stack([np.ascontiguousarray(p.transpose(2, 1, 0)).reshape(-1) for p in (other, scene[8:40, 8:40])])
    row = np.ascontiguousarray(query.transpose(2, 1, 0)).reshape(-1)
    best = shifted_distances(rows, row, 2)
    assert best.squared[0] == 0.0
    assert (best.right[0], best.down[0], best.mirrored[0]) == (right, down, is_mirrored)
    assert best.squared[1] > 0.5


def test_mirrored_turns_left_and_right() -> None:
    row = np.random.default_rng(3).integers(0, 256, (2, 3072), np.uint8)
    assert np.array_equal(to_pixels(mirrored(row)), to_pixels(row)[:, :, ::-1])


def test_shifted_finds_a_mirror_image_that_normalised_does_not(tmp_path: Path) -> None:
    pictures = random_archive(tmp_path / "a.bin", 400)
    with Archive(tmp_path / "a.bin") as archive:
        asked = mirrored(pictures[50:51])
        assert nearest(archive, asked, 1, metric="normalised")[0][0].score == 1.0
        found = nearest(archive, asked, 2, metric="shifted", candidates=3)[0]
    assert (found[0].position, found[0].score, found[0].mirrored, found[0].shift) == (50, 0.0, True, (0, 0))
    # A flat one is no likeness, but nothing else in the archive is nearer.
    assert found[1].score == 1.0


def test_a_pass_is_stopped(archive: Archive) -> None:
    stop = Event()
    stop.set()
    with pytest.raises(InvalidInput, match="stopped"):
        nearest(archive, archive.pictures([0]), 1, stop=stop)


def test_an_archive_that_is_cut_while_it_is_searched(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    random_archive(path, 900)
    with Archive(path) as archive:
        asked = archive.pictures([0])

        def cut(done: int, total: int) -> None:
            os.truncate(path, 330 * 3072 + 100)

        with pytest.raises(DatasetFormatError, match="cut short"):
            nearest(archive, asked, 1, on_bytes=cut)


def test_memory_does_not_grow_with_the_archive(tmp_path: Path) -> None:
    """Of an archive of 400 MB the process takes no more than of one of 40 MB, and some."""
    code = (
        "import sys; from pathlib import Path\n"
        "from image_search.tiny.archive import Archive; from image_search.tiny.knn import nearest\n"
        "with Archive(Path(sys.argv[1])) as archive: nearest(archive, archive.pictures(range(20)), 10, threads=2)\n"
        # Not ru_maxrss, which counts the process that this one was forked from.
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    )
    peaks = []
    for megabytes in (40, 400):
        path = tmp_path / f"{megabytes}.bin"
        noise = random_archive(path, 13_000).tobytes()
        with path.open("ab") as file:
            for _ in range(megabytes // 40 - 1):
                file.write(noise)
        done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout) / 1024)
        path.unlink()
    assert peaks[1] < peaks[0] + 40
