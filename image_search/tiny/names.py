"""The side file `ARCHIVE.names`: what each picture is called, one name a line, in the order of the archive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from image_search.errors import DatasetFormatError


def names_path(archive: Path) -> Path:
    """Where the names of an archive lie."""
    return archive.with_name(f"{archive.name}.names")


def read_names(archive: Path, count: int) -> Iterator[str]:
    """The `count` names of an archive's pictures, none of them kept in memory; nothing where it has no side file.

    Raises DatasetFormatError where there are fewer or more of them.
    """
    path = names_path(archive)
    if not path.is_file():
        return
    seen = 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                seen += 1
                if seen > count:
                    break
                # A file's name is bytes; one that is no UTF-8 is shown with replacement marks.
                yield line.rstrip(b"\n").decode("utf-8", errors="replace")
    except OSError as error:
        raise DatasetFormatError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    if seen != count:
        raise DatasetFormatError(
            f"{str(path)!r} has {'more' if seen > count else f'{seen:,}'} names for {count:,} pictures: "
            "it belongs to another archive"
        )


def names_at(archive: Path, count: int, positions: Sequence[int]) -> dict[int, str]:
    """The names of some positions; empty where the archive has no side file. Raises DatasetFormatError."""
    wanted = set(positions)
    return {position: name for position, name in enumerate(read_names(archive, count)) if position in wanted}
