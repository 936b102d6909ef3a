"""Landscapes and night skies."""

from __future__ import annotations

import math

from PIL import Image

from image_search.samples import backdrops
from image_search.samples.canvas import (
    PALETTE,
    Caption,
    Colour,
    Drawing,
    Picture,
    Point,
    Setting,
    arc,
    caption,
    darker,
    lighter,
    mix,
)


def sunset(p: Picture) -> Caption:
    """A sun low over the sea."""
    name, stops = p.pick(
        (
            ("orange", ((70, 60, 118), (208, 96, 96), (250, 158, 74), (255, 222, 138))),
            ("pink", ((82, 84, 158), (206, 122, 172), (248, 176, 164), (255, 222, 190))),
            ("red", ((52, 30, 66), (156, 44, 62), (232, 88, 52), (254, 178, 84))),
            ("purple", ((36, 34, 86), (112, 70, 142), (214, 124, 140), (252, 200, 140))),
        )
    )
    horizon = p.between(0.52, 0.68)
    row = p.height * horizon
    p.gradient(stops, 0, row + 1)
    backdrops.clouds(p, 4, row * 0.8, mix(stops[1], stops[2], 0.6), flat=0.25)
    x, r = p.width * p.between(0.25, 0.75), min(p.width, p.height) * p.between(0.08, 0.14)
    y = row - r * p.between(0.1, 1.3)
    p.glow(x, y, r * 5, r * 4, (255, 226, 160), 0.8)
    p.paint(arc(x, y, r, r), (255, 246, 214))
    backdrops.sea(p, horizon, "sunset", mix(stops[1], stops[0], 0.45))
    for _ in range(70):
        depth = p.between(0, 1)
        sy, half = row + 3 + depth * (p.height - row), r * (0.7 + 1.1 * depth) * p.between(0.2, 1)
        sx, thick = x + p.between(-0.7, 0.7) * r * (1 + depth), 1.5 + 3.5 * depth
        p.paint([(sx - half, sy), (sx, sy - thick), (sx + half, sy), (sx, sy + thick)], (255, 226, 160, 150))
    extra = p.pick(("", "birds", "island"))
    if extra == "birds":
        for _ in range(5):
            bx, by, s = p.between(0.1, 0.9) * p.width, p.between(0.12, 0.4) * p.height, p.between(10, 20)
            for side in (-1, 1):
                p.paint(
                    [
                        (bx, by),
                        (bx + side * s * 0.5, by - s * 0.45),
                        (bx + side * s, by - s * 0.1),
                        (bx + side * s * 0.5, by - s * 0.28),
                    ],
                    (40, 30, 50),
                )
    elif extra == "island":
        ix = p.width * p.pick((0.12, 0.86))
        p.paint(
            [
                (px, min(py, row + 4))
                for px, py in arc(ix, row + 4, p.width * 0.22, p.height * p.between(0.06, 0.14), 180, 360)
            ],
            darker(stops[0], 0.45),
        )
    ending = {"birds": " with birds", "island": " with an island"}.get(extra, "")
    return caption(
        f"{name} sunset over the sea{ending}", Setting("", ("outdoors", "sea", "evening")), "sunset", "sun", name
    )


def mountains(p: Picture) -> Caption:
    """Mountain ranges, one behind the other, the highest with snow."""
    mood = p.pick(("day", "day", "morning", "sunset", "overcast"))
    backdrops.sky(p, mood)
    near = p.pick(((62, 92, 84), (74, 84, 112), (92, 84, 76)))
    air: Colour = {"sunset": (226, 160, 148), "morning": (232, 212, 210), "overcast": (184, 192, 200)}.get(
        mood, (176, 204, 228)
    )
    high = p.ridge(p.height * 0.44, p.height * 0.5, 0.55, 3)
    rock = mix(near, air, 0.45)
    p.paint(p.below(high), rock)
    _shade_slopes(p, high, darker(rock, 0.35))
    _snow(p, high, sorted(y for _, y in high)[round(len(high) * p.between(0.4, 0.65))])
    for i, share in enumerate((0.3, 0.15, 0.0)):
        line = p.ridge(p.height * (0.62 + 0.1 * i), p.height * (0.24 - 0.04 * i), 0.5, 4)
        p.soft([p.below([(x, y + 50) for x, y in line])], air, 40, 0.5)
        p.paint(p.below(line), mix(darker(near, 0.12 * i), air, share))
    lake = p.chance(0.45)
    if lake:
        row = round(p.height * p.between(0.78, 0.84))
        mirror = p.image.crop((0, 2 * row - p.height, p.width, row)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        p.image.paste(mirror, (0, row))
        p.paint([(0, row), (p.width, row), (p.width, p.height), (0, p.height)], (40, 84, 120, 110))
        for _ in range(40):
            x, y = p.between(0, p.width), p.between(row, p.height)
            p.paint([(x, y), (x + 60, y - 1), (x + 100, y + 1)], (255, 255, 255, 60))
    phrase = {"sunset": "at sunset", "morning": "in the morning", "overcast": "under clouds"}.get(
        mood, "under a blue sky"
    )
    return caption(
        f"snowy mountains{' above a lake' if lake else ''}",
        Setting(phrase, ("outdoors", mood)),
        "mountains",
        "snow",
        *(("lake",) if lake else ()),
    )


def _shade_slopes(p: Picture, line: list[Point], colour: Colour) -> None:
    """Darkens the side of each peak that is turned away from the light, which comes from the left."""
    i = 0
    while i < len(line) - 6:
        peak = i
        while i < len(line) - 1 and min(y for _, y in line[i + 1 : i + 5]) >= line[i][1] - 2:
            i += 1
        if line[i][1] - line[peak][1] > 14:
            (x, y), (end, low) = line[peak], line[i]
            drop = (low - y) * p.between(1.2, 2.0)
            back = [(x + (end - x) * s + p.between(-6, 6), y + drop * (0.15 + s)) for s in (0.9, 0.6, 0.42, 0.26, 0.1)]
            p.paint([*line[peak : i + 1], *back], (*colour, 130))
        i = max(i, peak + 1)


def _snow(p: Picture, line: list[Point], snow_line: float) -> None:
    """Covers what rises above the row `snow_line`, with a ragged lower edge."""
    run: list[Point] = []
    for x, y in [*line, (p.width, p.height)]:
        if y < snow_line:
            run.append((x, y))
            continue
        if len(run) > 2:
            edge = []
            for k, (rx, ry) in enumerate(run[::-1]):
                if k % 4 == 0:
                    edge.append((rx, ry + (snow_line - ry) * (p.between(0.75, 1.0) if k % 8 else p.between(0.35, 0.6))))
            p.paint([*run, *edge], (246, 248, 252, 235))
            top = min(range(len(run)), key=lambda k: run[k][1])
            x0, y0 = run[top]
            shaded = [q for q in edge if q[0] > x0]
            p.paint([*run[top:], *shaded, (x0 - 4, y0 + (snow_line - y0) * 0.5)], (150, 172, 208, 110))
        run = []


def city_at_night(p: Picture) -> Caption:
    """A skyline with lit windows under a night sky."""
    backdrops.sky(p, "night", p.height * 0.85)
    moon = p.chance(0.55)
    if moon:
        x, y = p.width * p.between(0.15, 0.85), p.height * p.between(0.12, 0.24)
        p.glow(x, y, 110, 110, (220, 226, 255), 0.5)
        p.paint(arc(x, y, 24, 24), (246, 242, 222))
    water = p.chance(0.5)
    ground = p.height * (p.between(0.72, 0.8) if water else 1)
    p.glow(
        p.width / 2,
        ground,
        p.width * 0.8,
        p.height * 0.4,
        p.pick(((255, 170, 90), (150, 120, 255), (90, 190, 230))),
        0.85,
    )
    light = p.pick(((255, 214, 120), (255, 236, 190), (190, 226, 255)))
    for depth, tone in enumerate(((58, 62, 108), (36, 40, 76), (18, 20, 42))):
        x = -p.between(0, 40)
        while x < p.width:
            width, height = p.between(36, 84), p.height * p.between(0.26, 0.6 - 0.1 * depth) * (0.8 if water else 1)
            top = ground - height
            p.paint([(x, ground), (x, top), (x + width, top), (x + width, ground)], tone)
            roof = p.pick(("flat", "flat", "spire", "step"))
            middle = x + width / 2
            if roof == "spire":
                p.paint([(middle - 3, top), (middle, top - 50), (middle + 3, top)], tone)
            elif roof == "step":
                p.paint(
                    [
                        (x + width * 0.25, top),
                        (x + width * 0.25, top - 20),
                        (x + width * 0.75, top - 20),
                        (x + width * 0.75, top),
                    ],
                    tone,
                )
            share = p.between(0.2, 0.65)
            for wy in range(int(top) + 10, int(ground) - 8, 16):
                for wx in range(int(x) + 7, int(x + width) - 9, 13):
                    if p.chance(share):
                        p.paint(
                            [(wx, wy), (wx + 6, wy), (wx + 6, wy + 9), (wx, wy + 9)],
                            (*mix(light, tone, p.between(0, 0.4)), 120 + 60 * depth),
                        )
            x += width + p.pick((0, 4, 20))
    if water:
        row = round(ground)
        mirror = p.image.crop((0, 2 * row - p.height, p.width, row)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        p.image.paste(mirror, (0, row))
        p.paint([(0, row), (p.width, row), (p.width, p.height), (0, p.height)], (10, 16, 44, 150))
        for _ in range(90):
            x, y = p.between(-40, p.width), p.between(row, p.height)
            p.paint(
                [(x, y), (x + p.between(20, 70), y - 1.5), (x + 60, y + 1.5)],
                (*mix(light, (20, 30, 70), p.between(0.2, 1)), 110),
            )
    words = f"city skyline at night{' under the moon' if moon else ''}{', mirrored in the river' if water else ''}"
    return caption(
        words,
        Setting("", ("outdoors", "night")),
        "city",
        "skyline",
        *(("river",) if water else ()),
        *(("moon",) if moon else ()),
    )


def forest(p: Picture) -> Caption:
    """Rows of conifers, fading into the mist."""
    season, tree, air = p.pick(
        (
            ("misty", (34, 72, 58), (198, 212, 210)),
            ("green", (38, 92, 52), (206, 224, 190)),
            ("autumn", (150, 82, 36), (240, 214, 170)),
            ("winter", (62, 88, 98), (228, 236, 244)),
            ("evening", (40, 48, 66), (240, 182, 140)),
        )
    )
    p.gradient((mix(air, (120, 160, 200), 0.3), air, lighter(air, 0.3)))
    if p.chance(0.6):
        p.glow(p.width * p.between(0.2, 0.8), p.height * 0.22, 190, 190, (255, 250, 226), 0.7)
    for row in range(5):
        share = 0.78 - 0.19 * row
        tone = mix(tree, air, share)
        base = p.height * (0.52 + 0.12 * row)
        p.paint(p.below(p.ridge(base, 24, 0.4)), tone)
        tall = p.height * (0.2 + 0.07 * row)
        x = -p.between(0, 30)
        while x < p.width + 30:
            height, y = tall * p.between(0.7, 1.15), base + p.between(0, 16)
            half = height * p.between(0.17, 0.24)
            left: list[Point] = []
            for k in range(7):
                w = half * (k + 1) / 7
                left += [
                    (w * 0.45, y - height * (1 - k / 7)),
                    (w * p.between(0.9, 1.1), y - height * (1 - (k + 1) / 7) + 6),
                ]
            shade = darker(tone, p.between(0, 0.2))
            p.paint(
                [(x, y - height * 1.06), *((x + w, ly) for w, ly in left), *((x - w, ly) for w, ly in reversed(left))],
                shade,
            )
            p.paint([(x, y - height), *((x - w * 0.9, ly) for w, ly in left), (x, y)], (*lighter(shade, 0.3), 80))
            if season == "winter":
                for k in range(0, 13, 2):
                    w, ly = left[k]
                    p.paint(
                        [(x - w * 1.3, ly + 9), (x, ly - 5), (x + w * 1.3, ly + 9), (x, ly + 4)],
                        (246, 250, 255, int(70 + 150 * (1 - share))),
                    )
            x += half * p.between(1.0, 2.0)
        p.soft(
            [[(0, base + 20), (p.width, base + 20), (p.width, base + 70), (0, base + 70)]], air, 30, 0.5 * share + 0.1
        )
    words = {
        "misty": "misty pine forest",
        "green": "green pine forest in summer",
        "autumn": "larch forest in autumn",
        "winter": "snowy pine forest in winter",
        "evening": "pine forest in the evening",
    }
    return caption(words[season], Setting("", ("outdoors", "trees", season)), "forest")


def desert(p: Picture) -> Caption:
    """Sand dunes, sometimes with cacti."""
    mood = p.pick(("day", "day", "sunset", "night"))
    row = p.height * p.between(0.4, 0.52)
    backdrops.sky(p, mood, row + 60)
    if mood != "night":
        p.glow(p.width * p.between(0.15, 0.85), row * 0.45, 130, 130, (255, 250, 220), 0.95)
    sand: Colour = {"sunset": (214, 130, 84), "night": (92, 92, 132)}.get(mood, (228, 182, 114))
    count = p.pick((3, 4))
    for i in range(count):
        base = row + (p.height - row) * i / count
        tone = mix(sand, (250, 222, 180) if mood == "day" else lighter(sand, 0.3), 0.4 - 0.13 * i)
        peak, high = p.between(0.15, 0.85) * p.width, p.height * p.between(0.1, 0.2)
        crest = [
            (x, base + 20 - high * math.exp(-(((x - peak) / (p.width * 0.34)) ** 2))) for x in range(0, p.width + 8, 8)
        ]
        p.paint(p.below(crest), lighter(tone, 0.1))
        lee = [q for q in crest if q[0] >= peak]
        top, swing = base + 20 - high, p.between(0.05, 0.1) * p.width
        curve = [
            (peak + swing * math.sin(t * 0.55) + p.width * 0.025 * t, top + (p.height - top) * t / 10)
            for t in range(10, -1, -1)
        ]
        p.paint([*lee, (p.width, p.height), *curve], darker(tone, 0.2))
        for k in range(9):
            offset = 14 + 13 * k
            p.paint(
                [
                    *((x, y + offset + 2 * math.sin(x / 23)) for x, y in crest),
                    *((x, y + offset + 2 + 2 * math.sin(x / 23)) for x, y in reversed(crest)),
                ],
                (*darker(tone, 0.35), 38),
            )
    cacti = int(p.between(1, 4)) if p.chance(0.6) else 0
    layer = p.layer()
    for _ in range(cacti):
        x, y, s = p.width * p.between(0.1, 0.9), p.height * p.between(0.78, 0.95), p.height * p.between(0.2, 0.34)
        green = darker(mix(PALETTE["green"], sand, 0.2), 0.2)
        p.glow(x + s * 0.2, y, s * 0.5, s * 0.08, (60, 40, 30), 0.7)
        layer.line([(x, y), (x, y - s)], green, s * 0.17)
        layer.line([(x, y - s * 0.42), (x - s * 0.26, y - s * 0.46), (x - s * 0.26, y - s * 0.78)], green, s * 0.11)
        layer.line([(x, y - s * 0.3), (x + s * 0.24, y - s * 0.34), (x + s * 0.24, y - s * 0.6)], green, s * 0.11)
    p.lay(layer, relief=0.6, shadow=0)
    phrase = {"sunset": "at sunset", "night": "under the stars"}.get(mood, "under the midday sun")
    plants = {0: "", 1: " with a cactus"}.get(cacti, " with cacti")
    return caption(
        f"desert dunes{plants}", Setting(phrase, ("outdoors", "sand", mood)), "desert", *(("cactus",) if cacti else ())
    )


def starry_night(p: Picture) -> Caption:
    """The Milky Way over dark hills."""
    name, stops, haze = p.pick(
        (
            ("blue", ((4, 8, 28), (14, 30, 78), (50, 84, 132)), (150, 170, 226)),
            ("purple", ((12, 6, 34), (52, 26, 92), (136, 72, 128)), (214, 160, 220)),
            ("green", ((4, 16, 26), (10, 48, 62), (44, 110, 96)), (150, 230, 190)),
        )
    )
    p.gradient(stops)
    angle = p.between(-0.9, 0.9)
    shapes = []
    for i in range(26):
        along = (i / 25 - 0.5) * 1.5 * p.height
        x, y = p.width / 2 + along * math.sin(angle) + p.between(-36, 36), p.height * 0.4 + along * math.cos(angle)
        r = p.between(20, 56)
        shapes.append(arc(x, y, r, r, steps=16))
        for _ in range(9):
            sx, sy, size = x + p.between(-90, 90), y + p.between(-40, 40), p.between(0.6, 1.8)
            p.paint(arc(sx, sy, size, size, steps=8), (255, 255, 255, int(p.between(70, 220))))
    p.soft(shapes, haze, 46, 0.45)
    backdrops.stars(p, 170, p.height)
    for _ in range(7):
        x, y = p.between(0, p.width), p.between(0, p.height * 0.6)
        p.glow(x, y, 14, 14, (255, 255, 255), 0.9)
        p.paint(arc(x, y, 2.6, 2.6, steps=10), (255, 255, 255))
    falling = p.chance(0.5)
    if falling:
        x, y, length = p.width * p.between(0.2, 0.8), p.height * p.between(0.1, 0.35), p.between(90, 160)
        p.paint([(x, y - 2), (x + 4, y), (x, y + 2), (x - length, y - length * 0.45)], (255, 255, 255, 220))
    for i in range(2):
        p.paint(
            p.below(p.ridge(p.height * (0.82 + 0.08 * i), p.height * 0.12, 0.45)), darker(stops[1], 0.55 + 0.25 * i)
        )
    pines = p.chance(0.5)
    if pines:
        for _ in range(14):
            x, tall = p.between(0, p.width), p.height * p.between(0.08, 0.2)
            for k in range(4):
                y, half = p.height * 0.93 - tall * k * 0.22, tall * (0.24 - 0.045 * k)
                p.paint([(x - half, y), (x, y - tall * 0.4), (x + half, y)], darker(stops[0], 0.5))
    words = f"starry night over dark {'pines' if pines else 'hills'}{' with a shooting star' if falling else ''}"
    return caption(words, Setting("", ("outdoors", "night", "stars")), "starry night", name)


def rainbow(p: Picture) -> Caption:
    """A rainbow over a meadow with flowers."""
    row = p.height * p.between(0.62, 0.72)
    grey = p.chance(0.5)
    backdrops.sky(p, "overcast" if grey else "day", row)
    x, radius = p.width * p.between(0.3, 0.7), p.height * p.between(0.5, 0.62)
    band = radius * p.between(0.035, 0.05)
    double = p.chance(0.3)
    for bow, strength in ((1.0, 190), (1.28, 70)) if double else ((1.0, 190),):
        for i, name in enumerate(("red", "orange", "yellow", "green", "blue", "purple")):
            r = bow * radius - i * band
            p.paint(
                [*arc(x, row + 10, r, r, 180, 360, 60), *arc(x, row + 10, r - band, r - band, 360, 180, 60)],
                (*lighter(PALETTE[name], 0.12), strength),
            )
    backdrops.clouds(p, 2, row * 0.6, (250, 250, 252))
    p.paint(p.below(p.ridge(row - 10, p.height * 0.08, 0.42)), (108, 152, 122))
    green = p.pick(((96, 158, 66), (120, 172, 74), (78, 140, 70)))
    backdrops.grass(p, p.ridge(row + 12, 20, 0.3), green, 200)
    names = p.pick_some(("red", "yellow", "white", "purple", "pink", "blue"), 2)
    for _ in range(int(p.between(20, 90))):
        y = row + 30 + (p.height - row - 30) * p.between(0, 1)
        fx, size = p.between(0, p.width), 2.5 + 7 * (y - row) / (p.height - row)
        tone = p.colour(p.pick(names))
        for k in range(5):
            a = math.radians(72 * k)
            p.paint(
                arc(fx + size * 0.7 * math.cos(a), y + size * 0.7 * math.sin(a), size * 0.55, size * 0.55, steps=8),
                tone,
            )
        p.paint(arc(fx, y, size * 0.4, size * 0.4, steps=8), (250, 220, 90))
    words = f"{'double ' if double else ''}rainbow over a meadow with {names[0]} and {names[1]} flowers"
    return caption(words, Setting("", ("outdoors", "sky", "meadow", "rain" if grey else "day")), "rainbow", *names)


SCENES: dict[str, Drawing] = {
    "sunset": sunset,
    "mountains": mountains,
    "city_at_night": city_at_night,
    "forest": forest,
    "desert": desert,
    "starry_night": starry_night,
    "rainbow": rainbow,
}
