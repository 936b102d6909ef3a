"""Which files a bulk run looks at: a folder, walked in a fixed order, or a list of paths; in chunks of bounded size."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from image_search.errors import InvalidInput

METADATA_NAMES = frozenset({"metadata.jsonl"})
"""Files at the top of a folder that describe its pictures."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be a picture."""

    path: Path
    source_name: str
    """Its path relative to the folder, with /; what people call it."""
    size_bytes: int
    mtime_ns: int
    problem: str = ""
    """Why it cannot even be looked at; "" = it can."""


@dataclass(frozen=True)
class Source:
    """A folder, or a text file that lists one path a line (relative to its own folder)."""

    folder: Path
    listed: Path | None = None

    def check(self) -> None:
        """Raises InvalidInput where there is nothing to read."""
        if self.listed is not None:
            if not self.listed.is_file():
                raise InvalidInput(f"list {str(self.listed)!r} does not exist or is no file")
        elif not self.folder.is_dir():
            raise InvalidInput(f"folder {str(self.folder)!r} does not exist or is no folder")

    def count(self) -> int:
        """Number of candidates; as cheap as walking them."""
        return sum(1 for _ in self._paths())

    def candidates(self) -> Iterator[Candidate]:
        """Every candidate with its size; one that cannot be read carries its problem."""
        for path, name in self._paths():
            try:
                status = path.stat()
            except OSError as error:
                yield Candidate(path, name, 0, 0, problem=f"cannot be read: {error.strerror}")
                continue
            yield Candidate(path, name, status.st_size, status.st_mtime_ns)

    def _paths(self) -> Iterator[tuple[Path, str]]:
        if self.listed is None:
            yield from _walk(self.folder)
            return
        base = self.listed.parent
        with self.listed.open(encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                name = line.rstrip("\r\n")
                if name.strip():
                    yield base / name, _readable(name)


def chunked(candidates: Iterator[Candidate], max_files: int, max_bytes: int) -> Iterator[list[Candidate]]:
    """Lists of candidates whose files fit into memory together."""
    chunk: list[Candidate] = []
    size = 0
    for candidate in candidates:
        if chunk and (len(chunk) >= max_files or size + candidate.size_bytes > max_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(candidate)
        size += candidate.size_bytes
    if chunk:
        yield chunk


def _walk(folder: Path) -> Iterator[tuple[Path, str]]:
    for here, folders, files in os.walk(folder):
        # Hidden folders are thumbnails and version control, never someone's pictures.
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            path = Path(here) / name
            if not (name.startswith(".") or (name in METADATA_NAMES and Path(here) == folder)):
                yield path, _readable(path.relative_to(folder).as_posix())


def _readable(name: str) -> str:
    # A file name is bytes; one that is no UTF-8 is shown with replacement marks and still opened by its bytes.
    return os.fsencode(name).decode("utf-8", errors="replace")
