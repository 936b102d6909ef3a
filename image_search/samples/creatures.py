"""Creatures: fish, cats, butterflies."""

from __future__ import annotations

import math

from image_search.samples import backdrops
from image_search.samples.canvas import (
    Caption,
    Drawing,
    Pen,
    Picture,
    Setting,
    arc,
    caption,
    darker,
    lighter,
    mirrored,
    mix,
)


def fish(p: Picture) -> Caption:
    """A fish under water."""
    deep = p.pick((((96, 196, 214), (26, 108, 164), (10, 48, 96)), ((140, 214, 206), (32, 140, 150), (10, 70, 92))))
    p.gradient(deep)
    for _ in range(4):
        x = p.between(0, p.width)
        p.soft(
            [[(x, 0), (x + 30, 0), (x + p.between(-40, 160), p.height), (x - 60, p.height)]], (226, 248, 250), 20, 0.22
        )
    p.paint(p.below(p.ridge(p.height * 0.9, 26, 0.35)), mix((206, 186, 134), deep[1], 0.3))
    plants = p.layer()
    for _ in range(int(p.between(4, 9))):
        x, tall, phase = p.between(0, p.width), p.between(0.12, 0.34) * p.height, p.between(0, 6)
        path = [(x + 9 * math.sin(phase + i * 0.8), p.height - 4 - tall * i / 10) for i in range(11)]
        plants.line(path, darker(p.colour(p.pick(("green", "teal", "purple"))), 0.2), p.between(5, 10))
    p.lay(plants, relief=0.2, shadow=0)
    first = p.pick(("orange", "yellow", "red", "purple", "pink", "teal"))
    second = p.pick([c for c in ("white", "blue", "black", "yellow", "orange") if c != first])
    tone, mark = p.colour(first), p.colour(second)
    unit = min(p.width, p.height * 1.2) * p.between(0.3, 0.36)
    layer = p.layer()
    pen = Pen(
        layer,
        (p.width * p.between(0.44, 0.56), p.height * p.between(0.42, 0.54)),
        unit,
        p.between(-12, 12),
        flip=p.chance(0.5),
    )
    fin = darker(tone, 0.18)
    pen.blob([(-0.66, 0), (-1.15, -0.46), (-1.24, -0.3), (-1.02, 0), (-1.24, 0.34), (-1.12, 0.46)], fin)
    pen.blob([(-0.4, -0.38), (-0.3, -0.72), (0.1, -0.78), (0.42, -0.42)], fin)
    pen.blob([(-0.3, 0.38), (-0.36, 0.68), (-0.02, 0.56), (0.1, 0.42)], fin)
    body = [
        (0.92, 0.02),
        (0.7, -0.28),
        (0.2, -0.5),
        (-0.35, -0.36),
        (-0.78, -0.1),
        (-0.78, 0.1),
        (-0.35, 0.36),
        (0.2, 0.5),
        (0.7, 0.28),
    ]
    pen.blob(body, tone)
    pattern = p.pick(("striped", "spotted", "plain"))
    if pattern == "striped":
        for x, half in ((0.32, 0.46), (-0.1, 0.42), (-0.5, 0.24)):
            pen.blob(
                [
                    (x + 0.07, -half),
                    (x + 0.12, 0),
                    (x + 0.07, half),
                    (x - 0.08, half),
                    (x - 0.03, 0),
                    (x - 0.08, -half),
                ],
                (*mark, 235),
            )
    elif pattern == "spotted":
        for _ in range(9):
            pen.oval(p.between(-0.5, 0.32), p.between(-0.24, 0.26), 0.07, 0.06, (*mark, 225))
    else:
        for i in range(28):
            x, y = -0.46 + 0.13 * (i % 7), -0.24 + 0.15 * (i // 7)
            pen.line(arc(x, y, 0.07, 0.07, -80, 80, 8), (*darker(tone, 0.35), 120), 0.014)
    pen.oval(0.1, 0.1, 0.22, 0.12, (*darker(tone, 0.3), 150), -40, 180)
    pen.oval(0.6, -0.1, 0.1, 0.1, (250, 250, 246))
    pen.oval(0.63, -0.1, 0.058, 0.058, (24, 24, 30))
    pen.oval(0.65, -0.13, 0.02, 0.02, (255, 255, 255))
    pen.line(arc(0.86, 0.06, 0.1, 0.08, 90, 170, 8), (60, 30, 30, 200), 0.025)
    p.lay(layer, relief=0.8, shadow=0.2, drop_px=26)
    for _ in range(12):
        x, y, r = p.between(0, p.width), p.between(0, p.height * 0.8), p.between(3, 11)
        p.paint(arc(x, y, r, r, steps=20), (230, 250, 252, 90))
        p.paint(arc(x - r * 0.3, y - r * 0.3, r * 0.3, r * 0.3, steps=12), (255, 255, 255, 190))
    words = f"{first} fish" if pattern == "plain" else f"{first} fish, {pattern} with {second},"
    tags = (first,) if pattern == "plain" else (first, second, pattern)
    return caption(words, Setting("under water", ("underwater", "sea")), "fish", "animal", *tags)


def cat(p: Picture) -> Caption:
    """A cat's face."""
    name, fur = p.pick(
        (
            ("orange", (228, 150, 78)),
            ("grey", (150, 152, 158)),
            ("black", (62, 60, 66)),
            ("white", (240, 236, 228)),
            ("brown", (146, 108, 78)),
        )
    )
    setting = p.pick((backdrops.studio, backdrops.cloth))(p, (name,))
    fur = mix(fur, p.colour(p.pick(("brown", "grey"))), 0.08)
    eyes_name, iris = p.pick((("green", (130, 190, 90)), ("blue", (96, 168, 220)), ("yellow", (240, 200, 70))))
    unit = min(p.width, p.height) * p.between(0.33, 0.4)
    layer = p.layer()
    pen = Pen(layer, (p.width * p.between(0.44, 0.56), p.height * p.between(0.52, 0.58)), unit, p.between(-12, 12))
    pen.blob(mirrored([(0, 0.5), (0.6, 0.66), (0.86, 1.4), (0.9, 2.0)]), darker(fur, 0.12))
    for s in (-1, 1):
        pen.shape([(s * 0.18, -0.68), (s * 0.8, -1.16), (s * 0.93, -0.2)], fur)
        pen.shape([(s * 0.36, -0.68), (s * 0.73, -0.98), (s * 0.82, -0.4)], mix(fur, (236, 150, 150), 0.6))
    pen.blob(mirrored([(0, -0.8), (0.56, -0.68), (0.97, -0.12), (0.94, 0.34), (0.5, 0.74), (0, 0.84)]), fur)
    striped = name in ("orange", "grey", "brown") and p.chance(0.7)
    if striped:
        dark = (*darker(fur, 0.4), 200)
        for x in (-0.22, 0.0, 0.22):
            pen.shape([(x - 0.06, -0.8 + abs(x) * 0.2), (x + 0.06, -0.8 + abs(x) * 0.2), (x * 0.7, -0.4)], dark)
        for s in (-1, 1):
            for y in (0.02, 0.24):
                pen.shape([(s * 0.98, y - 0.06), (s * 0.98, y + 0.07), (s * 0.62, y + 0.06)], dark)
    for s in (-1, 1):
        pen.oval(s * 0.2, 0.4, 0.27, 0.22, lighter(fur, 0.55 if name != "black" else 0.18))
        pen.oval(s * 0.42, -0.1, 0.24, 0.2, darker(fur, 0.55))
        pen.oval(s * 0.42, -0.1, 0.21, 0.18, iris)
        pen.oval(s * 0.42, -0.1, p.between(0.05, 0.11), 0.17, (18, 18, 22))
        pen.oval(s * 0.42 - 0.06, -0.17, 0.045, 0.045, (255, 255, 255))
    pen.blob([(-0.12, 0.2), (0.12, 0.2), (0, 0.34)], (222, 120, 126))
    for s in (-1, 1):
        pen.line(arc(s * 0.13, 0.38, 0.13, 0.12, 0, 180, 12), (70, 44, 44), 0.025)
        for i in range(3):
            pen.line(
                [(s * 0.3, 0.4 + 0.07 * i), (s * 1.2, 0.22 + 0.2 * i)],
                (250, 250, 246) if name != "white" else (120, 116, 112),
                0.014,
            )
    p.lay(layer, relief=0.8, shadow=0.35)
    return caption(f"{'striped ' if striped else ''}{name} cat with {eyes_name} eyes", setting, "cat", "animal", name)


def butterfly(p: Picture) -> Caption:
    """A butterfly with open wings."""
    warm = p.chance(0.3)
    backdrops.bokeh(p, "warm" if warm else "green")
    name = p.pick(("orange", "blue", "yellow", "purple", "red", "teal", "white"))
    second = p.pick([c for c in ("black", "white", "yellow", "pink") if c != name])
    tone, dark = p.colour(name), (40, 32, 36)
    unit = min(p.width, p.height) * p.between(0.36, 0.42)
    layer = p.layer()
    pen = Pen(layer, (p.width * p.between(0.44, 0.56), p.height * p.between(0.46, 0.54)), unit, p.between(-32, 32))
    reach, droop = p.between(0.95, 1.12), p.between(0.7, 0.95)
    for s in (-1, 1):
        upper = [
            (s * 0.04, -0.12),
            (s * 0.42 * reach, -0.74),
            (s * 0.94 * reach, -0.86),
            (s * 1.04 * reach, -0.48),
            (s * 0.66 * reach, 0.02),
            (s * 0.04, 0.08),
        ]
        lower = [
            (s * 0.04, 0.04),
            (s * 0.54, 0.04),
            (s * 0.78, 0.36),
            (s * 0.6, 0.76 * droop),
            (s * 0.3, 0.66 * droop),
            (s * 0.04, 0.3),
        ]
        for wing, fill in ((lower, darker(tone, 0.1)), (upper, tone)):
            cx, cy = sum(q[0] for q in wing) / 6, sum(q[1] for q in wing) / 6
            pen.blob(wing, dark)
            pen.blob([(cx + (x - cx) * 0.84, cy + (y - cy) * 0.84) for x, y in wing], fill)
            for x, y in wing[1:5]:
                pen.line([(s * 0.05, 0), (cx + (x - cx) * 0.8, cy + (y - cy) * 0.8)], (*dark, 150), 0.018)
        for x, y, r in ((0.7, -0.52, 0.1), (0.45, 0.38, 0.09), (0.88, -0.66, 0.05), (0.46, -0.42, 0.06)):
            pen.oval(s * x * reach, y, r, r, p.colour(second, 6))
            pen.oval(s * x * reach, y, r * 0.45, r * 0.45, lighter(tone, 0.4))
        pen.line([(s * 0.02, -0.3), (s * 0.12, -0.56), (s * 0.28, -0.7)], dark, 0.02)
        pen.oval(s * 0.29, -0.71, 0.03, 0.03, dark)
    pen.blob(mirrored([(0, -0.38), (0.06, -0.3), (0.07, -0.05), (0.05, 0.3), (0, 0.5)]), (56, 44, 40))
    p.lay(layer, relief=0.35, shadow=0.4, drop_px=30)
    return caption(
        f"{name} butterfly",
        Setting("in the evening light" if warm else "in the garden", ("outdoors", "garden")),
        "butterfly",
        "animal",
        name,
        second,
    )


CREATURES: dict[str, Drawing] = {"fish": fish, "cat": cat, "butterfly": butterfly}
