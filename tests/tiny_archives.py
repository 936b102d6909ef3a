"""Archives for the tests of the Tiny Images tools, and their distances in plain NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_search.tiny.packing import pack
from tests.support import draw

EDGE = 32


def colours(number: int) -> tuple[int, int, int]:
    """A colour for each number below 1,000."""
    return number * 37 % 256, number * 91 % 256, number * 151 % 256


def write_pictures(folder: Path, count: int) -> list[Path]:
    """So many drawn PNG files of several sizes in folders of ten; in the order of their paths."""
    paths = []
    for number in range(count):
        path = folder / f"{number // 10:02}" / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (40 + number % 7 * 9, 32 + number % 5 * 11)
        draw(colours(number), size=size, mark=number).save(path)
        paths.append(path)
    return paths


def packed(folder: Path, count: int = 40) -> Path:
    """An archive of drawn pictures, with its names."""
    write_pictures(folder / "pictures", count)
    pack(folder / "pictures", folder / "tiny.bin")
    return folder / "tiny.bin"


def random_archive(path: Path, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Write an archive of noise, some of it twice and some of it flat; returns its (count, 3072) rows."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, 3072), np.uint8)
    if count > 10:
        rows[3] = 0
        rows[4] = 255
        rows[7] = rows[2]
        rows[count - 1] = rows[2]
        rows[8] = 0
    path.write_bytes(rows.tobytes())
    return rows


def plain_l2(rows: NDArray[np.uint8], query: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n,) Euclidean distances, in whole numbers up to the root."""
    return np.sqrt(np.square(rows.astype(np.int64) - query).sum(1))


def plain_normalised(rows: NDArray[np.uint8], query: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n,) distances of pictures of zero mean and unit norm; flat ones stay all zeros."""

    def unit(row: NDArray[np.uint8]) -> NDArray[np.float64]:
        centred = row - row.astype(np.float64).mean()
        length = np.linalg.norm(centred)
        return centred / length if row.min() < row.max() else np.zeros_like(centred)

    return np.array([np.linalg.norm(unit(row) - unit(query)) for row in rows])


def image_of(row: NDArray[np.uint8]) -> Image.Image:
    """The picture of 3,072 bytes, pixel by pixel after the archive's description."""
    image = Image.new("RGB", (EDGE, EDGE))
    for y in range(EDGE):
        for x in range(EDGE):
            red, green, blue = (int(row[plane * 1024 + x * EDGE + y]) for plane in range(3))
            image.putpixel((x, y), (red, green, blue))
    return image
