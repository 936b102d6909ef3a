"""Where the things stand: skies, ground, walls, tables, water; each returns the `Setting` that it drew."""

from __future__ import annotations

import math

from image_search.samples.canvas import Colour, Picture, Point, Setting, arc, darker, lighter, mix

_SKIES: dict[str, tuple[tuple[Colour, ...], ...]] = {
    "day": (((74, 142, 214), (150, 198, 236), (222, 236, 244)), ((96, 170, 226), (188, 222, 240))),
    "sunset": (
        ((64, 60, 120), (196, 92, 110), (248, 160, 84), (254, 214, 132)),
        ((98, 70, 132), (230, 112, 92), (252, 190, 110)),
        ((52, 84, 140), (222, 140, 130), (254, 196, 120)),
    ),
    "overcast": (((132, 144, 158), (186, 194, 202), (214, 218, 220)),),
    "night": (((8, 12, 34), (22, 32, 74), (52, 62, 112)), ((10, 8, 30), (40, 26, 76), (82, 54, 112))),
    "morning": (((140, 176, 214), (246, 214, 196), (252, 232, 204)),),
}


def sky(p: Picture, mood: str, bottom: float | None = None) -> None:
    """Fills the picture down to `bottom` (pixels) with a sky: day, morning, sunset, overcast or night."""
    stops = p.pick(_SKIES[mood])
    p.gradient(stops, 0, bottom)
    if bottom is not None:
        # The ground that comes over it need not be level.
        p.gradient(stops[-1:], bottom)
    depth = p.height if bottom is None else bottom
    if mood == "night":
        stars(p, 70, depth)
    elif mood in ("day", "overcast", "morning"):
        clouds(p, int(p.between(1, 5)), depth * 0.75, (252, 252, 252) if mood != "overcast" else (168, 174, 184))
    else:
        clouds(p, 2, depth * 0.6, (250, 178, 148), flat=0.35)


def clouds(p: Picture, count: int, bottom: float, colour: Colour, flat: float = 1.0) -> None:
    """Adds `count` clouds above the row `bottom`; `flat` below 1 draws them out into streaks."""
    shapes = []
    for _ in range(count):
        x, y, size = p.between(0, p.width), p.between(0.08, 0.9) * bottom, p.between(0.05, 0.1) * p.width
        for _ in range(6):
            r = size * p.between(0.45, 0.9)
            shapes.append(arc(x + p.between(-1.5, 1.5) * size / flat**0.5, y, r / flat**0.5, r * 0.55 * flat))
            y += p.between(-0.14, 0.14) * size * flat
    p.soft(shapes, colour, 12, 0.85)


def stars(p: Picture, count: int, bottom: float) -> None:
    """Adds `count` small stars above the row `bottom`."""
    for _ in range(count):
        x, y, r = p.between(0, p.width), p.between(0, bottom), p.between(0.7, 2.3)
        glow = int(p.between(120, 255))
        p.paint(arc(x, y, r, r, steps=8), (255, 252, 236, glow))


def grass(p: Picture, line: list[Point], colour: Colour, blades: int = 160) -> None:
    """Fills everything below `line` with a meadow that darkens towards the viewer."""
    p.paint(p.below(line), colour)
    top = min(y for _, y in line)
    for share in (0.35, 0.7):
        row = top + (p.height - top) * share
        p.soft([p.below(p.ridge(row, p.height * 0.05, 0.3))], darker(colour, 0.16), 26, 0.5)
    for _ in range(blades):
        x, y = p.between(0, p.width), p.between(top + (p.height - top) * 0.12, p.height)
        size = 3 + 16 * (y - top) / max(1.0, p.height - top)
        lean = p.between(-0.5, 0.5) * size
        shade = mix(lighter(colour, 0.28), darker(colour, 0.3), p.between(0, 1))
        p.paint([(x - size * 0.1, y), (x + lean, y - size), (x + size * 0.1, y)], (*shade, 190))


def meadow(p: Picture, horizon: float = 0.66) -> Setting:
    """A meadow under a sky, with hills; the horizon lies at that share of the height."""
    mood = p.pick(("day", "day", "sunset", "overcast", "morning"))
    row = p.height * (horizon + p.between(-0.04, 0.04))
    sky(p, mood, row)
    haze = {"sunset": (150, 104, 112), "overcast": (132, 148, 150)}.get(mood, (120, 164, 168))
    p.paint(p.below(p.ridge(row - p.height * 0.04, p.height * 0.1, 0.4)), haze)
    green = p.pick(((104, 158, 70), (132, 168, 74), (84, 138, 66), (150, 164, 84)))
    grass(p, p.ridge(row, p.height * 0.03, 0.3), mix(green, (150, 84, 60), 0.25) if mood == "sunset" else green)
    phrase = {"sunset": "at sunset", "overcast": "under a cloudy sky", "morning": "on a clear morning"}
    return Setting(phrase.get(mood, "on a sunny day"), ("outdoors", mood, "meadow"))


def open_sky(p: Picture) -> Setting:
    """A wide sky with far hills along the lower edge."""
    mood = p.pick(("day", "day", "sunset", "morning"))
    sky(p, mood)
    base = (92, 136, 110) if mood != "sunset" else (104, 70, 98)
    for i in range(3):
        line = p.ridge(p.height * (0.84 + 0.055 * i), p.height * 0.08, 0.42)
        p.paint(p.below(line), darker(mix(base, (200, 214, 226), 0.5 - 0.22 * i), 0.08 * i))
    place = {"sunset": "at sunset", "morning": "in the early morning"}.get(mood, "in a blue sky")
    return Setting(place, ("outdoors", mood, "sky"))


def indoors(p: Picture, avoid: tuple[str, ...] = ()) -> Setting:
    """A table before a wall, a plain backdrop or a patterned cloth, in none of the colours to avoid."""
    return p.pick((table, table, studio, cloth))(p, avoid)


def table(p: Picture, avoid: tuple[str, ...] = ()) -> Setting:
    """A wooden table before a wall."""
    wall = p.pick([c for c in ("teal", "blue", "grey", "white", "yellow", "pink") if c not in avoid])
    tone = mix(p.colour(wall), (226, 222, 214), 0.42)
    edge = p.height * p.between(0.56, 0.64)
    p.gradient((lighter(tone, 0.14), darker(tone, 0.1)), 0, edge)
    if p.chance(0.5):
        x = p.width * p.between(0.05, 0.6)
        slant = p.width * 0.2
        beam = [(x, 0), (x + slant * 1.4, 0), (x + slant * 2.2, edge), (x + slant * 0.8, edge)]
        p.soft([beam], (255, 250, 232), 18, 0.35)
    wood = p.pick(((156, 108, 70), (190, 146, 100), (120, 80, 54), (210, 178, 138)))
    p.gradient((darker(wood, 0.16), wood, lighter(wood, 0.1)), edge)
    for _ in range(26):
        y = edge + (p.height - edge) * p.between(0, 1) ** 1.4
        x, length, wave = p.between(-0.3, 0.9) * p.width, p.between(0.2, 0.8) * p.width, p.between(-3, 3)
        over = [(x + length * i / 8, y + wave * math.sin(i * 0.8)) for i in range(9)]
        under = [(px, py + p.between(0.8, 2.4)) for px, py in reversed(over)]
        p.paint([*over, *under], (*darker(wood, 0.32), 90))
    p.soft([[(0, edge), (p.width, edge), (p.width, edge + 7), (0, edge + 7)]], darker(wood, 0.6), 6, 0.5)
    return Setting("on a wooden table", ("indoors", "table", f"{wall} wall"))


def studio(p: Picture, avoid: tuple[str, ...] = ()) -> Setting:
    """A plain coloured backdrop, as in a photographer's studio."""
    name = p.pick([c for c in ("teal", "blue", "grey", "yellow", "pink", "purple", "green", "white") if c not in avoid])
    tone = mix(p.colour(name), (236, 230, 222), 0.36)
    p.gradient((darker(tone, 0.1), tone, lighter(tone, 0.16)), 0, p.height * 0.66)
    p.gradient((darker(tone, 0.02), lighter(tone, 0.3)), p.height * 0.66)
    p.soft([arc(p.width / 2, p.height * 0.66, p.width * 0.9, p.height * 0.06)], lighter(tone, 0.12), 30, 0.8)
    p.glow(p.width * 0.35, p.height * 0.3, p.width * 0.5, p.height * 0.5, (255, 255, 255), 0.35)
    return Setting(f"on a {name} background", ("indoors", f"{name} background"))


def cloth(p: Picture, avoid: tuple[str, ...] = ()) -> Setting:
    """A tablecloth with pale stripes, seen from above, with soft folds."""
    name = p.pick([c for c in ("blue", "green", "pink", "yellow", "grey", "teal") if c not in avoid])
    tone = mix(p.colour(name), (244, 240, 232), 0.55)
    p.gradient((tone, darker(tone, 0.06)))
    width = p.between(16, 34)
    slope = p.between(-0.5, 0.5) * p.height
    x = -abs(slope)
    while x < p.width + abs(slope):
        p.paint([(x, 0), (x + width, 0), (x + width + slope, p.height), (x + slope, p.height)], (255, 255, 255, 90))
        x += 2 * width
    for _ in range(3):
        x = p.between(0, p.width)
        fold = [(x, 0), (x + 22, 0), (x + p.between(-120, 160), p.height), (x - 30, p.height)]
        p.soft([fold], darker(tone, 0.5), 22, 0.28)
    return Setting(f"on a {name} striped cloth", ("indoors", "cloth", name))


def bokeh(p: Picture, mood: str = "green") -> Setting:
    """An out-of-focus background: discs of light in a garden ("green"), or among colours ("warm")."""
    if mood == "green":
        tones: tuple[Colour, ...] = ((46, 92, 54), (96, 146, 74), (150, 180, 96))
    else:
        tones = ((72, 56, 84), (164, 96, 92), (232, 178, 120))
    p.gradient(tones if p.chance(0.5) else tones[::-1])
    for _ in range(16):
        r = p.between(14, 62)
        x, y = p.between(0, p.width), p.between(0, p.height)
        light = lighter(p.pick(tones), p.between(0.1, 0.55))
        p.soft([arc(x, y, r, r)], light, 6, p.between(0.15, 0.5)) if r > 50 else p.paint(
            arc(x, y, r, r), (*light, int(p.between(30, 90)))
        )
    return Setting("in the garden", ("outdoors", "garden"))


def street(p: Picture) -> Setting:
    """A road in the lower third, under a sky, with hills or houses behind it."""
    mood = p.pick(("day", "day", "sunset", "overcast"))
    row = p.height * p.between(0.6, 0.66)
    sky(p, mood, row)
    place = p.pick(("country", "town", "coast"))
    if place == "country":
        p.paint(p.below(p.ridge(row - 30, p.height * 0.16, 0.42)), (112, 150, 132))
        grass(p, [(0, row - 20), (p.width, row - 26)], (124, 164, 78), 60)
    elif place == "town":
        x = -20.0
        while x < p.width:
            width, height = p.between(60, 120), p.between(0.25, 0.5) * p.height
            wall = mix(p.colour(p.pick(("orange", "yellow", "brown", "grey", "pink"))), (214, 206, 198), 0.55)
            p.paint([(x, row), (x, row - height), (x + width, row - height), (x + width, row)], wall)
            for i in range(int(width // 28)):
                for k in range(int(height // 44)):
                    wx, wy = x + 12 + i * 28, row - height + 14 + k * 44
                    p.paint([(wx, wy), (wx + 14, wy), (wx + 14, wy + 24), (wx, wy + 24)], darker(wall, 0.42))
            x += width + p.pick((0, 0, 14))
    else:
        p.gradient(((72, 136, 176), (110, 174, 200)), row - p.height * 0.14, row)
        p.gradient(((228, 208, 160), (214, 190, 140)), row - 14, row + 4)
    p.gradient(((118, 118, 124), (84, 84, 92)), row)
    p.paint([(0, row), (p.width, row), (p.width, row + 9), (0, row + 9)], (176, 172, 164))
    x = p.between(-80, 0)
    while x < p.width:
        y = p.height * 0.93
        p.paint([(x + 8, y), (x + 58, y), (x + 50, y + 9), (x, y + 9)], (236, 232, 214))
        x += 118
    phrase = {"country": "on a country road", "town": "in a town street", "coast": "by the sea"}[place]
    return Setting(phrase, ("outdoors", "road", place, mood))


def sea(p: Picture, horizon: float, mood: str, tone: Colour | None = None) -> None:
    """A sea below that share of the height, with waves that grow towards the viewer."""
    row = p.height * horizon
    default = {"sunset": (150, 84, 104), "night": (24, 34, 72), "overcast": (104, 124, 138)}.get(mood, (40, 116, 168))
    colour = tone or default
    p.gradient((lighter(colour, 0.28), colour, darker(colour, 0.35)), row)
    for _ in range(110):
        depth = p.between(0, 1) ** 1.3
        x, y = p.between(-0.1, 1) * p.width, row + 3 + depth * (p.height - row)
        length, thick = 14 + 80 * depth * p.between(0.5, 1), 1 + 4 * depth
        shade = lighter(colour, 0.4) if p.chance(0.55) else darker(colour, 0.3)
        p.paint([(x, y), (x + length / 2, y - thick), (x + length, y), (x + length / 2, y + thick)], (*shade, 110))
