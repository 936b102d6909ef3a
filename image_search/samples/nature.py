"""Things that grow: fruit, trees, flowers, mushrooms; and a snowman."""

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
    "mushroom": mushroom,
    "snowman": snowman,
}
