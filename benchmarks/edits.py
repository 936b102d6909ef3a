"""What people do to a picture that stays the same picture: eleven kinds of edits, five of them light."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

SAVED_QUALITY = 90
"""What a program saves an edited picture with, where the edit is not the saving itself."""

Edit = Callable[[Image.Image], Image.Image]


def _resized(image: Image.Image, part: float) -> Image.Image:
    size = (max(4, round(image.width * part)), max(4, round(image.height * part)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _cropped(image: Image.Image, off: float) -> Image.Image:
    """Without `off` of the width and of the height, taken from all sides alike."""
    x, y = round(image.width * off / 2), round(image.height * off / 2)
    return image.crop((x, y, image.width - x, image.height - y))


def _signed(image: Image.Image) -> Image.Image:
    """A name in the lower right corner, a twentieth of the height, as photographers sign."""
    written = image.copy()
    size = max(8, image.height // 20)
    place = (image.width - size // 2, image.height - size // 2)
    ImageDraw.Draw(written).text(
        place,
        "(c) A. Photographer",
        anchor="rs",
        fill="white",
        stroke_fill="black",
        stroke_width=1,
        font=ImageFont.load_default(size),
    )
    return written


def _bordered(image: Image.Image) -> Image.Image:
    """White on all sides, a tenth of the edge wide."""
    return ImageOps.expand(image, (image.width // 10, image.height // 10), "white")


def _recoloured(image: Image.Image) -> Image.Image:
    """Strong contrast, strong colours, and a warm cast, as filters of telephones do it."""
    strong = ImageEnhance.Color(ImageEnhance.Contrast(image).enhance(1.5)).enhance(1.6)
    red, green, blue = strong.split()
    return Image.merge("RGB", (red.point(lambda v: min(255, v + 20)), green, blue.point(lambda v: max(0, v - 20))))


LIGHT: Mapping[str, Edit] = {
    "JPEG 50": lambda image: image,
    "half size": lambda image: _resized(image, 0.5),
    "crop 5 %": lambda image: _cropped(image, 0.05),
    "brightness +20 %": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
    "small text": _signed,
}
HEAVY: Mapping[str, Edit] = {
    "grey": lambda image: image.convert("L").convert("RGB"),
    "border 10 %": _bordered,
    "crop 25 %": lambda image: _cropped(image, 0.25),
    "corner crop 5 %": lambda image: image.crop((image.width // 20, image.height // 20, *image.size)),
    "quarter size": lambda image: _resized(image, 0.25),
    "recoloured": _recoloured,
}
EDITS: Mapping[str, Edit] = {**LIGHT, **HEAVY}


def edited(image: Image.Image, kind: str) -> bytes:
    """The file that an edit of an RGB picture leaves."""
    buffer = io.BytesIO()
    EDITS[kind](image).save(buffer, "JPEG", quality=50 if kind == "JPEG 50" else SAVED_QUALITY)
    return buffer.getvalue()
