"""Copies of pictures, as people make them: thirteen kinds, and how often the original is found first by its copy."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

_BILINEAR = Image.Resampling.BILINEAR


def _jpeg(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=10)
    return Image.open(buffer).convert("RGB")


def _inner(image: Image.Image) -> Image.Image:
    """The middle 86 % of each edge: 74 % of the area."""
    width, height = image.size
    return image.crop((round(width * 0.07), round(height * 0.07), round(width * 0.93), round(height * 0.93)))


def _corner(image: Image.Image) -> Image.Image:
    """The lower right part with half of the area."""
    return image.crop((round(image.width * 0.293), round(image.height * 0.293), image.width, image.height))


def _eighth(image: Image.Image) -> Image.Image:
    return image.resize((max(4, image.width // 8), max(4, image.height // 8)), Image.Resampling.LANCZOS)


def _border(image: Image.Image) -> Image.Image:
    """Black on all sides, a quarter of the edge wide."""
    return ImageOps.expand(image, (image.width // 4, image.height // 4), 0)


def _text(image: Image.Image) -> Image.Image:
    """A white bar with words over a quarter of the picture."""
    written = image.copy()
    draw = ImageDraw.Draw(written)
    top = round(image.height * 0.4)
    draw.rectangle((0, top, image.width, top + image.height // 4), fill="white")
    size = max(10, image.height // 6)
    draw.text((8, top + 4), "What a picture!", fill="black", font=ImageFont.load_default(size))
    return written


KINDS: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 10": _jpeg,
    "crop to 74 %": _inner,
    "corner crop 50 %": _corner,
    "mirrored": ImageOps.mirror,
    "turned 10 degrees": lambda image: image.rotate(10, _BILINEAR),
    "turned 90 degrees": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(max(image.size) / 66)),
    "bright": lambda image: ImageEnhance.Brightness(image).enhance(1.5),
    "1/8 size": _eighth,
    "wide black border": _border,
    "text over 25 %": _text,
    "stretched": lambda image: image.resize((round(image.width * 1.35), image.height), _BILINEAR),
}


def found_first(gallery: np.ndarray, originals: np.ndarray, copies: np.ndarray) -> float:
    """Share of copies (n, dim) whose nearest row of the gallery (m, dim) is their original, given as its row (n,)."""
    return float((np.argmax(copies @ gallery.T, axis=1) == originals).mean())
