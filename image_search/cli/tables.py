"""How records, failures and times look in a terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.table import Table

from image_search.cli.context import console
from image_search.cli.ids import short_id
from image_search.names import rfc3339
from image_search.types import Failure, ImageRecord, Refusal

SHOWN_FAILURES = 20
SHOWN_CHARACTERS = 80
"""Of one text in a table; JSON has all of it."""


def plain(text: str) -> str:
    """A text of somebody else's, on one line and without what would steer the terminal."""
    kept = (
        " " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else "\ufffd" if "\ud800" <= c <= "\udfff" else c
        for c in text
    )
    return "".join(kept)


def brief(text: str) -> str:
    """The beginning of a plain text, as long as a table has room for."""
    line = plain(text)
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def count(number: int, one: str, several: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number} {one if number == 1 else several}"


def name_of(record: ImageRecord) -> str:
    """What a picture is called, "" where nobody called it anything."""
    return brief(record.source_name)


def size_of(record: ImageRecord) -> str:
    """Its size in pixels."""
    return f"{record.size_px[0]}x{record.size_px[1]}"


def print_table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Columns without lines around them, those of `right` aligned to the right; ids are never broken."""
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in titles:
        table.add_column(
            title, justify="right" if title in right else "left", overflow="fold", no_wrap=title in ("id", *right)
        )
    for row in rows:
        table.add_row(*row)
    console().print(table)


def print_records(records: Iterable[ImageRecord]) -> None:
    """Pictures one a line."""
    rows = (
        (
            short_id(r.image_id),
            name_of(r),
            size_of(r),
            brief(r.title),
            brief(", ".join(r.tags)),
            rfc3339(r.created_at_s)[:10],
        )
        for r in records
    )
    print_table(("id", "picture", "size", "title", "tags", "created"), rows)


def print_values(data: dict[str, Any]) -> None:
    """One value a line, each under its name."""
    for key, value in data.items():
        if isinstance(value, dict):
            for name, inner in value.items():
                click.echo(f"{plain(f'{key}.{name}'):17} {plain(str(inner))}")
        elif isinstance(value, list):
            click.echo(f"{key:17} {', '.join(plain(str(item)) for item in value)}".rstrip())
        else:
            click.echo(f"{key:17} {'' if value is None else plain(str(value))}".rstrip())


def print_failures(failed: Sequence[Failure | Refusal], *, err: bool = False) -> None:
    """The first of the things that could not be done, and how many more there are."""
    for failure in failed[:SHOWN_FAILURES]:
        click.echo(f"  {plain(failure.path)}: {plain(failure.reason)}", err=err)
    if len(failed) > SHOWN_FAILURES:
        click.echo(f"  ... and {len(failed) - SHOWN_FAILURES} more (--json lists them all)", err=err)
