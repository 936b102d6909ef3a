"""Grids of tiny pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from image_search.errors import InvalidInput, InvalidParameter
from image_search.tiny.mosaic import FORMATS, Order, mosaic, save
from tests.tiny_archives import image_of


def noise(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (count, 3072), np.uint8)


@pytest.mark.parametrize(
    ("count", "columns", "order", "places"),
    [
        (5, 3, "row", [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]),
        (5, 3, "column", [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]),
        (4, None, "row", [(0, 0), (1, 0), (0, 1), (1, 1)]),
        (2, 10, "row", [(0, 0), (1, 0)]),
        (3, 1, "row", [(0, 0), (0, 1), (0, 2)]),
    ],
)
def test_where_each_picture_is(count: int, columns: int | None, order: Order, places: list[tuple[int, int]]) -> None:
    rows = noise(count)
    image = mosaic(rows, columns, order=order)
    assert image.size == (32 * (1 + max(x for x, _ in places)), 32 * (1 + max(y for _, y in places)))
    covered = np.zeros((image.height, image.width), bool)
    for row, (x, y) in zip(rows, places, strict=True):
        box = (32 * x, 32 * y, 32 * x + 32, 32 * y + 32)
        assert image.crop(box).tobytes() == image_of(row).tobytes()
        covered[box[1] : box[3], box[0] : box[2]] = True
    assert (np.asarray(image)[~covered] == 255).all()


def test_scale_repeats_pixels() -> None:
    rows = noise(3)
    small, large = mosaic(rows, 2), mosaic(rows, 2, scale=3)
    assert np.array_equal(np.asarray(large), np.asarray(small).repeat(3, 0).repeat(3, 1))


@pytest.mark.parametrize("suffix", [*FORMATS, ".JPG"])
def test_the_format_follows_the_suffix(tmp_path: Path, suffix: str) -> None:
    save(mosaic(noise(4)), tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as image:
        assert (image.format, image.size) == (FORMATS[suffix.lower()], (64, 64))
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def test_cells_do_not_run_into_each_other_in_a_jpeg(tmp_path: Path) -> None:
    rows = np.zeros((2, 3072), np.uint8)
    rows[0, :1024] = 255
    rows[1, 2048:] = 255
    save(mosaic(rows, 2), tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as image:
        pixels = np.asarray(image, np.int16)
    assert np.abs(pixels[:, :32] - (255, 0, 0)).max() <= 4
    assert np.abs(pixels[:, 32:] - (0, 0, 255)).max() <= 4


@pytest.mark.parametrize("name", ["out", "out.txt", "out.svg", ".png"])
def test_no_such_format(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidParameter, match="suffix"):
        save(mosaic(noise(1)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_does_not_fit(tmp_path: Path) -> None:
    tall = mosaic(noise(600), 1)
    with pytest.raises(InvalidInput, match="WEBP"):
        save(tall, tmp_path / "out.webp")
    save(tall, tmp_path / "out.png")
    with pytest.raises(InvalidInput, match="pixels"):
        mosaic(noise(200), scale=64)
    with pytest.raises(InvalidInput, match="no picture"):
        mosaic(noise(0))
    for wrong in (0, -3):
        with pytest.raises(InvalidParameter, match="columns"):
            mosaic(noise(1), wrong)
        with pytest.raises(InvalidParameter, match="scale"):
            mosaic(noise(1), scale=wrong)
