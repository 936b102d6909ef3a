"""Views of a picture as people make copies of it: cropped, turned, recoloured, recompressed, framed, written on.

The student sees such a view and is taught the teacher's view of the whole, untouched picture, so that copies land
beside their originals (the idea of SSCD, Pizzi et al. 2022, with a teacher in the place of contrastive pairs).
"""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

_WORDS = (
    "SALE",
    "holiday 2019",
    "www.example.org",
    "breaking news",
    "love this",
    "0123456789",
    "SAMPLE",
    "Привет",
    "¡hola!",
)
_BILINEAR = Image.Resampling.BILINEAR
_FONT_SIZES = (10, 14, 20, 28, 40)
_fonts: dict[int, ImageFont.FreeTypeFont | ImageFont.ImageFont] = {}


def view(image: Image.Image, rng: np.random.Generator, edge_px: int) -> Image.Image:
    """A view of `image` for a student that looks at `edge_px`; RGB, any size. A fifth of them is a light crop only."""
    light = rng.random() < 0.2
    if not light:
        image = _turned(image, rng)
        if rng.random() < 0.1:
            image = _text(image, rng)
    image = _cropped(image, rng, edge_px, smallest=0.7 if light else 0.22)
    if rng.random() < 0.5:
        image = ImageOps.mirror(image)
    if light:
        return image
    if rng.random() < 0.15:
        image = _framed(image, rng)
    if rng.random() < 0.5:
        image = _coloured(image, rng)
    if rng.random() < 0.08:
        image = image.convert("L").convert("RGB")
    # One way of losing detail at a time: two leave nothing to recognise.
    loss = rng.random()
    if loss < 0.08:
        image = image.filter(ImageFilter.GaussianBlur(edge_px * rng.uniform(0.006, 0.035)))
    elif loss < 0.17:
        image = _coarse(image, rng)
    elif loss < 0.30:
        image = _recompressed(image, rng)
    return image


def _turned(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    chance = rng.random()
    if chance < 0.20:
        quarter = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
        # Turned by 90 degrees is frequent among people's copies, upside down is not.
        return image.transpose(quarter[rng.choice(3, p=(0.42, 0.16, 0.42))])
    if chance < 0.32:
        fill = tuple(int(v) for v in rng.integers(0, 256, 3)) if rng.random() < 0.3 else (0, 0, 0)
        return image.rotate(rng.uniform(-20, 20), _BILINEAR, expand=bool(rng.random() < 0.5), fillcolor=fill)
    return image


def _cropped(image: Image.Image, rng: np.random.Generator, edge_px: int, *, smallest: float) -> Image.Image:
    """A part of `smallest` to all of the area, its shape changed by up to a third, resized for the student."""
    width, height = image.size
    if rng.random() < 0.25:
        box_width, box_height = float(width), float(height)
    else:
        area = rng.uniform(smallest, 1.0)
        shape = math.exp(rng.uniform(-0.3, 0.3))
        box_width = min(width, width * math.sqrt(area * shape))
        box_height = min(height, height * math.sqrt(area / shape))
    left, top = rng.uniform(0, width - box_width + 1e-6), rng.uniform(0, height - box_height + 1e-6)
    stretch = math.exp(rng.uniform(-0.35, 0.35)) if rng.random() < 0.25 else 1.0
    shown_width, shown_height = box_width * stretch, box_height
    factor = edge_px / min(shown_width, shown_height)
    size = (max(edge_px, round(shown_width * factor)), max(edge_px, round(shown_height * factor)))
    box = (left, top, min(width, left + box_width), min(height, top + box_height))
    return image.resize(size, _BILINEAR, box=box)


def _framed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    width, height = image.size
    colour = (0, 0, 0) if rng.random() < 0.6 else tuple(int(v) for v in rng.integers(0, 256, 3))
    sides = rng.uniform(0.03, 0.4, 2)
    if rng.random() < 0.3:
        sides[rng.integers(2)] = 0
    pad_x, pad_y = round(width * sides[0]), round(height * sides[1])
    framed = Image.new("RGB", (width + 2 * pad_x, height + 2 * pad_y), colour)
    framed.paste(image, (pad_x, pad_y))
    return framed


def _coloured(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    for enhance, low, high in (
        (ImageEnhance.Brightness, 0.5, 1.7),
        (ImageEnhance.Contrast, 0.6, 1.5),
        (ImageEnhance.Color, 0.3, 1.8),
    ):
        if rng.random() < 0.6:
            image = enhance(image).enhance(rng.uniform(low, high))
    if rng.random() < 0.15:
        # A colour cast, as another white balance gives it.
        gains = rng.uniform(0.75, 1.25, 3)
        table = [min(255, round(value * gain)) for gain in gains for value in range(256)]
        image = image.point(table)
    return image


def _coarse(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Kept at an eighth to two thirds of its size, and enlarged again."""
    factor = math.exp(rng.uniform(math.log(0.22), math.log(0.7)))
    small = image.resize(
        (max(8, round(image.width * factor)), max(8, round(image.height * factor))), Image.Resampling.BOX
    )
    return small.resize(image.size, (_BILINEAR, Image.Resampling.BICUBIC)[rng.integers(2)])


def _recompressed(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(rng.integers(8, 60)))
    with Image.open(buffer) as opened:
        return opened.convert("RGB")


def _text(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    written = image.copy()
    draw = ImageDraw.Draw(written)
    size = _FONT_SIZES[rng.integers(len(_FONT_SIZES))]
    font = _fonts.setdefault(size, ImageFont.load_default(size))
    if rng.random() < 0.5:
        # A bar behind the words, as a caption has it.
        top = rng.uniform(0, 0.8) * image.height
        bar = tuple(int(v) for v in rng.integers(0, 256, 3))
        draw.rectangle((0, top, image.width, top + rng.uniform(0.08, 0.3) * image.height), fill=bar)
    for _ in range(int(rng.integers(1, 7))):
        at = (rng.uniform(-0.2, 0.7) * image.width, rng.uniform(0, 0.95) * image.height)
        draw.text(at, _WORDS[rng.integers(len(_WORDS))], fill=tuple(int(v) for v in rng.integers(0, 256, 3)), font=font)
    return written
