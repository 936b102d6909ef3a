"""Words for pictures from a table as spreadsheets write it: commas, semicolons or tabs, a header line. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path

from image_search.errors import InvalidInput
from image_search.metadata.entry import KNOWN_KEYS, NAME_KEYS, key_of, named_words
from image_search.metadata.lines import utf8_lines
from image_search.metadata.listed import BrokenRow
from image_search.metadata.table import MetadataTable
from image_search.types import JsonScalar

_DELIMITERS = (",", ";", "\t")
_MAX_CELL_CHARACTERS = 10_000_000
"""The csv module's own limit would refuse a text that is only to be cut."""
_Row = tuple[dict[str, JsonScalar], str]
_WHOLE = re.compile(r"-?[1-9]\d{0,17}|0")
_FRACTION = re.compile(r"-?\d{1,15}\.\d{1,15}")


def read_csv(path: Path) -> MetadataTable:
    """The table of a CSV or TSV file. Raises InvalidInput that names the line."""
    return MetadataTable.of(named_words(row, where, split=True) for row, where in map(_unbroken, csv_rows(path)))


def delimiter_of(header: str, columns: Collection[str] = NAME_KEYS) -> str | None:
    """The delimiter with which the header line has one of these columns; None where none does."""
    found: dict[str, int] = {}
    for delimiter in _DELIMITERS:
        try:
            names = [key_of(name) for name in next(csv.reader([header], delimiter=delimiter))]
        except (csv.Error, StopIteration):
            continue
        if any(name in columns for name in names):
            found[delimiter] = len(names)
    return max(found, key=lambda delimiter: found[delimiter]) if found else None


def csv_rows(path: Path, columns: Collection[str] = NAME_KEYS) -> Iterator[_Row | BrokenRow]:
    """(cells by column, where) of each line that has any, and those that are no row of the table; one of `columns`
    must be there. Raises InvalidInput.
    """
    lines = utf8_lines(path)
    first = next((line for line in lines if line.strip()), "")
    if (delimiter := delimiter_of(first, columns)) is None:
        raise InvalidInput(
            f"metadata file {path.name!r}: its first line must name the columns, one of them {', '.join(columns)}"
        )
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL_CHARACTERS))
    rows = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(rows)]
    except csv.Error as error:
        raise InvalidInput(f"{path.name}, line 1: not valid CSV ({error})") from error
    if doubled := {name for name in header if name and header.count(name) > 1}:
        raise InvalidInput(f"metadata file {path.name!r}: the column {min(doubled)!r} is there twice")
    while True:
        where = f"{path.name}, line {rows.line_num + 1}"
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            # The reader goes on with the next line.
            yield BrokenRow(where, f"not valid CSV ({error})")
            continue
        if len(row) > len(header):
            yield BrokenRow(where, f"has {len(row)} cells under {len(header)} columns")
        elif cells := {name: cell for name, cell in zip(header, row, strict=False) if name and cell}:
            yield _typed(cells), where


def _unbroken(row: _Row | BrokenRow) -> _Row:
    """Of words each row counts: one that is left out would leave its picture without."""
    if isinstance(row, BrokenRow):
        raise InvalidInput(f"{row.where}: {row.reason}")
    return row


def _typed(cells: dict[str, str]) -> dict[str, JsonScalar]:
    """Cells of the columns that become fields as the numbers they are, so that they can be compared as numbers."""
    return {name: cell if key_of(name) in KNOWN_KEYS else _value(cell) for name, cell in cells.items()}


def _value(cell: str) -> JsonScalar:
    # Only what is written back the same: 007 and 1.50 are names of things.
    if _WHOLE.fullmatch(cell):
        return int(cell)
    if _FRACTION.fullmatch(cell) and str(float(cell)) == cell:
        return float(cell)
    return {"true": True, "false": False}.get(cell.lower(), cell)
