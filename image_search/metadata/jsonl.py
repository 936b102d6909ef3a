"""Words for pictures from a file with one JSON object a line. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from image_search.errors import InvalidInput
from image_search.metadata.entry import named_words, no_number
from image_search.metadata.lines import utf8_lines
from image_search.metadata.table import MetadataTable


def read_jsonl(path: Path) -> MetadataTable:
    """The table of a JSONL file. Raises InvalidInput that names the line."""
    return MetadataTable.of(named_words(parse_json(line, where), where) for line, where in jsonl_lines(path))


def jsonl_lines(path: Path) -> Iterator[tuple[str, str]]:
    """(text, where) of each line that is not empty. Raises InvalidInput."""
    for number, line in enumerate(utf8_lines(path), 1):
        if line.strip():
            yield line, f"{path.name}, line {number}"


def parse_json(text: str, where: str) -> object:
    """The value. Raises InvalidInput, also for NaN and for texts that are no Unicode: nothing could store those."""
    try:
        data: object = json.loads(text, parse_constant=no_number)
        # An escaped half of a surrogate pair is valid JSON and no text.
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: not valid JSON") from error
    return data
