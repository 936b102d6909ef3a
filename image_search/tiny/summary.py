"""A query beside its neighbours, distances below, as one picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from image_search.tiny.knn import Neighbour
from image_search.tiny.pixels import EDGE_PX, Bytes, to_image

COLUMNS = 5
SCALE = 3
_CELL_PX = EDGE_PX * SCALE
_GAP_PX = 12
_LINE_PX = 14
_TEXT_PX = 12
_MOST_CHARACTERS = 100
"""Of a caption: more of them would have room nowhere, and each is measured."""
_INK = (20, 20, 20)


@dataclass(frozen=True)
class Entry:
    """One query of a report."""

    name: str
    query: Bytes
    """(3072,)"""
    neighbours: Sequence[Neighbour]
    pictures: Bytes
    """(n, 3072), of the neighbours."""
    decimals: int
    names: Mapping[int, str]
    """What the archive calls its pictures, by position; empty where it has no names."""

    def caption(self, index: int) -> tuple[str, str]:
        """(score, name) of a neighbour, as they stand below it; its position where it has no name."""
        one = self.neighbours[index]
        name = _on_one_line(self.names.get(one.position, ""))
        return f"{one.score:.{self.decimals}f}", name or f"# {one.position}"


def draw_summary(entry: Entry) -> Image.Image:
    """The query, and rows of five neighbours below it."""
    cell_wide, cell_high = _CELL_PX + _GAP_PX, _CELL_PX + 2 * _LINE_PX + _GAP_PX
    rows = math.ceil(len(entry.neighbours) / COLUMNS)
    size = (_GAP_PX + COLUMNS * cell_wide, 2 * _GAP_PX + _CELL_PX + _LINE_PX + rows * cell_high)
    image = Image.new("RGB", size, (255, 255, 255))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(_TEXT_PX)
    _paste(image, entry.query, _GAP_PX, _GAP_PX)
    draw.text((_GAP_PX + cell_wide, _GAP_PX), plain_text(entry.name), _INK, font)
    top = 2 * _GAP_PX + _CELL_PX + _LINE_PX
    for index in range(len(entry.neighbours)):
        x, y = _GAP_PX + index % COLUMNS * cell_wide, top + index // COLUMNS * cell_high
        _paste(image, entry.pictures[index], x, y)
        for line, text in enumerate(entry.caption(index)):
            draw.text((x, y + _CELL_PX + line * _LINE_PX), shortened(text, _CELL_PX, font.getlength), _INK, font)
    return image


def plain_text(text: str) -> str:
    """The text on one line, and not longer than there is room for."""
    line = _on_one_line(text)
    return line if len(line) <= 60 else f"…{line[-59:]}"


def shortened(text: str, room: float, width_of: Callable[[str], float]) -> str:
    """The text, or as much of its beginning (a label) and its end (a number) as there is room for."""
    kept, shown = min(len(text), _MOST_CHARACTERS), text
    while kept > 0 and (len(shown) > _MOST_CHARACTERS or width_of(shown) > room):
        kept -= 1
        shown = f"{text[: math.ceil(kept / 2)]}…{text[len(text) - kept // 2 :]}"
    return shown


def _on_one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _paste(image: Image.Image, row: Bytes, x: int, y: int) -> None:
    image.paste(to_image(row).resize((_CELL_PX, _CELL_PX), Image.Resampling.NEAREST), (x, y))
