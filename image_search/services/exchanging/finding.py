"""Pictures of a folder by the names that records give them: how an import finds what its vectors were made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from image_search.errors import InvalidInput
from image_search.fingerprint import content_hash
from image_search.services.preparing import PreparedImage, Preparer
from image_search.services.scanning import Candidate, Source
from image_search.types import ImageRecord

NOT_THERE = "no file of this name is in the folder"
OTHER_CONTENT = "the files of this name in the folder have other bytes than the picture that the vector was made of"


class PictureFinder:
    """Looks pictures up in one folder. Safe to call from several threads once it is made.

    The names come out of a file of somebody else's, so none of them is ever opened: they are looked up among the names
    of what a walk through the folder found.
    """

    def __init__(self, source: Source, preparer: Preparer) -> None:
        """Walks the folder. Raises InvalidInput where there is none."""
        source.check()
        self._preparer = preparer
        self._by_base: dict[str, list[Candidate]] = {}
        self._hashes: dict[Path, str] = {}
        for candidate in source.candidates():
            self._by_base.setdefault(_base(candidate.source_name), []).append(candidate)

    def find(self, record: ImageRecord) -> tuple[PreparedImage, bytes, Path] | str:
        """The picture with its bytes and its path; else the reason why it is not there.

        Files with the last part of one of the record's names are looked at, those first that share most of its path;
        what counts is the content.
        """
        reason = NOT_THERE
        for candidate in self._candidates(record.sources):
            reason = OTHER_CONTENT
            # Remembered, so that many pictures of one name are read no more often than there are files.
            if self._hashes.get(candidate.path, record.image_id) != record.image_id:
                continue
            try:
                data = self._preparer.read(candidate)
                found = self._hashes[candidate.path] = content_hash(data)
                if found == record.image_id:
                    prepared = self._preparer.prepare(data, image_id=record.image_id, shortest_px=0)
                    return prepared, data, candidate.path
            except InvalidInput as error:
                self._hashes[candidate.path] = ""
                reason = str(error)
        return reason

    def _candidates(self, names: Sequence[str]) -> Iterator[Candidate]:
        told: set[Path] = set()
        for name in names:
            same_base = self._by_base.get(_base(name), [])
            for candidate in sorted(same_base, key=lambda c: -_shared_tail(c.source_name, name)):
                if candidate.path not in told:
                    told.add(candidate.path)
                    yield candidate


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _shared_tail(one: str, other: str) -> int:
    """How many parts from the end on two paths have in common."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
