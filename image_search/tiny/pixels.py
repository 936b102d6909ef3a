"""A picture as the archive keeps it: 32 x 32, 3,072 bytes, the planes of red, green and blue one after another, each
column by column (MATLAB's order)."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from image_search.imaging import decode

EDGE_PX = 32
PICTURE_BYTES = 3 * EDGE_PX * EDGE_PX

Bytes: TypeAlias = NDArray[np.uint8]
"""Pictures as rows of 3,072 bytes in the archive's order, or (n, 32, 32, 3) as y, x, colour; each says which."""
Fit: TypeAlias = Literal["crop", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)


def prepare(data: bytes, *, fit: Fit = "crop", max_pixels: int) -> Bytes:
    """(3072,) of the picture in a file's bytes: its centred square, or all of it stretched, at 32 x 32.

    Archive and query take this one way, so that a picture finds itself at 0. A picture that is 32 x 32 already keeps
    its pixels. Raises InvalidImage, ImageTooLarge, UnsupportedFormat.
    """
    image = decode(data, max_pixels=max_pixels, shortest_px=EDGE_PX).image
    return to_row(shrink(image, fit))


def shrink(image: Image.Image, fit: Fit) -> Image.Image:
    """The RGB picture at 32 x 32."""
    if fit == "crop":
        width, height = image.size
        edge = min(width, height)
        left, top = (width - edge) // 2, (height - edge) // 2
        # Not `box` of resize: its filter would look at what lies beside the square.
        image = image.crop((left, top, left + edge, top + edge))
    if image.size == (EDGE_PX, EDGE_PX):
        return image
    return image.resize((EDGE_PX, EDGE_PX), Image.Resampling.LANCZOS)


def to_row(image: Image.Image) -> Bytes:
    """(3072,) of a 32 x 32 RGB picture."""
    return np.ascontiguousarray(np.asarray(image, np.uint8).transpose(2, 1, 0)).reshape(PICTURE_BYTES)


def to_pixels(rows: Bytes) -> Bytes:
    """(n, 32, 32, 3), y before x, of (n, 3072) rows; a view."""
    return rows.reshape(-1, 3, EDGE_PX, EDGE_PX).transpose(0, 3, 2, 1)


def to_image(row: Bytes) -> Image.Image:
    """The picture of one row."""
    return Image.fromarray(np.ascontiguousarray(to_pixels(row)[0]))
