"""Pictures of an archive side by side in one picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from image_search.errors import InvalidInput, InvalidParameter
from image_search.tiny.output import new_file
from image_search.tiny.pixels import EDGE_PX, Bytes, to_pixels

Order: TypeAlias = Literal["row", "column"]

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""By the suffix of a file."""
MAX_EDGE_PX = {"JPEG": 65_500, "WEBP": 16_383, "GIF": 65_535}
MAX_PIXELS = 400_000_000
_OPTIONS: dict[str, dict[str, object]] = {
    # Colour at full resolution: else that of a cell runs into the next one.
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
}
_WHITE = 255


def mosaic(rows: Bytes, columns: int | None = None, *, order: Order = "row", scale: int = 1) -> Image.Image:
    """A grid of (n, 3072) pictures without gaps, the first one top left; cells that are left over are white.

    `columns`: how many side by side; by default the grid is square. `order`: whether rows are filled from left to right
    one after another, or columns from top to bottom. `scale`: each pixel becomes so many, each way.
    Raises InvalidParameter, InvalidInput (no picture, or too large a grid).
    """
    count = len(rows)
    if not count:
        raise InvalidInput("no picture to show")
    for name, value in (("columns", columns), ("scale", scale)):
        if value is not None and value < 1:
            raise InvalidParameter(name, f"{value}; at least 1 is expected")
    across = min(columns or math.ceil(math.sqrt(count)), count)
    down = math.ceil(count / across)
    edge = EDGE_PX * scale
    if across * down * edge * edge > MAX_PIXELS:
        raise InvalidInput(
            f"{across} x {down} cells of {edge} px are more than {MAX_PIXELS:,} pixels: "
            "fewer pictures or a smaller scale"
        )
    cells = np.full((across * down, EDGE_PX, EDGE_PX, 3), _WHITE, np.uint8)
    cells[:count] = to_pixels(rows)
    if order == "row":
        grid = cells.reshape(down, across, EDGE_PX, EDGE_PX, 3)
    else:
        grid = cells.reshape(across, down, EDGE_PX, EDGE_PX, 3).swapaxes(0, 1)
    # Row and column of the cell, then of the pixel -> rows, then columns, of the whole.
    pixels = grid.transpose(0, 2, 1, 3, 4).reshape(down * EDGE_PX, across * EDGE_PX, 3)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return image if scale == 1 else image.resize((across * edge, down * edge), Image.Resampling.NEAREST)


def picture_format(path: Path) -> str:
    """What a file of this name holds. Raises InvalidParameter for a suffix that is no picture's."""
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise InvalidParameter("output", f"{str(path)!r}: its suffix must be one of {', '.join(FORMATS)}")
    return FORMATS[suffix]


def save(image: Image.Image, path: Path) -> None:
    """Write a picture in the format of the file's suffix, all or nothing.

    Raises InvalidParameter (the place, the suffix), InvalidInput (larger than the format can be), ImageStoreError.
    """
    kind = picture_format(path)
    longest = MAX_EDGE_PX.get(kind)
    if longest is not None and max(image.size) > longest:
        raise InvalidInput(
            f"{image.width} x {image.height} px do not fit into {kind}, which has at most {longest:,} px each way: "
            "other columns, or another suffix"
        )
    with new_file(path) as file:
        image.save(file, kind, **_OPTIONS.get(kind, {}))
