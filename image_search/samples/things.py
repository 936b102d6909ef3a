"""Things that people make: cars, houses, boats, balloons, umbrellas, clocks, bicycles, rockets."""

from __future__ import annotations

import math

from image_search.samples import backdrops
from image_search.samples.canvas import (
    BRIGHT,
    Caption,
    Drawing,
    Pen,
    Picture,
    Setting,
    arc,
    caption,
    darker,
    lighter,
    mix,
)

_HOURS = ("twelve", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")


def car(p: Picture) -> Caption:
    """A car from the side, on a road."""
    setting = backdrops.street(p)
    name = p.pick((*BRIGHT, "white", "black"))
    paint = p.colour(name)
    unit = p.width * p.between(0.3, 0.37)
    ground = p.height * p.between(0.8, 0.86)
    p.glow(p.width / 2, ground, unit * 1.25, unit * 0.16, (8, 8, 14), 0.85)
    layer = p.layer()
    pen = Pen(layer, (p.width * p.between(0.46, 0.54), ground), unit, flip=p.chance(0.5))
    estate = p.chance(0.4)
    back = -0.86 if estate else -0.58
    pen.blob(
        [(-0.98, -0.2), (-1, -0.42), (-0.7, -0.5), (0.4, -0.5), (0.9, -0.4), (1, -0.22), (0.5, -0.13), (-0.5, -0.13)],
        paint,
    )
    pen.shape(
        [(back, -0.46), (back + 0.12, -0.76), (back + 0.24, -0.82), (0.16, -0.82), (0.3, -0.76), (0.58, -0.44)], paint
    )
    glass = (176, 208, 226)
    pen.shape([(back + 0.13, -0.48), (back + 0.2, -0.73), (-0.14, -0.75), (-0.14, -0.48)], glass)
    pen.shape([(-0.07, -0.48), (-0.07, -0.75), (0.14, -0.75), (0.24, -0.71), (0.42, -0.48)], glass)
    pen.shape([(-0.07, -0.48), (0.02, -0.75), (0.1, -0.75), (0.02, -0.48)], (255, 255, 255, 110))
    pen.line([(-0.1, -0.46), (-0.1, -0.2)], (*darker(paint, 0.5), 170), 0.012)
    pen.box(-0.3, -0.4, -0.2, -0.37, darker(paint, 0.45))
    pen.shape([(-1, -0.26), (1, -0.26), (0.9, -0.14), (-0.9, -0.14)], (*darker(paint, 0.5), 120))
    pen.oval(0.91, -0.35, 0.06, 0.05, (255, 244, 196))
    pen.oval(-0.95, -0.37, 0.035, 0.05, (216, 40, 36))
    for x in (-0.56, 0.58):
        pen.oval(x, -0.15, 0.21, 0.21, darker(paint, 0.62))
        pen.oval(x, -0.14, 0.175, 0.175, (34, 34, 38))
        pen.oval(x, -0.14, 0.1, 0.1, (190, 194, 200))
        pen.oval(x, -0.14, 0.035, 0.035, (90, 92, 98))
    p.lay(layer, relief=0.5, shadow=0.15)
    return caption(f"{name} {'estate car' if estate else 'car'}", setting, "car", "vehicle", name)


def house(p: Picture) -> Caption:
    """A small house with a pitched roof on a meadow."""
    setting = backdrops.meadow(p, 0.68)
    name = p.pick(("white", "yellow", "red", "blue", "pink", "grey", "green"))
    roof_name = p.pick([c for c in ("red", "brown", "black", "orange", "teal") if c != name])
    wall, roof = mix(p.colour(name), (246, 240, 228), 0.3), darker(p.colour(roof_name), 0.1)
    unit = min(p.width, p.height * 0.9) * p.between(0.29, 0.33)
    ground = p.height * p.between(0.8, 0.88)
    p.glow(p.width / 2, ground, unit * 1.5, unit * 0.2, (14, 20, 10), 0.6)
    layer = p.layer()
    pen = Pen(layer, (p.width * p.between(0.42, 0.58), ground), unit, flip=p.chance(0.5), stretch=p.between(1, 1.25))
    pen.box(0.42, -1.66, 0.64, -1.1, (150, 84, 66))
    pen.box(0.39, -1.72, 0.67, -1.62, (120, 66, 54))
    pen.box(-0.9, -1, 0.9, 0, wall)
    pen.shape([(-0.9, -0.98), (0, -1.62), (0.9, -0.98)], wall)
    for i in range(1, 8):
        pen.line([(-0.9, -i / 8), (0.9, -i / 8)], (*darker(wall, 0.3), 60), 0.008)
    pen.shape([(-1.1, -0.9), (-1.02, -0.8), (0, -1.54), (1.02, -0.8), (1.1, -0.9), (0, -1.74)], roof)
    pen.shape([(-0.94, -0.9), (0, -1.6), (0.94, -0.9)], roof)
    for i in range(1, 6):
        half, y = 0.94 * (1 - i / 6), -0.9 - 0.7 * i / 6
        pen.line([(-half, y), (half, y)], (*darker(roof, 0.4), 110), 0.014)
    frame = (248, 246, 240)
    door = p.colour(p.pick(("red", "green", "blue", "brown", "teal")))
    pen.box(-0.2, -0.66, 0.2, 0, frame)
    pen.box(-0.15, -0.61, 0.15, 0, door)
    pen.oval(0.1, -0.28, 0.025, 0.025, (240, 210, 110))
    lit = "sunset" in setting.tags
    for x in (-0.56, 0.56):
        pen.box(x - 0.22, -0.78, x + 0.22, -0.32, frame)
        pen.box(x - 0.18, -0.74, x + 0.18, -0.36, (255, 220, 130) if lit else (120, 164, 190))
        pen.line([(x, -0.74), (x, -0.36)], frame, 0.03)
        pen.line([(x - 0.18, -0.55), (x + 0.18, -0.55)], frame, 0.03)
    p.lay(layer, relief=0.25, shadow=0.3, drop_px=18)
    return caption(f"{name} house with a {roof_name} roof", setting, "house", "building", name, roof_name)


def sailing_boat(p: Picture) -> Caption:
    """A sailing boat on the sea."""
    mood = p.pick(("day", "day", "sunset", "overcast", "morning"))
    horizon = p.between(0.58, 0.68)
    backdrops.sky(p, mood, p.height * horizon + 2)
    if mood == "sunset":
        p.glow(p.width * 0.7, p.height * horizon, 150, 110, (255, 240, 190), 0.9)
    if p.chance(0.4):
        p.paint(p.below(p.ridge(p.height * horizon, p.height * 0.08, 0.45)), (118, 138, 150))
    backdrops.sea(p, horizon, mood)
    sail_name, hull_name = (
        p.pick(("white", "red", "orange", "yellow", "blue")),
        p.pick(("brown", "red", "blue", "white", "black")),
    )
    sail, hull = p.colour(sail_name), p.colour(hull_name)
    unit = min(p.width, p.height) * p.between(0.3, 0.38)
    x, water = p.width * p.between(0.36, 0.64), p.height * (horizon + p.between(0.1, 0.16))
    p.soft([arc(x, water + unit * 0.3, unit * 0.6, unit * 0.26)], darker(hull, 0.6), 14, 0.5)
    p.soft([[(x - unit * 0.4, water), (x + unit * 0.5, water), (x + unit * 0.1, water + unit * 0.7)]], sail, 14, 0.3)
    layer = p.layer()
    pen = Pen(layer, (x, water), unit, p.between(-6, 6), flip=p.chance(0.5))
    pen.line([(0, 0), (0, -1.55)], (108, 78, 54), 0.045)
    pen.shape([(0.05, -1.5), (0.3, -1.05), (0.62, -0.55), (0.72, -0.22), (0.05, -0.22)], sail)
    pen.shape([(-0.05, -1.38), (-0.2, -0.9), (-0.5, -0.24), (-0.05, -0.24)], lighter(sail, 0.35))
    for i in range(1, 4):
        pen.line([(0.05, -0.22 - 0.3 * i), (0.72 - 0.17 * i, -0.22 - 0.3 * i)], (*darker(sail, 0.4), 90), 0.012)
    pen.shape([(-0.85, -0.16), (0.85, -0.16), (0.78, -0.02), (0.6, 0.14), (-0.55, 0.14), (-0.75, 0)], hull)
    pen.shape([(-0.85, -0.16), (0.85, -0.16), (0.82, -0.09), (-0.82, -0.09)], lighter(hull, 0.5))
    pen.shape([(0, -1.55), (-0.24, -1.49), (0, -1.43)], p.colour("red"))
    p.lay(layer, relief=0.5, shadow=0)
    p.soft([arc(x, water + unit * 0.15, unit * 0.75, 4)], (238, 246, 250), 4, 0.6)
    phrase = {"sunset": "at sunset", "overcast": "under a grey sky", "morning": "in the morning light"}
    setting = Setting(phrase.get(mood, "on a blue sea"), ("sea", "outdoors", mood))
    return caption(
        f"sailing boat with {sail_name} sails and a {hull_name} hull", setting, "sailing boat", sail_name, hull_name
    )


def hot_air_balloon(p: Picture) -> Caption:
    """A hot-air balloon with coloured gores; sometimes others far away."""
    setting = backdrops.open_sky(p)
    first, second = p.pick_some((*BRIGHT, "white"), 2)
    places = [(p.between(0.38, 0.62), p.between(0.36, 0.42), p.between(0.25, 0.3))]
    if p.chance(0.5):
        places.insert(0, (p.pick((0.12, 0.88)), p.between(0.2, 0.6), p.between(0.06, 0.1)))
    for x, y, size in places:
        a, b = (p.colour(first), p.colour(second)) if size > 0.2 else (p.colour(second), p.colour(first))
        layer = p.layer()
        pen = Pen(layer, (p.width * x, p.height * y), min(p.width, p.height) * size, p.between(-5, 5))
        gores = p.pick((7, 9, 11))
        rows = [(-1 + 2.3 * i / 30) for i in range(31)]
        half = [
            math.sqrt(max(0.0, 1 - r * r)) if r < 0.25 else 0.968 - 0.72 * ((r - 0.25) / 1.05) ** 1.15 for r in rows
        ]
        edges = [math.sin(math.pi * (i / gores - 0.5)) for i in range(gores + 1)]
        for i in range(gores):
            left = [(edges[i] * h, r) for h, r in zip(half, rows, strict=True)]
            right = [(edges[i + 1] * h, r) for h, r in zip(half, rows, strict=True)]
            pen.shape([*left, *reversed(right)], a if i % 2 else b)
        if p.chance(0.5):
            band = [(h, r) for h, r in zip(half, rows, strict=True) if -0.1 < r < 0.25]
            pen.shape([*band, *((-h, r) for h, r in reversed(band))], (*darker(a, 0.25), 200))
        for x0 in (-0.22, 0.22):
            pen.line([(x0, 1.28), (x0 * 0.75, 1.6)], (70, 58, 50), 0.025)
        pen.box(-0.19, 1.58, 0.19, 1.86, (140, 96, 58), 0.04)
        pen.box(-0.22, 1.56, 0.22, 1.63, (104, 68, 40))
        p.lay(layer, relief=0.9, shadow=0)
    return caption(f"{first} and {second} hot-air balloon", setting, "hot-air balloon", first, second)


def umbrella(p: Picture) -> Caption:
    """An open umbrella in the rain, on the beach, or before a plain wall."""
    kind = p.pick(("rain", "rain", "beach", "studio"))
    first = p.pick((*BRIGHT, "black"))
    second = p.pick([c for c in (*BRIGHT, "white") if c != first]) if p.chance(0.6) else first
    if kind == "rain":
        p.gradient(((96, 108, 126), (142, 154, 168), (172, 180, 186)), 0, p.height * 0.8)
        p.soft([p.below(p.ridge(p.height * 0.66, 130, 0.5))], (112, 124, 138), 14, 0.8)
        p.gradient(((96, 102, 112), (124, 132, 142)), p.height * 0.8)
        setting = Setting("in the rain", ("outdoors", "rain"))
    elif kind == "beach":
        backdrops.sky(p, "day", p.height * 0.5)
        backdrops.sea(p, 0.5, "day", (52, 150, 182))
        p.paint(p.below(p.ridge(p.height * 0.76, 14, 0.3)), (232, 210, 162))
        setting = Setting("on the beach", ("outdoors", "beach", "sea"))
    else:
        setting = backdrops.studio(p, (first, second))
    layer = p.layer()
    unit = min(p.width, p.height) * p.between(0.36, 0.42)
    pen = Pen(layer, (p.width * p.between(0.44, 0.56), p.height * 0.5), unit, p.between(-16, 16), flip=p.chance(0.5))
    pen.line([(0, -0.9), (0, 0.78)], (86, 70, 62), 0.045)
    pen.line([(0.22 - 0.02, 0.74), *arc(0.11, 0.78, 0.11, 0.13, 0, 180)], (118, 74, 46), 0.075)
    panels = 6
    edges = [math.sin(math.pi * (i / panels - 0.5)) for i in range(panels + 1)]
    steps = [i / 16 for i in range(17)]
    for i in range(panels):
        sides = [
            [(edge * math.sin(t * math.pi / 2), -0.85 + 0.85 * (1 - math.cos(t * math.pi / 2))) for t in steps]
            for edge in edges[i : i + 2]
        ]
        left, right = edges[i], edges[i + 1]
        hem = arc((left + right) / 2, 0, (right - left) / 2, 0.1, 180, 360, steps=12)
        tone = p.colour(first, 4) if i % 2 else p.colour(second, 4)
        pen.shape([*sides[0], *hem, *reversed(sides[1])], darker(tone, 0.05 * abs(i - 1)))
        pen.line(sides[1], (20, 20, 26, 70), 0.012)
    pen.line([(0, -0.85), (0, -0.97)], (86, 70, 62), 0.04)
    p.lay(layer, relief=0.75, shadow=0.3)
    if kind == "rain":
        for _ in range(130):
            x, y, length = p.between(0, p.width + 60), p.between(-20, p.height), p.between(14, 34)
            p.paint(
                [(x, y), (x + 2, y), (x - length * 0.25 + 1, y + length), (x - length * 0.25, y + length)],
                (224, 234, 244, 130),
            )
    colours = first if first == second else f"{first} and {second}"
    return caption(f"{colours} umbrella", setting, "umbrella", first, second)


def cup(p: Picture) -> Caption:
    """A cup of coffee or tea on a saucer."""
    name = p.pick((*BRIGHT, "white"))
    setting = backdrops.table(p, (name,))
    tone = p.colour(name)
    drink, liquid = p.pick((("coffee", (72, 44, 30)), ("tea", (178, 96, 36)), ("cocoa", (122, 78, 58))))
    unit = min(p.width, p.height) * p.between(0.25, 0.31)
    x, y = p.width * p.between(0.42, 0.56), p.height * p.between(0.54, 0.6)
    p.glow(x + unit * 0.15, y + unit * 0.86, unit * 1.7, unit * 0.5, (20, 12, 8), 0.8)
    plate = p.layer()
    pen = Pen(plate, (x, y), unit)
    pale = lighter(tone, 0.35)
    pen.oval(0, 0.78, 1.32, 0.36, darker(pale, 0.12))
    pen.oval(0, 0.75, 1.3, 0.34, pale)
    pen.oval(0, 0.76, 0.8, 0.2, darker(pale, 0.2))
    p.lay(plate, relief=0.3, shadow=0.2)
    layer = p.layer()
    pen = Pen(layer, (x, y), unit, flip=p.chance(0.5))
    pen.line(arc(0.86, -0.05, 0.34, 0.36, -110, 110), darker(tone, 0.12), 0.15)
    tall = p.chance(0.5)
    foot = 0.68 if tall else 0.46
    pen.shape([(-0.88, -0.62), *arc(0, 0.66, foot, 0.16, 180, 0), (0.88, -0.62)], tone)
    pattern = p.pick(("plain", "band", "dots"))
    if pattern == "band":
        pen.shape([*arc(0, -0.2, 0.84, 0.2, 180, 0), *arc(0, 0.02, 0.82, 0.2, 0, 180)], (255, 255, 255, 190))
    elif pattern == "dots":
        for i in range(9):
            pen.oval(-0.6 + 0.3 * (i % 5), 0.05 + 0.3 * (i // 5), 0.07, 0.08, (255, 255, 255, 210))
    pen.oval(0, -0.62, 0.88, 0.23, lighter(tone, 0.3))
    pen.oval(0, -0.6, 0.8, 0.19, darker(tone, 0.35))
    pen.oval(0, -0.56, 0.74, 0.145, liquid)
    pen.oval(-0.2, -0.6, 0.3, 0.04, (*lighter(liquid, 0.5), 110))
    pen.shape([(-0.7, -0.36), (-0.56, -0.33), (-0.4, 0.6), (-0.5, 0.56)], (255, 255, 255, 80))
    p.lay(layer, relief=0.7, shadow=0.3)
    for offset in (-0.3, 0.05, 0.4):
        sway = p.between(0, 6)
        path = [(x + unit * (offset + 0.12 * math.sin(i * 0.7 + sway)), y - unit * (0.75 + 0.1 * i)) for i in range(11)]
        p.soft([[*path, *((px + 9, py) for px, py in reversed(path))]], (255, 255, 255), 9, 0.5)
    return caption(f"{name} cup of {drink}", setting, "cup", drink, name)


def clock(p: Picture) -> Caption:
    """A round wall clock at some time of the day."""
    wall = p.pick(("teal", "blue", "pink", "yellow", "grey", "green", "white"))
    tone = mix(p.colour(wall), (232, 226, 216), 0.4)
    p.gradient((lighter(tone, 0.12), darker(tone, 0.12)))
    if p.chance(0.5):
        for x in range(0, p.width, 56):
            p.paint([(x, 0), (x + 28, 0), (x + 28, p.height), (x, p.height)], (255, 255, 255, 40))
    name = p.pick([c for c in ("red", "black", "brown", "blue", "green", "orange") if c != wall])
    rim = p.colour(name)
    dark = p.chance(0.2)
    face, ink = ((46, 48, 56), (238, 236, 228)) if dark else ((248, 245, 236), (42, 42, 48))
    unit = min(p.width, p.height) * p.between(0.34, 0.41)
    centre = (p.width * p.between(0.42, 0.58), p.height * p.between(0.46, 0.54))
    layer = p.layer()
    Pen(layer, centre, unit).oval(0, 0, 1, 1, rim)
    p.lay(layer, relief=0.9, shadow=0.45, drop_px=22)
    layer = p.layer()
    pen = Pen(layer, centre, unit)
    pen.oval(0, 0, 0.85, 0.85, face)
    for i in range(60):
        turn = math.radians(6 * i)
        big = i % 5 == 0
        inner = (0.66 if i % 15 == 0 else 0.69) if big else 0.76
        pen.line(
            [(inner * math.sin(turn), -inner * math.cos(turn)), (0.79 * math.sin(turn), -0.79 * math.cos(turn))],
            ink,
            0.04 if big else 0.012,
        )
    hour, minute = int(p.between(0, 12)), p.pick((0, 15, 30, 45))
    for turn, length, width in ((30 * hour + minute / 2, 0.44, 0.07), (6 * minute, 0.64, 0.05)):
        a = math.radians(turn)
        pen.line([(-0.12 * math.sin(a), 0.12 * math.cos(a)), (length * math.sin(a), -length * math.cos(a))], ink, width)
    a = math.radians(p.between(0, 360))
    pen.line([(-0.15 * math.sin(a), 0.15 * math.cos(a)), (0.7 * math.sin(a), -0.7 * math.cos(a))], (206, 48, 44), 0.018)
    pen.oval(0, 0, 0.06, 0.06, (206, 48, 44))
    p.lay(layer, relief=-0.35, shadow=0)
    words = {0: "{} o'clock", 15: "quarter past {}", 30: "half past {}", 45: "quarter to {}"}[minute]
    time = words.format(_HOURS[(hour + (minute == 45)) % 12])
    return caption(
        f"{name} clock showing {time}", Setting(f"on a {wall} wall", ("indoors", f"{wall} wall")), "clock", name
    )


def bicycle(p: Picture) -> Caption:
    """A bicycle from the side."""
    setting = backdrops.meadow(p, 0.62) if p.chance(0.5) else backdrops.street(p)
    name = p.pick((*BRIGHT, "black"))
    frame = p.colour(name)
    unit = min(p.width, p.height * 1.15) * p.between(0.27, 0.31)
    ground = p.height * p.between(0.82, 0.88)
    p.glow(p.width / 2, ground, unit * 1.5, unit * 0.12, (10, 12, 10), 0.8)
    layer = p.layer()
    pen = Pen(layer, (p.width * p.between(0.46, 0.54), ground - unit * 0.62), unit, flip=p.chance(0.5))
    rear, front, crank, seat, head = (-0.86, 0.0), (0.9, 0.0), (-0.1, 0.05), (-0.36, -0.74), (0.6, -0.72)
    for x, y in (rear, front):
        for i in range(12):
            a = math.radians(15 * i + 5)
            dx, dy = 0.54 * math.cos(a), 0.54 * math.sin(a)
            pen.line([(x - dx, y - dy), (x + dx, y + dy)], (206, 208, 212), 0.01)
        pen.ring(x, y, 0.57, (36, 36, 40), 0.075)
        pen.ring(x, y, 0.525, (190, 192, 198), 0.025)
        pen.oval(x, y, 0.05, 0.05, (90, 92, 98))
    for path in ([rear, crank, head], [rear, (-0.31, -0.6), (0.56, -0.6)], [crank, seat], [front, (0.56, -0.86)]):
        pen.line(path, frame, 0.085)
    pen.line([(-0.31, -0.6), (-0.4, -0.86)], (150, 152, 158), 0.05)
    pen.blob([(-0.62, -0.92), (-0.3, -0.93), (-0.12, -0.88), (-0.3, -0.84), (-0.56, -0.84)], (70, 46, 34))
    pen.line([(0.56, -0.86), (0.5, -1.0), (0.72, -1.04)], (80, 82, 88), 0.05)
    pen.line([(0.72, -1.04), (0.52, -1.06)], (44, 40, 40), 0.08)
    pen.oval(*crank, 0.15, 0.15, (70, 72, 78))
    pen.oval(*crank, 0.08, 0.08, (176, 178, 184))
    pen.line([(-0.1, 0.05), (0.02, 0.3)], (110, 112, 118), 0.045)
    pen.line([(-0.08, 0.31), (0.13, 0.31)], (40, 40, 44), 0.06)
    basket = p.chance(0.4)
    if basket:
        pen.shape([(0.66, -0.92), (1.16, -0.92), (1.08, -0.56), (0.72, -0.56)], (176, 128, 78))
        for i in range(1, 5):
            pen.line([(0.66 + 0.1 * i, -0.92), (0.72 + 0.072 * i, -0.56)], (*darker((176, 128, 78), 0.4), 180), 0.016)
    p.lay(layer, relief=0.3, shadow=0.15)
    return caption(f"{name} bicycle{' with a basket' if basket else ''}", setting, "bicycle", "vehicle", name)


def rocket(p: Picture) -> Caption:
    """A rocket among stars and planets."""
    p.gradient(p.pick((((8, 8, 28), (30, 24, 74)), ((6, 18, 40), (18, 62, 92)), ((24, 8, 44), (86, 30, 92)))))
    backdrops.stars(p, 110, p.height)
    planet = p.pick(("orange", "teal", "purple", "blue", "red"))
    side = p.pick((0.14, 0.86))
    ball = p.layer()
    pen = Pen(ball, (p.width * side, p.height * p.between(0.16, 0.84)), min(p.width, p.height) * p.between(0.1, 0.2))
    pen.oval(0, 0, 1, 1, p.colour(planet))
    for y in (-0.5, -0.1, 0.35):
        pen.box(-0.85, y, 0.8, y + p.between(0.1, 0.24), (255, 255, 255, 50), 0.05)
    p.lay(ball, relief=1.4, shadow=0)
    name = p.pick(("red", "orange", "blue", "teal", "yellow", "pink", "green"))
    trim = p.colour(name)
    unit = min(p.width, p.height) * p.between(0.32, 0.38)
    angle = p.between(15, 50) * (1 if side < 0.5 else -1)
    centre = (p.width * p.between(0.46, 0.54), p.height * p.between(0.44, 0.5))
    layer = p.layer()
    pen = Pen(layer, centre, unit, angle)
    p.glow(*pen.at([(0, 1.0)])[0], unit * 0.7, unit * 0.7, (255, 150, 60), 0.8)
    for scale, colour in ((1.0, (240, 90, 36)), (0.68, (252, 176, 50)), (0.4, (255, 240, 180))):
        pen.blob(
            [
                (-0.2 * scale, 0.62),
                (-0.24 * scale, 0.62 + 0.3 * scale),
                (0, 0.66 + 0.72 * scale),
                (0.24 * scale, 0.62 + 0.3 * scale),
                (0.2 * scale, 0.62),
            ],
            colour,
        )
    for s in (-1, 1):
        pen.blob([(s * 0.24, 0.1), (s * 0.58, 0.5), (s * 0.58, 0.8), (s * 0.22, 0.58)], trim)
    pen.blob(
        [(0, -1.02), (0.24, -0.62), (0.34, -0.1), (0.24, 0.58), (-0.24, 0.58), (-0.34, -0.1), (-0.24, -0.62)],
        (236, 236, 240),
    )
    pen.blob([(0, -1.04), (0.15, -0.82), (0.245, -0.58), (0, -0.55), (-0.245, -0.58), (-0.15, -0.82)], trim)
    pen.box(-0.29, 0.34, 0.29, 0.42, trim)
    pen.oval(0, -0.22, 0.17, 0.17, darker(trim, 0.25))
    pen.oval(0, -0.22, 0.12, 0.12, (126, 196, 226))
    pen.oval(-0.04, -0.26, 0.04, 0.04, (255, 255, 255))
    p.lay(layer, relief=0.9, shadow=0)
    return caption(
        f"{name} and white rocket", Setting(f"passing a {planet} planet", ("space", "stars", "planet")), "rocket", name
    )


THINGS: dict[str, Drawing] = {
    "car": car,
    "house": house,
    "sailing_boat": sailing_boat,
    "hot_air_balloon": hot_air_balloon,
    "umbrella": umbrella,
    "cup": cup,
    "clock": clock,
    "bicycle": bicycle,
    "rocket": rocket,
}
