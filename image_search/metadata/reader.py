"""A metadata file of any kind -> its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from image_search.errors import InvalidInput
from image_search.metadata.csv_file import delimiter_of, read_csv
from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.parquet import read_parquet
from image_search.metadata.pickled import read_pickle
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


def _reader_of(path: Path) -> Callable[[Path], MetadataTable]:
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
        "pickled dictionaries (.pkl) are read"
    )
