"""The summary of a report, a page for each query: the one importer of reportlab."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, BinaryIO

from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from image_search.tiny.pixels import Bytes, to_image
from image_search.tiny.summary import Entry, plain_text, shortened

_MARGIN_PT = 40.0
_QUERY_PT = 110.0
_LEAST_COLUMNS = 5
_SHARE = 0.86
"""Of a cell's width that the picture takes."""
_WIDE_FONT = "STSong-Light"
"""Has Chinese, Cyrillic and Greek; it is the viewer's own and is not put into the file."""


def write_summary(file: BinaryIO, title: str, entries: Iterable[Entry]) -> int:
    """Write a page for each entry; returns how many. The same entries give the same bytes."""
    pdfmetrics.registerFont(UnicodeCIDFont(_WIDE_FONT))
    canvas = Canvas(file, pagesize=A4, invariant=1)
    canvas.setTitle(title)
    pages = 0
    for entry in entries:
        _draw_page(canvas, entry)
        canvas.showPage()
        pages += 1
    canvas.save()
    return pages


def _draw_page(canvas: Any, entry: Entry) -> None:
    width, height = A4
    top = height - _MARGIN_PT
    _draw_picture(canvas, entry.query, _MARGIN_PT, top - _QUERY_PT, _QUERY_PT)
    _draw_text(canvas, entry.name, _MARGIN_PT + _QUERY_PT + 16, top - 14, 12)
    top -= _QUERY_PT + 20
    columns, cell_wide, cell_high = _grid(len(entry.neighbours), width - 2 * _MARGIN_PT, top - _MARGIN_PT)
    edge, size = cell_wide * _SHARE, _text_pt(cell_wide)
    for index in range(len(entry.neighbours)):
        x = _MARGIN_PT + index % columns * cell_wide
        y = top - index // columns * cell_high
        _draw_picture(canvas, entry.pictures[index], x, y - edge, edge)
        for line, text in enumerate(entry.caption(index), 1):
            _draw_text(canvas, text, x, y - edge - 1.1 * line * size, size, room=edge)


def _grid(count: int, wide: float, high: float) -> tuple[int, float, float]:
    """(columns, width and height of a cell), so that all of them are on the page."""
    columns = _LEAST_COLUMNS
    while True:
        cell_wide = wide / columns
        cell_high = cell_wide + 2.4 * _text_pt(cell_wide)
        if math.ceil(count / columns) * cell_high <= high:
            return columns, cell_wide, cell_high
        columns += 1


def _text_pt(cell_wide: float) -> float:
    return min(9.0, cell_wide * 0.13)


def _draw_picture(canvas: Any, row: Bytes, x: float, y: float, edge: float) -> None:
    canvas.drawImage(ImageReader(to_image(row)), x, y, edge, edge)


def _draw_text(canvas: Any, text: str, x: float, y: float, size: float, *, room: float | None = None) -> None:
    """Write a text, shortened where it has more than so much room."""
    shown = (
        plain_text(text)
        if room is None
        else shortened(text, room, lambda t: pdfmetrics.stringWidth(t, _font_of(t), size))
    )
    canvas.setFont(_font_of(shown), size)
    canvas.drawString(x, y, shown)


def _font_of(text: str) -> str:
    return "Helvetica" if _is_western(text) else _WIDE_FONT


def _is_western(text: str) -> bool:
    # Helvetica has the mark of what was left out, too.
    return text.isascii() or all(ord(character) < 256 or character == "…" for character in text)
