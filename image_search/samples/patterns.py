"""Patterns, as on cloth or paper."""

from __future__ import annotations

import numpy as np
from PIL import Image

from image_search.samples.canvas import (
    PALETTE,
    Caption,
    Colour,
    Drawing,
    Floats,
    Picture,
    Setting,
    caption,
    darker,
    mix,
)

_PRINTED = Setting("", ("pattern",))


def stripes(p: Picture) -> Caption:
    """Parallel stripes in two or three colours."""
    names, tones = _colours(p, p.pick((2, 2, 3)))
    angle, direction = p.pick(((0, "vertical"), (90, "horizontal"), (45, "diagonal"), (-45, "diagonal")))
    u, _ = p.axes(angle + p.between(-4, 4))
    bend = p.between(24, 60)
    place = np.floor(u / np.float32(bend) + p.between(0, 9)).astype(np.int64)
    p.indexed(place % len(tones), tones)
    _weave(p)
    return caption(f"{direction} stripes in {_listed(names)}", _PRINTED, "stripes", direction, *names)


def checkerboard(p: Picture) -> Caption:
    """A checkerboard, straight or turned."""
    names, tones = _colours(p, 2)
    turned = p.chance(0.4)
    u, v = p.axes(45 if turned else p.between(-8, 8))
    size = np.float32(p.between(34, 74))
    p.indexed((np.floor(u / size) + np.floor(v / size)).astype(np.int64) % 2, tones)
    _weave(p)
    words = f"{_listed(names)} {'diamond ' if turned else ''}checkerboard"
    return caption(words, _PRINTED, "checkerboard", *names)


def polka_dots(p: Picture) -> Caption:
    """Dots in a staggered grid."""
    names, tones = _colours(p, 2)
    u, v = p.axes(p.between(-30, 30))
    step = np.float32(p.between(54, 100))
    r = float(step) * p.between(0.22, 0.34)
    row = np.floor(v / step)
    x = np.mod(u + step / 2 * np.mod(row, 2), step) - step / 2
    y = v - (row + np.float32(0.5)) * step
    p.indexed((x * x + y * y < r * r).astype(np.int64), tones)
    _weave(p)
    return caption(f"{names[1]} polka dots on {names[0]}", _PRINTED, "polka dots", *names)


def circles(p: Picture) -> Caption:
    """Rings around one middle."""
    names, tones = _colours(p, p.pick((2, 3, 4)))
    u, v = p.axes()
    x, y = p.between(-0.12, 0.12) * p.width, p.between(-0.12, 0.12) * p.height
    r = np.hypot(u - np.float32(x), v - np.float32(y))
    p.indexed((r / np.float32(p.between(24, 46))).astype(np.int64) % len(tones), tones)
    _weave(p)
    return caption(f"concentric circles in {_listed(names)}", _PRINTED, "circles", *names)


def plaid(p: Picture) -> Caption:
    """A tartan of crossing bands."""
    names, tones = _colours(p, 3)
    u, v = p.axes(p.pick((0, 0, 45)) + p.between(-3, 3))
    size = p.between(110, 190)
    bands = [
        (0.0, 0.36, tones[0]),
        (0.36, 0.5, tones[1]),
        (0.5, 0.54, tones[2]),
        (0.54, 0.9, tones[0]),
        (0.9, 0.95, tones[2]),
    ]
    threads = []
    for axis in (u, v):
        place = np.mod(axis / np.float32(size), 1)
        cloth = np.full((*place.shape, 3), darker(tones[0], 0.35), dtype=np.float32)
        for low, high, tone in bands:
            cloth[(place >= low) & (place < high)] = tone
        threads.append(cloth)
    twill = (np.mod(u + v, 8) < 4)[..., None]
    mixed = np.where(twill, 0.68 * threads[0] + 0.32 * threads[1], 0.32 * threads[0] + 0.68 * threads[1])
    p.image = _picture(mixed)
    return caption(f"plaid in {_listed(names)}", _PRINTED, "plaid", "tartan", *names)


def _colours(p: Picture, count: int) -> tuple[list[str], list[Colour]]:
    names = p.pick_some(tuple(PALETTE), count)
    # Two colours of one brightness would make a pattern that is hard to see.
    while len({_grey_step(n) for n in names}) < 2:
        names = p.pick_some(tuple(PALETTE), count)
    soft = p.between(0, 0.25)
    return names, [mix(p.colour(n), (240, 234, 224), soft) for n in names]


def _grey_step(name: str) -> int:
    red, green, blue = PALETTE[name]
    return (299 * red + 587 * green + 114 * blue) // 64000


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _weave(p: Picture) -> None:
    """Overlays the threads of a fabric, and a broad fold of light."""
    u, v = p.axes(p.between(20, 70))
    fold = 1 + np.float32(0.09) * np.sin(u / np.float32(p.between(70, 150)) + np.sin(v / 130))
    p.image = _picture(np.asarray(p.image, dtype=np.float32) * fold[..., None])


def _picture(pixels: Floats) -> Image.Image:
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


PATTERNS: dict[str, Drawing] = {
    "stripes": stripes,
    "checkerboard": checkerboard,
    "polka_dots": polka_dots,
    "circles": circles,
    "plaid": plaid,
}
