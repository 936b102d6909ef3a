"""Pictures in rows with their scores, as HTML that needs nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLUMN_PX = 160
_CELL = "margin:0;display:flex;flex-direction:column;gap:2px;font:12px sans-serif"


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture as it is shown."""

    image_id: str
    title: str
    thumbnail: bytes
    """JPEG; b"" where the picture's file is not in the library."""
    score: float | None = None
    """What it was ranked by; None where nothing was asked."""
    note: str = ""
    """How it was found."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Pictures in rows, left to right; a notebook shows it as it is."""

    pictures: Sequence[Shown]
    heading: str = ""

    def _repr_html_(self) -> str:
        return self.html

    @property
    def html(self) -> str:
        """One element with everything in it. Titles are other people's and come as text."""
        heading = f"<p><b>{escape(self.heading)}</b></p>" if self.heading else ""
        if not self.pictures:
            return f"{heading}<p>No pictures.</p>"
        columns = f"repeat(auto-fill,minmax({COLUMN_PX}px,1fr))"
        cells = "".join(_cell(picture) for picture in self.pictures)
        return f'{heading}<div style="display:grid;grid-template-columns:{columns};gap:12px">{cells}</div>'


def grid(pictures: Iterable[Shown], heading: str = "") -> Grid:
    """The pictures in rows, in their order."""
    return Grid(tuple(pictures), heading)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under the names of their columns; a notebook shows it as it is."""

    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{_text(value)}</td>' for value in row) + "</tr>"
            for row in self.rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def table(rows: Iterable[Mapping[str, object]]) -> Table:
    """The rows, whose keys are the columns' names."""
    listed = list(rows)
    columns = list(listed[0]) if listed else []
    return Table(columns, [[row[name] for name in columns] for row in listed])


def _text(value: object) -> str:
    return escape(f"{value:.3f}" if isinstance(value, float) else str(value))


def _cell(picture: Shown) -> str:
    score = "" if picture.score is None else f"<b>{picture.score:.3f}</b> "
    title = escape(picture.title, quote=True)
    style = "width:100%;height:120px;object-fit:contain;background:#8882"
    image = f'<div style="{style}">no file</div>'
    if picture.thumbnail:
        data = base64.b64encode(picture.thumbnail).decode()
        image = f'<img alt="{title}" title="{title}" style="{style}" src="data:image/jpeg;base64,{data}">'
    words = f"<figcaption>{score}{escape(picture.note)}<br>{title}</figcaption>"
    return f'<figure style="{_CELL}">{image}{words}</figure>'
