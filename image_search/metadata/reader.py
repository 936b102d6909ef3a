"""A metadata file of any kind -> its table; a list of pictures on the web -> its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from image_search.errors import InvalidInput
from image_search.metadata.csv_file import csv_rows, delimiter_of, read_csv
from image_search.metadata.jsonl import jsonl_lines, parse_json, read_jsonl
from image_search.metadata.lines import utf8_lines
from image_search.metadata.listed import COLUMNS, BrokenRow, ListedPicture, listed
from image_search.metadata.mvso import read_mvso
from image_search.metadata.parquet import parquet_rows, read_parquet
from image_search.metadata.pickled import pickled_rows, read_pickle
from image_search.metadata.table import MetadataTable

_READERS: Mapping[str, Callable[[Path], MetadataTable]] = {
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), read_jsonl),
    **dict.fromkeys((".csv", ".tsv"), read_csv),
    ".parquet": read_parquet,
    **dict.fromkeys((".pkl", ".pickle", ".p"), read_pickle),
}
_SNIFF_BYTES = 65_536


def read_metadata(path: Path) -> MetadataTable:
    """The table of a JSONL, CSV, Parquet or pickle file: its kind is told by its suffix, else by how it begins.

    Raises InvalidInput that names the file and the line or row.
    """
    if not path.is_file():
        raise InvalidInput(f"metadata file {str(path)!r} does not exist or is no file")
    return (_READERS.get(path.suffix.lower()) or _reader_of(path))(path)


def read_list(path: Path) -> Iterator[ListedPicture | BrokenRow]:
    """The pictures that a list tells of, read as they are asked for: a JSONL, CSV, Parquet or pickle file with their
    addresses, a text file with one address a line, or XML files of the MVSO collection (one, or a folder of them).

    Raises InvalidInput that names the file and, where it is damaged in the middle, the line or row.
    """
    if path.is_dir() or path.suffix.lower() == ".xml":
        return read_mvso(path)
    if not path.is_file():
        raise InvalidInput(f"{str(path)!r} is no file and no folder, and no public set has that name")
    kind = _READERS.get(path.suffix.lower()) or (
        _listed_lines
        if path.suffix.lower() == ".txt"
        else _reader_of(path, "; and, as lists, XML and text (.xml, .txt)")
    )
    return _LISTS.get(kind, _listed_lines)(path)


def _listed_jsonl(path: Path) -> Iterator[ListedPicture | BrokenRow]:
    for line, where in jsonl_lines(path):
        try:
            data = parse_json(line, where)
        except InvalidInput as error:
            yield BrokenRow(where, str(error).removeprefix(f"{where}: "))
            continue
        yield listed(data, where)


def _listed_csv(path: Path) -> Iterator[ListedPicture | BrokenRow]:
    for row in csv_rows(path, COLUMNS):
        yield row if isinstance(row, BrokenRow) else listed(*row, split=True)


def _listed_lines(path: Path) -> Iterator[ListedPicture | BrokenRow]:
    for number, line in enumerate(utf8_lines(path), 1):
        if (text := line.strip()) and not text.startswith("#"):
            yield listed({"url": text}, f"{path.name}, line {number}")


_LISTS: Mapping[Callable[[Path], object], Callable[[Path], Iterator[ListedPicture | BrokenRow]]] = {
    read_jsonl: _listed_jsonl,
    read_csv: _listed_csv,
    read_parquet: lambda path: (listed(row, where, split=True) for row, where in parquet_rows(path)),
    read_pickle: lambda path: (listed(row, where) for row, where in pickled_rows(path)),
}
"""How the kinds of file that hold words are read as lists."""


def _reader_of(path: Path, more: str = "") -> Callable[[Path], MetadataTable]:
    try:
        with path.open("rb") as file:
            head = file.read(_SNIFF_BYTES)
    except OSError as error:
        raise InvalidInput(f"metadata file {path.name!r} cannot be read: {error.strerror}") from error
    if head.startswith(b"PAR1"):
        return read_parquet
    # Pickles before protocol 2 begin like a text; those are told by their suffix only.
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return read_pickle
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if text.startswith("{"):
        return read_jsonl
    if delimiter_of(text.partition("\n")[0]) is not None:
        return read_csv
    raise InvalidInput(
        f"metadata file {path.name!r} is of no known kind; JSONL (.jsonl), CSV (.csv, .tsv), Parquet (.parquet) and "
        f"pickled dictionaries (.pkl) are read{more}"
    )
