"""Words for pictures from a Parquet file: the one importer of pyarrow, which is an extra of the installation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from image_search.errors import InvalidInput
from image_search.metadata.entry import named_words
from image_search.metadata.table import MetadataTable

_BATCH_ROWS = 2048
_MISSING = (
    "metadata file {name!r} is a Parquet file, for which pyarrow is missing: "
    "pip install 'image-search[parquet]', or -r requirements-parquet.txt"
)


def read_parquet(path: Path) -> MetadataTable:
    """The table of a Parquet file. Raises InvalidInput that names the row, counted from 1."""
    return MetadataTable.of(named_words(row, where, split=True) for row, where in parquet_rows(path))


def parquet_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """(values by column, where) of each row. Raises InvalidInput."""
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise InvalidInput(_MISSING.format(name=path.name)) from error
    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH_ROWS, columns=_columns(file.schema_arrow, pa.types)):
                for row in batch.to_pylist():
                    number += 1
                    yield row, f"{path.name}, row {number}"
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise InvalidInput(f"metadata file {path.name!r} cannot be read as Parquet after row {number}") from error


def _columns(schema: Any, types: Any) -> list[str]:
    """Columns that may hold words: not the pictures' bytes, which some data sets keep beside them."""
    return [column.name for column in schema if not _is_heavy(column.type, types)]


def _is_heavy(kind: Any, types: Any) -> bool:
    if types.is_dictionary(kind) or types.is_list(kind) or types.is_large_list(kind):
        return _is_heavy(kind.value_type, types)
    if types.is_struct(kind):
        return any(_is_heavy(part.type, types) for part in kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))
