"""Which files a bulk run looks at: a folder, walked in a fixed order, or a list of paths; in chunks of bounded size."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from image_search.errors import InvalidInput
from image_search.metadata.sidecar import SUFFIXES as SIDECAR_SUFFIXES

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
"""Files at the top of a folder that describe its pictures; the first that is there is taken."""
_NO_PICTURES = (*METADATA_NAMES, "failures.jsonl")
"""Those, and what `fetch` could not get: at the top of a folder they are nobody's picture."""
PICTURE_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
)
"""Names that `photo.json` and `photo.txt` may describe; whether a file is a picture is told by its bytes."""


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
    sidecars: tuple[Path, ...] = ()
    """Files beside it that describe it, the one that is believed first in front."""


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
        for path, name, sidecars in self._paths():
            try:
                status = path.stat()
            except OSError as error:
                yield Candidate(path, name, 0, 0, problem=f"cannot be read: {error.strerror}")
                continue
            if self.listed is not None:
                sidecars = _sidecars_of(path)
            yield Candidate(path, name, status.st_size, status.st_mtime_ns, sidecars=sidecars)

    def _paths(self) -> Iterator[tuple[Path, str, tuple[Path, ...]]]:
        if self.listed is None:
            yield from _walk(self.folder)
            return
        base = self.listed.parent
        with self.listed.open(encoding="utf-8", errors="surrogateescape") as lines:
            for line in lines:
                name = line.rstrip("\r\n")
                if name.strip():
                    yield base / name, _readable(name), ()


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


def _walk(folder: Path) -> Iterator[tuple[Path, str, tuple[Path, ...]]]:
    for here, folders, files in os.walk(folder):
        # Hidden folders are thumbnails and version control, never someone's pictures.
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        sidecars = _sidecars_among(files)
        describing = {name for names in sidecars.values() for name in names}
        for name in sorted(files):
            path = Path(here) / name
            hidden = name.startswith(".") or name in describing or (name in _NO_PICTURES and Path(here) == folder)
            if not hidden:
                beside = tuple(path.with_name(sidecar) for sidecar in sidecars.get(name, ()))
                yield path, _readable(path.relative_to(folder).as_posix()), beside


def _sidecars_among(files: Sequence[str]) -> dict[str, list[str]]:
    """Of the names in one folder those that describe another of them, by that one's name."""
    found: dict[str, list[str]] = {}
    describing = [name for name in files if PurePath(name).suffix.lower() in SIDECAR_SUFFIXES]
    if not describing:
        return found
    others = set(files) - set(describing)
    by_stem: dict[str, list[str]] = {}
    for name in others:
        if PurePath(name).suffix.lower() in PICTURE_SUFFIXES:
            by_stem.setdefault(PurePath(name).stem, []).append(name)
    for sidecar in describing:
        stem = PurePath(sidecar).stem
        for name in [stem] if stem in others else by_stem.get(stem, ()):
            found.setdefault(name, []).append(sidecar)
    for name, names in found.items():
        # JSON before a caption, and what names the whole file before what names its stem.
        names.sort(key=lambda sidecar: (PurePath(sidecar).suffix.lower(), PurePath(sidecar).stem != name, sidecar))
    return found


def _sidecars_of(path: Path) -> tuple[Path, ...]:
    """The same for one file of a list, whose folder may hold a million others."""
    beside = (place for suffix in SIDECAR_SUFFIXES for place in (f"{path.name}{suffix}", f"{path.stem}{suffix}"))
    return tuple(found for name in beside if (found := path.with_name(name)) != path and found.is_file())


def _readable(name: str) -> str:
    # A file name is bytes; one that is no UTF-8 is shown with replacement marks and still opened by its bytes.
    return os.fsencode(name).decode("utf-8", errors="replace")
