"""Lines of a UTF-8 file, with its faults named by line. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from image_search.errors import InvalidInput

MAX_LINE_BYTES = 64_000_000
"""A longer line is no line of text: reading it whole would fill the memory."""


def utf8_lines(path: Path) -> Iterator[str]:
    """Each line with its end, without a byte order mark at the beginning. Raises InvalidInput that names the line."""
    try:
        with path.open("rb") as file:
            number = 0
            # Some editors begin a UTF-8 file with a byte order mark.
            encoding = "utf-8-sig"
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise InvalidInput(
                        f"metadata file {path.name!r}, line {number}: has more than {MAX_LINE_BYTES:,} bytes"
                    )
                try:
                    yield line.decode(encoding)
                except UnicodeDecodeError as error:
                    raise InvalidInput(
                        f"metadata file {path.name!r} cannot be read as UTF-8 text: line {number} has other bytes; "
                        "save it as UTF-8"
                    ) from error
                encoding = "utf-8"
    except OSError as error:
        raise InvalidInput(f"metadata file {path.name!r} cannot be read as UTF-8 text: {error.strerror}") from error
