"""Things that grow, and creatures: fruit, trees, flowers, fish, cats, mushrooms, butterflies; and a snowman."""

from __future__ import annotations

import math

from image_search.samples import backdrops
from image_search.samples.canvas import (
    Caption,
    Colour,
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


def apple(p: Picture) -> Caption:
    """One or two apples."""
    name = p.pick(("red", "red", "green", "yellow"))
    setting = backdrops.indoors(p, (name,))
    count = 2 if p.chance(0.35) else 1
    unit = min(p.width, p.height) * p.between(0.27, 0.34) * (0.8 if count == 2 else 1)
    y = p.height * p.between(0.54, 0.6)
    for i in range(count):
        tone = p.colour(name)
        if name == "green":
            tone = mix(tone, (160, 200, 70), 0.7)
        x = p.width * p.between(0.46, 0.54) + unit * 1.05 * (2 * i - count + 1)
        p.glow(x + unit * 0.2, y + unit * 0.86, unit * 1.25, unit * 0.32, (16, 10, 8), 0.9)
        layer = p.layer()
        pen = Pen(layer, (x, y), unit, p.between(-14, 14), flip=p.chance(0.5))
        body = [(0, -0.6), (0.34, -0.78), (0.76, -0.62), (0.93, -0.1), (0.74, 0.52), (0.36, 0.88), (0, 0.8)]
        pen.blob(mirrored(body), tone)
        for _ in range(26):
            a, r = p.between(0, 2 * math.pi), p.between(0.1, 0.75)
            pen.oval(r * math.cos(a), r * math.sin(a), 0.014, 0.014, (*lighter(tone, 0.45), 150))
        blush = p.colour("yellow" if name == "red" else "orange")
        for k in range(6):
            pen.oval(0.22, 0.2, 0.62 - 0.08 * k, 0.66 - 0.08 * k, (*blush, 16))
        pen.oval(0, -0.58, 0.24, 0.09, darker(tone, 0.5))
        pen.line([(0, -0.56), (0.03, -0.8), (0.12, -1.02)], (92, 62, 40), 0.07)
        if p.chance(0.75):
            pen.blob([(0.06, -0.8), (0.3, -1.04), (0.66, -1.0), (0.44, -0.78)], p.colour("green"))
            pen.line([(0.08, -0.81), (0.6, -0.98)], (40, 90, 40, 160), 0.02)
        pen.oval(-0.42, -0.34, 0.13, 0.2, (255, 255, 255, 120))
        p.lay(layer, relief=1.0, shadow=0.2)
    subject = f"{name} apple" if count == 1 else f"two {name} apples"
    return caption(subject, setting, "apple", "fruit", name)


def banana(p: Picture) -> Caption:
    """A banana or a small bunch."""
    setting = backdrops.indoors(p, ("yellow",))
    ripe = p.pick(("yellow", "yellow", "green"))
    count = p.pick((1, 2, 3))
    unit = min(p.width, p.height) * p.between(0.38, 0.44)
    centre = (p.width * p.between(0.46, 0.54), p.height * p.between(0.44, 0.5))
    tilt, flip = p.between(-24, 24), p.chance(0.5)
    p.glow(centre[0], centre[1] + unit * 0.55, unit * 1.1, unit * 0.3, (16, 10, 8), 0.7)
    for i in range(count):
        tone = mix(p.colour("yellow"), (120, 170, 70), 0.5 if ripe == "green" else 0.04)
        layer = p.layer()
        pen = Pen(layer, centre, unit, tilt + 15 * (i - (count - 1) / 2), flip=flip).moved(0, -0.13 * i)
        outer = arc(0, -0.35, 1.0, 0.92, 172, 14, 30)
        inner = arc(0, -0.42, 0.86, 0.52, 14, 172, 30)
        pen.shape([*outer, *inner], tone)
        pen.line(arc(0, -0.36, 0.95, 0.76, 164, 22, 30), (*darker(tone, 0.3), 150), 0.028)
        pen.shape(
            [*arc(0, -0.36, 0.95, 0.76, 164, 22, 30), *arc(0, -0.42, 0.86, 0.52, 22, 164, 30)],
            (*lighter(tone, 0.5), 70),
        )
        pen.line([(-0.93, -0.27), (-0.96, -0.52)], mix(tone, (110, 120, 50), 0.5), 0.12)
        pen.line([(-0.96, -0.5), (-0.96, -0.56)], (84, 62, 40), 0.12)
        pen.oval(0.93, -0.21, 0.07, 0.06, (74, 54, 38))
        for _ in range(int(p.between(0, 9))):
            a = math.radians(p.between(45, 140))
            pen.oval(0.93 * math.cos(a), -0.36 + 0.7 * math.sin(a), 0.03, 0.018, (110, 76, 40, 170))
        p.lay(layer, relief=0.9, shadow=0.35)
    subject = {1: f"{ripe} banana", 2: f"two {ripe} bananas", 3: f"bunch of three {ripe} bananas"}[count]
    return caption(subject, setting, "banana", "fruit", ripe)


def tree(p: Picture) -> Caption:
    """A broad tree on a meadow, in one of the seasons."""
    setting = backdrops.meadow(p, 0.72)
    season, leaves = p.pick(
        (("green", "green"), ("autumn", "orange"), ("autumn", "red"), ("blossoming", "pink"), ("golden", "yellow"))
    )
    tone = p.colour(leaves, 20)
    unit = min(p.width, p.height) * p.between(0.3, 0.36)
    x, ground = p.width * p.between(0.4, 0.6), p.height * p.between(0.8, 0.87)
    p.glow(x, ground, unit * 1.3, unit * 0.2, (18, 26, 10), 0.8)
    layer = p.layer()
    pen = Pen(layer, (x, ground), unit, flip=p.chance(0.5))
    bark = (104, 74, 52)
    pen.shape([(-0.22, 0.02), (-0.1, -0.3), (-0.09, -0.9), (0.09, -0.9), (0.11, -0.3), (0.24, 0.02)], bark)
    pen.line([(0, -0.6), (-0.42, -1.05)], bark, 0.08)
    pen.line([(0, -0.7), (0.4, -1.15)], bark, 0.08)
    blobs = [(p.between(-0.72, 0.72), p.between(-1.75, -0.95)) for _ in range(16)] + [
        (0, -1.3),
        (-0.4, -1.2),
        (0.4, -1.2),
        (0, -1.7),
    ]
    for bx, by in blobs:
        r = p.between(0.26, 0.42) * (1.15 - 0.4 * abs(bx))
        pen.oval(bx * 0.95, by, r, r * 0.9, darker(tone, p.between(0.12, 0.3)))
    for _ in range(260):
        bx, by = p.pick(blobs)
        a, r = p.between(0, 2 * math.pi), 0.34 * math.sqrt(p.between(0, 1))
        lx, ly = bx * 0.95 + r * math.cos(a), by + r * math.sin(a)
        light = max(0.0, min(1.0, 0.5 - 0.45 * lx - 0.6 * (ly + 1.3) + p.between(-0.3, 0.3)))
        pen.oval(lx, ly, 0.075, 0.055, mix(darker(tone, 0.34), lighter(tone, 0.3), light))
    p.lay(layer, relief=0.55, shadow=0)
    subject = (
        "green tree"
        if season == "green"
        else f"{season} tree with {leaves} {'flowers' if season == 'blossoming' else 'leaves'}"
    )
    return caption(subject, setting, "tree", leaves, season)


def flower(p: Picture) -> Caption:
    """A large flower on its stem."""
    backdrops.bokeh(p)
    name = p.pick(("red", "orange", "yellow", "pink", "purple", "white", "blue"))
    tone, heart = p.colour(name), p.colour("brown" if name in ("yellow", "orange") else "yellow")
    unit = min(p.width, p.height) * p.between(0.3, 0.36)
    x, y = p.width * p.between(0.4, 0.6), p.height * p.between(0.38, 0.46)
    layer = p.layer()
    pen = Pen(layer, (x, y), unit)
    sway = p.between(-0.4, 0.4)
    green = darker(p.colour("green"), 0.1)
    pen.line([(0, 0), (sway * 0.5, 0.9), (sway, 2.2)], green, 0.09)
    for side, start in ((-1, 1.0), (1, 1.25)):
        root = (sway * start / 2, start)
        pen.blob(
            [
                root,
                (root[0] + side * 0.4, start - 0.32),
                (root[0] + side * 0.85, start - 0.3),
                (root[0] + side * 0.45, start + 0.02),
            ],
            lighter(green, 0.12),
        )
    p.lay(layer, relief=0.5, shadow=0.25)
    layer = p.layer()
    pen = Pen(layer, (x, y), unit, p.between(0, 60))
    petals = p.pick((6, 8, 12, 16))
    width = 2.1 / petals
    for ring, length in ((0, 1.0), (1, 0.72)):
        for i in range(petals):
            petal = pen.moved(0, 0, angle=360 * (i + ring / 2) / petals)
            shade = darker(tone, p.between(0, 0.16)) if ring == 0 else lighter(tone, p.between(0.06, 0.22))
            outline = [
                (0, 0.1),
                (width * 0.7, -0.5 * length),
                (width * 0.72, -0.8 * length),
                (0, -length),
                (-width * 0.72, -0.8 * length),
                (-width * 0.7, -0.5 * length),
            ]
            petal.blob(outline, shade)
            petal.line([(0, -0.25), (0, -0.82 * length)], (*darker(tone, 0.4), 80), 0.02)
    pen.oval(0, 0, 0.32, 0.32, darker(heart, 0.12))
    for i in range(60):
        a, r = i * 2.39996, 0.29 * math.sqrt(i / 60)
        pen.oval(r * math.cos(a), r * math.sin(a), 0.025, 0.025, lighter(heart, 0.35) if i % 2 else darker(heart, 0.3))
    p.lay(layer, relief=0.6, shadow=0.4)
    return caption(
        f"{name} flower with {petals} petals", Setting("in the garden", ("outdoors", "garden")), "flower", "plant", name
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


def mushroom(p: Picture) -> Caption:
    """A mushroom, sometimes with a small one beside it, on a forest floor."""
    backdrops.bokeh(p, p.pick(("green", "green", "warm")))
    backdrops.grass(p, p.ridge(p.height * 0.8, 20, 0.4), (70, 104, 48), 150)
    name = p.pick(("red", "red", "brown", "orange", "purple"))
    spots = name in ("red", "purple") or p.chance(0.3)
    base = p.width * p.between(0.42, 0.58)
    unit = min(p.width, p.height) * p.between(0.34, 0.4)
    places = [(base, p.height * 0.86, unit)]
    if p.chance(0.5):
        places.append((base + p.pick((-1, 1)) * unit * 0.85, p.height * 0.9, unit * 0.5))
    for x, y, size in places:
        cap = p.colour(name)
        p.glow(x, y, size * 0.8, size * 0.18, (8, 16, 6), 0.9)
        layer = p.layer()
        pen = Pen(layer, (x, y), size, p.between(-8, 8), flip=p.chance(0.5))
        pen.blob(
            [(-0.2, -0.85), (-0.2, -0.35), (-0.3, -0.02), (0, 0.06), (0.3, -0.02), (0.2, -0.35), (0.2, -0.85)],
            (238, 226, 204),
        )
        pen.blob([(-0.34, -0.56), (0, -0.66), (0.34, -0.56), (0.2, -0.48), (0, -0.52), (-0.2, -0.48)], (222, 208, 184))
        pen.oval(0, -0.82, 0.84, 0.17, (214, 194, 164))
        for i in range(-8, 9):
            pen.line([(i * 0.03, -0.84), (i * 0.1, -0.69 - 0.0022 * i * i)], (150, 128, 104, 120), 0.012)
        high = p.between(0.62, 0.85)
        pen.shape([*arc(0, -0.82, 0.9, high, 180, 360), *arc(0, -0.82, 0.9, 0.14, 0, 180)][:-1], cap)
        pen.shape([*arc(0, -0.82, 0.86, 0.13, 0, 180), *arc(0, -0.8, 0.86, 0.05, 180, 0)], (*darker(cap, 0.45), 150))
        if spots:
            for sx, sy, r in (
                (-0.5, 0.4, 0.1),
                (-0.1, 0.62, 0.12),
                (0.34, 0.5, 0.09),
                (0.1, 0.2, 0.11),
                (-0.32, 0.08, 0.07),
                (0.58, 0.14, 0.08),
                (-0.7, 0.06, 0.05),
            ):
                pen.oval(sx + p.between(-0.04, 0.04), -0.82 - sy * high * 1.1, r * 1.1, r * 0.85, (246, 240, 228))
        p.lay(layer, relief=0.95, shadow=0.25)
    for _ in range(40):
        x, y = p.between(0, p.width), p.height * p.between(0.9, 1.02)
        p.paint(
            [(x - 2, y), (x + p.between(-8, 8), y - p.between(14, 34)), (x + 2, y)],
            (*darker(p.colour("green"), 0.3), 220),
        )
    subject = f"{name} mushroom{' with white spots' if spots else ''}"
    return caption(subject, Setting("on the forest floor", ("outdoors", "forest")), "mushroom", name)


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


def snowman(p: Picture) -> Caption:
    """A snowman in a winter landscape."""
    mood = p.pick(("day", "overcast", "night", "morning"))
    row = p.height * p.between(0.6, 0.7)
    backdrops.sky(p, mood, row)
    shade: Colour = (150, 162, 200) if mood == "night" else (206, 218, 232)
    p.paint(p.below(p.ridge(row - 26, 60, 0.4)), darker(shade, 0.14))
    for _ in range(int(p.between(3, 8))):
        x, tall = p.between(0, p.width), p.between(50, 120)
        for k in range(3):
            y, half = row + 8 - tall * k * 0.28, tall * (0.3 - 0.07 * k)
            p.paint([(x - half, y), (x, y - tall * 0.48), (x + half, y)], mix((44, 84, 70), shade, 0.25))
    p.paint(p.below(p.ridge(row, 26, 0.3)), lighter(shade, 0.45 if mood != "night" else 0.15))
    scarf_name = p.pick(("red", "blue", "green", "orange", "purple"))
    hat_name = p.pick(("black", "red", "blue", "brown"))
    unit = min(p.width, p.height) * p.between(0.25, 0.29)
    x, ground = p.width * p.between(0.4, 0.6), p.height * p.between(0.88, 0.94)
    p.glow(x + unit * 0.2, ground, unit * 1.1, unit * 0.2, (60, 76, 120), 0.7)
    snow = (244, 247, 252) if mood != "night" else (216, 224, 244)
    for y, r in ((-0.6, 0.66), (-1.45, 0.47), (-2.1, 0.34)):
        ball = p.layer()
        Pen(ball, (x, ground), unit).oval(0, y, r, r * 0.96, snow)
        p.lay(ball, relief=0.8, shadow=0.12)
    layer = p.layer()
    pen = Pen(layer, (x, ground), unit, flip=p.chance(0.5))
    for s in (-1, 1):
        pen.line([(s * 0.42, -1.5), (s * 0.85, -1.8), (s * 1.05, -1.78)], (96, 66, 46), 0.045)
        pen.line([(s * 0.85, -1.8), (s * 0.94, -2.0)], (96, 66, 46), 0.035)
        pen.oval(s * 0.12, -2.18, 0.045, 0.05, (34, 34, 40))
    for y in (-1.62, -1.4, -1.18):
        pen.oval(0, y, 0.05, 0.05, (34, 34, 40))
    for i in range(5):
        a = math.radians(40 + 25 * i)
        pen.oval(0.18 * math.cos(a), -2.06 + 0.16 * math.sin(a), 0.022, 0.022, (34, 34, 40))
    pen.shape([(0, -2.13), (0.42, -2.03), (0, -2.03)], (236, 130, 38))
    scarf, hat = p.colour(scarf_name), p.colour(hat_name)
    pen.blob([(-0.36, -1.9), (0, -1.82), (0.36, -1.9), (0.38, -1.76), (0, -1.66), (-0.38, -1.76)], scarf)
    pen.shape([(0.14, -1.76), (0.34, -1.78), (0.4, -1.22), (0.2, -1.2)], darker(scarf, 0.15))
    pen.box(-0.42, -2.42, 0.42, -2.34, hat, 0.03)
    pen.box(-0.26, -2.82, 0.26, -2.38, hat, 0.03)
    pen.box(-0.26, -2.52, 0.26, -2.42, scarf)
    p.lay(layer, relief=0.5, shadow=0.2, drop_px=8)
    for _ in range(70):
        fx, fy, r = p.between(0, p.width), p.between(0, p.height), p.between(1.4, 4.5)
        p.paint(arc(fx, fy, r, r, steps=10), (255, 255, 255, 215))
    phrase = {"night": "on a winter night", "overcast": "on a grey winter day"}.get(mood, "in the snow")
    return caption(
        f"snowman with a {scarf_name} scarf",
        Setting(phrase, ("outdoors", "winter", "snow", mood)),
        "snowman",
        scarf_name,
        hat_name,
    )


NATURE: dict[str, Drawing] = {
    "apple": apple,
    "banana": banana,
    "tree": tree,
    "flower": flower,
    "fish": fish,
    "cat": cat,
    "mushroom": mushroom,
    "butterfly": butterfly,
    "snowman": snowman,
}
