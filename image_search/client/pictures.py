"""A picture as scripts and notebooks have it -> its bytes and its name."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageOps

Picture: TypeAlias = bytes | Path | Image.Image
"""The bytes of a picture file, where the file is, or a picture of Pillow's (sent as a PNG: the same pixels)."""

_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")


def picture_bytes(picture: object) -> bytes:
    """What is sent of it. Raises OSError where a file cannot be read, TypeError where it is no picture."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, Path):
        return picture.read_bytes()
    if isinstance(picture, Image.Image):
        return _png(picture)
    if isinstance(picture, str):
        raise TypeError("image: a str is not a picture: give Path(...) for a file, or image_url=... for an address")
    raise TypeError(f"image: {type(picture).__name__} is not a picture: give bytes, a Path or a PIL.Image.Image")


def picture_name(picture: object) -> str:
    """What its owner calls it: a file's name without folders, "" of one without a file."""
    # A name on disk is any bytes; what is no UTF-8 in it cannot be sent.
    return os.fsencode(picture.name).decode(errors="replace") if isinstance(picture, Path) else ""


def _png(image: Image.Image) -> bytes:
    # A PNG that Pillow writes loses the orientation that a camera's EXIF tells.
    upright = ImageOps.exif_transpose(image)
    buffer = io.BytesIO()
    (upright if upright.mode in _PNG_MODES else upright.convert("RGB")).save(buffer, "PNG")
    return buffer.getvalue()
