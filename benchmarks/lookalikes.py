"""Pairs of different files that were looked at by eye, and a sheet to look at further ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

LIST = Path(__file__).with_suffix(".txt")
_TILE_PX = 200
_COLUMNS = 4


def same_pictures() -> list[tuple[str, str]]:
    """Pairs of names ("folder/file") that are one picture, saved, cut or coloured twice: to take them is no error."""
    pairs = []
    for line in LIST.read_text(encoding="utf-8").splitlines():
        match line.partition("#")[0].split():
            case ["same", one, other]:
                pairs.append((one, other))
            case []:
                pass
            case _:
                raise ValueError(f"{LIST.name}: {line!r} is not `same NAME NAME`")
    return pairs


def sheet(pairs: Sequence[tuple[Path, Path, str]], target: Path) -> None:
    """Write pairs, each with a caption, side by side into one PNG."""
    rows = -(-len(pairs) // _COLUMNS)
    page = Image.new("RGB", (_COLUMNS * (2 * _TILE_PX + 12), max(1, rows) * (_TILE_PX + 18)), "white")
    draw = ImageDraw.Draw(page)
    for place, (one, other, caption) in enumerate(pairs):
        left, top = place % _COLUMNS * (2 * _TILE_PX + 12), place // _COLUMNS * (_TILE_PX + 18)
        draw.text((left, top), caption, fill="red")
        for side, path in enumerate((one, other)):
            tile = Image.open(path).convert("RGB")
            tile.thumbnail((_TILE_PX - 2, _TILE_PX - 2))
            page.paste(tile, (left + side * _TILE_PX, top + 14))
    page.save(target)
