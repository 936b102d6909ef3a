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
from image_search.metadata.table import MetadataTable
from image_search.types import JsonScalar

_DELIMITERS = (",", ";", "\t")
_MAX_CELL_CHARACTERS = 10_000_000
"""The csv module's own limit would refuse a text that is only to be cut."""
_WHOLE = re.compile(r"-?[1-9]\d{0,17}|0")
_FRACTION = re.compile(r"-?\d{1,15}\.\d{1,15}")


def read_csv(path: Path) -> MetadataTable:
    """The table of a CSV or TSV file. Raises InvalidInput that names the line."""
    return MetadataTable.of(named_words(row, where, split=True) for row, where in csv_rows(path))


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


def csv_rows(path: Path, columns: Collection[str] = NAME_KEYS) -> Iterator[tuple[dict[str, JsonScalar], str]]:
    """(cells by column, where) of each line that has any; one of `columns` must be there. Raises InvalidInput."""
    lines = utf8_lines(path)
    first = next((line for line in lines if line.strip()), "")
    if (delimiter := delimiter_of(first, columns)) is None:
        raise InvalidInput(
            f"metadata file {path.name!r}: its first line must name the columns, one of them {', '.join(columns)}"
        )
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL_CHARACTERS))
    rows = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    begins = 1
    try:
        header = [name.strip() for name in next(rows)]
        if doubled := {name for name in header if name and header.count(name) > 1}:
            raise InvalidInput(f"metadata file {path.name!r}: the column {min(doubled)!r} is there twice")
        begins = rows.line_num + 1
        for row in rows:
            where = f"{path.name}, line {begins}"
            if len(row) > len(header):
                raise InvalidInput(f"{where}: has {len(row)} cells under {len(header)} columns")
            cells = {name: cell for name, cell in zip(header, row, strict=False) if name and cell}
            if cells:
                yield _typed(cells), where
            begins = rows.line_num + 1
    except csv.Error as error:
        raise InvalidInput(f"{path.name}, line {begins}: not valid CSV ({error})") from error


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
