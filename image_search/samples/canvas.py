"""What every drawing needs: a picture to draw on, a pen with its own axes, colours, gradients, soft shapes, texture."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

T = TypeVar("T")
Colour = tuple[int, int, int]
Paint = tuple[int, int, int] | tuple[int, int, int, int]
Point = tuple[float, float]
Floats = npt.NDArray[np.float32]

SUPERSAMPLING = 2
SOFT_REDUCTION = 4
# Landscape twice as often as portrait and square together, as in a real photo library.
SIZES_PX = ((320, 240),) * 4 + ((240, 320), (256, 256))

PALETTE: dict[str, Colour] = {
    "red": (206, 48, 44),
    "orange": (236, 130, 38),
    "yellow": (244, 200, 56),
    "green": (76, 152, 70),
    "teal": (34, 146, 148),
    "blue": (52, 104, 190),
    "purple": (124, 74, 168),
    "pink": (236, 128, 166),
    "brown": (132, 86, 54),
    "white": (240, 238, 232),
    "grey": (134, 138, 144),
    "black": (44, 44, 50),
}
BRIGHT = ("red", "orange", "yellow", "green", "teal", "blue", "purple", "pink")


@dataclass(frozen=True)
class Caption:
    """What was drawn, in words: a title for a person and tags for the filters."""

    title: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """Where a thing stands: `phrase` goes into the title ("on a wooden table"), `tags` into the tags."""

    phrase: str
    tags: tuple[str, ...]


def caption(subject: str, setting: Setting, *tags: str) -> Caption:
    """A title of `subject` and the setting's phrase; `tags` and the setting's tags, each once."""
    title = re.sub(r"\ba (?=[aeio])", "an ", f"{subject} {setting.phrase}".strip())
    return Caption(title[0].upper() + title[1:], tuple(dict.fromkeys((*tags, *setting.tags))))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that lies `share` (0..1) of the way from `first` to `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def lighter(colour: Colour, share: float) -> Colour:
    """`colour` moved towards white."""
    return mix(colour, (255, 255, 255), share)


def darker(colour: Colour, share: float) -> Colour:
    """`colour` moved towards black."""
    return mix(colour, (0, 0, 0), share)


def arc(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360, steps: int = 40) -> list[Point]:
    """`steps + 1` points on an ellipse, from `start` to `end` degrees, clockwise on the screen from three o'clock."""
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def smooth(points: Sequence[Point], steps: int = 8) -> list[Point]:
    """A closed Catmull-Rom curve through `points`."""
    out: list[Point] = []
    count = len(points)
    for i in range(count):
        a, b, c, d = (points[(i + k) % count] for k in (-1, 0, 1, 2))
        for step in range(steps):
            t = step / steps
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3)
            pairs = list(zip(weights, (a, b, c, d), strict=True))
            out.append((sum(w * p[0] for w, p in pairs) / 2, sum(w * p[1] for w, p in pairs) / 2))
    return out


def mirrored(points: Sequence[Point]) -> list[Point]:
    """`points` (from top to bottom, x >= 0) closed by their mirror image."""
    return [*points, *((-x, y) for x, y in reversed(points) if abs(x) > 1e-6)]


class Layer:
    """A sheet over the picture: opaque strokes add to it, translucent ones only tint what is already there."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        self.image = Image.new("RGB", size_px)
        self.mask = Image.new("L", size_px)
        self._ink = ImageDraw.Draw(self.image, "RGBA")
        self._cover = ImageDraw.Draw(self.mask)

    def polygon(self, points: Sequence[Point], paint: Paint) -> None:
        """Fills the polygon, in pixels of the layer."""
        self._ink.polygon(points, fill=paint)
        if len(paint) == 3:
            self._cover.polygon(points, fill=255)

    def line(self, points: Sequence[Point], paint: Paint, width_px: float) -> None:
        """A polyline with round ends and joints, in pixels of the layer."""
        width = max(1, round(width_px))
        self._ink.line(points, fill=paint, width=width, joint="curve")
        if len(paint) == 3:
            self._cover.line(points, fill=255, width=width, joint="curve")
            if width > 3:
                for x, y in (points[0], points[-1]):
                    self.polygon(arc(x, y, width / 2, width / 2, steps=16), paint)


class Pen:
    """Draws on a layer in axes of its own: origin at `centre`, one unit is `unit` pixels, y down, turned by `angle`."""

    def __init__(
        self, layer: Layer, centre: Point, unit: float, angle: float = 0.0, *, flip: bool = False, stretch: float = 1.0
    ) -> None:
        self.layer = layer
        self.centre = centre
        self.unit = unit
        self.angle = angle
        self.flip = -1.0 if flip else 1.0
        self.stretch = stretch

    def at(self, points: Sequence[Point]) -> list[Point]:
        """`points` in pixels of the layer."""
        cos, sin = math.cos(math.radians(self.angle)), math.sin(math.radians(self.angle))
        out = []
        for px, py in points:
            x, y = px * self.flip * self.unit * self.stretch, py * self.unit
            out.append((self.centre[0] + x * cos - y * sin, self.centre[1] + x * sin + y * cos))
        return out

    def moved(self, x: float, y: float, *, scale: float = 1.0, angle: float = 0.0) -> Pen:
        """A pen on the same layer whose origin lies at (x, y) of this one's axes."""
        return Pen(
            self.layer,
            self.at([(x, y)])[0],
            self.unit * scale,
            self.angle + angle * self.flip,
            flip=self.flip < 0,
            stretch=self.stretch,
        )

    def shape(self, points: Sequence[Point], paint: Paint) -> None:
        """Fills a polygon."""
        self.layer.polygon(self.at(points), paint)

    def blob(self, points: Sequence[Point], paint: Paint) -> None:
        """Fills the smooth closed curve through `points`."""
        self.shape(smooth(points), paint)

    def oval(self, x: float, y: float, rx: float, ry: float, paint: Paint, start: float = 0, end: float = 360) -> None:
        """Fills an ellipse, or the segment of it between two angles in degrees."""
        self.shape(arc(x, y, rx, ry, start, end), paint)

    def box(self, x0: float, y0: float, x1: float, y1: float, paint: Paint, radius: float = 0.0) -> None:
        """Fills a rectangle with rounded corners."""
        if radius <= 0:
            self.shape([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], paint)
            return
        corners = ((x1, y0, -90), (x1, y1, 0), (x0, y1, 90), (x0, y0, 180))
        points: list[Point] = []
        for cx, cy, start in corners:
            inner = (cx - math.copysign(radius, cx - (x0 + x1) / 2), cy - math.copysign(radius, cy - (y0 + y1) / 2))
            points += arc(*inner, radius, radius, start, start + 90, steps=8)
        self.shape(points, paint)

    def line(self, points: Sequence[Point], paint: Paint, width: float) -> None:
        """A polyline `width` units wide, with round ends."""
        self.layer.line(self.at(points), paint, width * self.unit)

    def ring(self, x: float, y: float, r: float, paint: Paint, width: float) -> None:
        """The outline of a circle, `width` units wide."""
        self.line(arc(x, y, r, r), paint, width)


class Picture:
    """One picture while it is drawn: `width` x `height` pixels, twice the size it is saved at.

    Every choice comes from `rng`, so the same generator state draws the same picture.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        width, height = self.pick(SIZES_PX)
        self.width, self.height = width * SUPERSAMPLING, height * SUPERSAMPLING
        self.image = Image.new("RGB", (self.width, self.height))

    def pick(self, options: Sequence[T]) -> T:
        """One of `options`."""
        return options[int(self.rng.integers(len(options)))]

    def pick_some(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different ones of `options`."""
        return [options[int(i)] for i in self.rng.permutation(len(options))[:count]]

    def between(self, low: float, high: float) -> float:
        """A number drawn evenly from low..high."""
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        """True with `probability`."""
        return bool(self.rng.random() < probability)

    def colour(self, name: str, spread: float = 14) -> Colour:
        """The palette's colour of that name, each channel off by up to `spread`."""
        red, green, blue = (
            int(min(255, max(0, v + self.between(-spread, spread)))) for v in PALETTE.get(name, PALETTE["grey"])
        )
        return red, green, blue

    def layer(self) -> Layer:
        """An empty layer of the picture's size."""
        return Layer((self.width, self.height))

    def gradient(self, stops: Sequence[Colour], top: float = 0, bottom: float | None = None) -> None:
        """Fills the rows from `top` to `bottom` (pixels) with a vertical gradient through `stops`."""
        first, last = round(top), round(self.height if bottom is None else bottom)
        if last <= first:
            return
        where = np.linspace(0, len(stops) - 1, last - first)
        column = np.stack([np.interp(where, range(len(stops)), [s[c] for s in stops]) for c in range(3)], axis=-1)
        strip = Image.fromarray(column.astype(np.uint8)[:, None, :])
        self.image.paste(strip.resize((self.width, last - first), Image.Resampling.NEAREST), (0, first))

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour, strength: float = 1.0) -> None:
        """A soft oval of `colour`, densest in its middle: light, or with a dark colour a shadow."""
        size = (max(1, round(2 * rx)), max(1, round(2 * ry)))
        strengths = [int(strength * 255 * max(0.0, 1 - i / 180) ** 1.6) for i in range(256)]
        mask = Image.radial_gradient("L").resize(size, Image.Resampling.BILINEAR).point(strengths)
        self.image.paste(colour, (round(x - rx), round(y - ry)), mask)

    def soft(
        self, shapes: Sequence[Sequence[Point]], colour: Colour, blur_px: float = 8.0, strength: float = 1.0
    ) -> None:
        """Fills polygons (pixels of the picture) with blurred edges: clouds, fog, steam, shadows, far trees."""
        points = [point for shape in shapes for point in shape]
        left, top, right, bottom = box = self._box(
            min(x for x, _ in points),
            min(y for _, y in points),
            max(x for x, _ in points),
            max(y for _, y in points),
            3 * blur_px,
        )
        if right <= left or bottom <= top:
            return
        size = (right - left, bottom - top)
        mask = Image.new("L", (size[0] // SOFT_REDUCTION, size[1] // SOFT_REDUCTION))
        draw = ImageDraw.Draw(mask)
        for shape in shapes:
            draw.polygon(
                [((x - left) / SOFT_REDUCTION, (y - top) / SOFT_REDUCTION) for x, y in shape], fill=int(255 * strength)
            )
        mask = mask.filter(ImageFilter.GaussianBlur(blur_px / SOFT_REDUCTION))
        self.image.paste(colour, box, mask.resize(size, Image.Resampling.BILINEAR))

    def paint(self, points: Sequence[Point], paint: Paint) -> None:
        """Fills a polygon (pixels of the picture)."""
        ImageDraw.Draw(self.image, "RGBA").polygon(points, fill=paint)

    def lay(self, layer: Layer, *, relief: float = 0.6, shadow: float = 0.35, drop_px: float = 14.0) -> None:
        """Puts the layer on the picture, lit from the upper left.

        `relief` is how much its edges are shaded, as on a rounded body; `shadow` the darkness of the shadow it casts,
        `drop_px` to the lower right.
        """
        drawn = layer.mask.getbbox()
        if drawn is None:
            return
        radius = min(self.width, self.height) / 26
        box = self._box(*drawn, 2 * max(drop_px, radius))
        mask, body = layer.mask.crop(box), layer.image.crop(box)
        small = mask.reduce(SOFT_REDUCTION)
        if shadow > 0:
            step = round(drop_px / SOFT_REDUCTION)
            fallen = Image.new("L", small.size)
            fallen.paste(small, (round(step * 0.7), step))
            fallen = fallen.filter(ImageFilter.GaussianBlur(drop_px / SOFT_REDUCTION / 1.5))
            fallen = fallen.point([int(v * shadow) for v in range(256)])
            self.image.paste((10, 12, 24), box, fallen.resize(mask.size, Image.Resampling.BILINEAR))
        if relief != 0:
            blurred = small.filter(ImageFilter.GaussianBlur(radius / SOFT_REDUCTION * 1.6))
            reach = max(1, round(radius / SOFT_REDUCTION))
            depth = np.pad(np.asarray(blurred, dtype=np.float32), reach, mode="edge")
            towards_light = (depth[2 * reach :, 2 * reach :] - depth[: -2 * reach, : -2 * reach]) * (0.55 * relief)
            for tint, function in ((towards_light, ImageChops.screen), (-towards_light, _burn)):
                sheet = Image.fromarray(np.clip(tint, 0, 150).astype(np.uint8))
                body = function(body, _grey(sheet.resize(mask.size, Image.Resampling.BILINEAR)))
        self.image.paste(body, box, mask)

    def _box(self, left: float, top: float, right: float, bottom: float, margin: float) -> tuple[int, int, int, int]:
        """The box and a margin around it, inside the picture, on the grid of the reduced sheets."""
        step = SOFT_REDUCTION
        return (
            max(0, int((left - margin) // step * step)),
            max(0, int((top - margin) // step * step)),
            min(self.width, int(-(-(right + margin) // step) * step)),
            min(self.height, int(-(-(bottom + margin) // step) * step)),
        )

    def axes(self, angle: float = 0.0) -> tuple[Floats, Floats]:
        """Two (height, width) arrays: pixels from the middle along axes turned by `angle` degrees."""
        y, x = np.mgrid[: self.height, : self.width].astype(np.float32)
        x -= self.width / 2
        y -= self.height / 2
        cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        return x * np.float32(cos) + y * np.float32(sin), y * np.float32(cos) - x * np.float32(sin)

    def indexed(self, which: npt.NDArray[np.integer], colours: Sequence[Colour]) -> None:
        """Paints each pixel with `colours[which]`; `which` is (height, width)."""
        self.image = Image.fromarray(np.asarray(colours, dtype=np.uint8)[which])

    def ridge(self, base: float, height: float, rough: float = 0.5, points: int = 4) -> list[Point]:
        """A line of hills from left to right, around the row `base`, `height` pixels high.

        `rough` is how much of each octave the next one keeps: 0.3 rolling hills, 0.55 mountains.
        """
        x = np.linspace(0, 1, self.width // 4 + 1)
        y = np.zeros_like(x)
        weight = 1.0
        for octave in range(5):
            knots = points * 2**octave
            offsets = self.rng.uniform(-1, 1, knots + 1)
            place = x * knots
            left = np.minimum(place.astype(int), knots - 1)
            part = place - left
            # Rolling hills have round tops, rough ones keep their corners.
            part = part if rough > 0.45 else part * part * (3 - 2 * part)
            y += weight * (offsets[left] * (1 - part) + offsets[left + 1] * part)
            weight *= rough
        rows = base - height * y / 2
        return list(zip((x * self.width).tolist(), rows.tolist(), strict=True))

    def below(self, line: Sequence[Point]) -> list[Point]:
        """The polygon from `line` down to the lower edge."""
        return [*line, (self.width, self.height), (0, self.height)]

    def finish(self, grain: float = 3.2) -> Image.Image:
        """The picture at half the size, with uneven light and a little grain, as a photograph has them."""
        small = self.image.reduce(SUPERSAMPLING)
        width, height = small.size
        light = Image.fromarray(self.rng.uniform(0.93, 1.07, (4, 5)).astype(np.float32))
        y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
        gain = np.asarray(light.resize((width, height), Image.Resampling.BICUBIC)) * (1 - 0.07 * (x * x + y * y))
        noise = self.rng.standard_normal((height, width), dtype=np.float32) * np.float32(grain)
        pixels = np.asarray(small, dtype=np.float32) * gain.astype(np.float32)[..., None] + noise[..., None]
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


Drawing = Callable[[Picture], Caption]


def _grey(sheet: Image.Image) -> Image.Image:
    return Image.merge("RGB", (sheet, sheet, sheet))


def _burn(image: Image.Image, sheet: Image.Image) -> Image.Image:
    return ImageChops.multiply(image, ImageChops.invert(sheet))
