"""Words by file name, and which of them belong to a file. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Set
from pathlib import PurePosixPath
from unicodedata import normalize

from image_search.metadata.words import NO_WORDS, Words


class MetadataTable:
    """Words by file name."""

    def __init__(self, by_path: dict[str, Words]) -> None:
        # One name has two spellings in Unicode, and file systems differ in which they use.
        by_path = {normalize("NFC", path): words for path, words in by_path.items()}
        self._by_path = by_path
        self._by_name: dict[str, str | None] = {}
        for path in by_path:
            name = PurePosixPath(path).name
            # None marks a name that occurs twice: it says nothing about a file elsewhere.
            self._by_name[name] = None if name in self._by_name else path

    @classmethod
    def of(cls, entries: Iterable[tuple[str, Words]]) -> MetadataTable:
        """The table of (file name, words) pairs; of two for one file the last wins."""
        return cls({str(PurePosixPath(name)): words for name, words in entries})

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, source_name: str) -> Words:
        """The words for a file, by its path relative to the ingested folder, else by its name alone."""
        entry = self.entry(source_name)
        return NO_WORDS if entry is None else self._by_path[entry]

    def entry(self, source_name: str) -> str | None:
        """The file name under which the table has the words for a file; None where it has none."""
        source_name = normalize("NFC", source_name)
        if source_name in self._by_path:
            return source_name
        return self._by_name.get(PurePosixPath(source_name).name)

    def others(self, entries: Set[str]) -> list[str]:
        """The file names of all other entries, in the file's order."""
        return [path for path in self._by_path if path not in entries]


EMPTY_TABLE = MetadataTable({})
