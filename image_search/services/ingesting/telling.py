"""Which words a bulk run has for a file, and what they make of the record of a picture that is there already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from image_search.metadata.sidecar import read_sidecars
from image_search.metadata.table import EMPTY_TABLE, MetadataTable
from image_search.metadata.words import NO_WORDS, Words, unite, united_fields
from image_search.records import merge_records
from image_search.services.scanning import Candidate
from image_search.types import Failure, ImageRecord


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of one file by others than the file itself."""

    words: Words = NO_WORDS
    broken: tuple[Failure, ...] = ()
    """Sidecars that could not be read."""

    @property
    def digest(self) -> int:
        """A signed number of 64 bits that changes with the words; 0 = none."""
        if self.words == NO_WORDS:
            return 0
        w = self.words
        said = json.dumps([w.title, w.tags, w.text, w.source_url, w.fields, w.created_at_s], sort_keys=True)
        return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=8).digest(), signed=True) or 1


@dataclass(frozen=True, slots=True)
class Teller:
    """Finds what a metadata file and sidecars say of pictures. Safe to call from several threads."""

    metadata: MetadataTable = EMPTY_TABLE
    embedded: bool = True
    """Whether a picture's own words (EXIF, IPTC, XMP) are taken."""
    _met: set[str] = field(default_factory=set)
    """Entries of the metadata file that were asked for."""

    @property
    def unmet(self) -> list[str]:
        """File names of the metadata file that no file answered to so far."""
        return self.metadata.others(self._met)

    def tell(self, candidate: Candidate) -> Told:
        """The words for a file: the metadata file is believed before a sidecar."""
        if (entry := self.metadata.entry(candidate.source_name)) is not None:
            self._met.add(entry)
        words = self.metadata.find(candidate.source_name)
        if not candidate.sidecars:
            return Told(words) if words != NO_WORDS else _NOTHING
        beside, broken = read_sidecars(candidate.sidecars)
        place = PurePosixPath(candidate.source_name)
        failures = tuple(Failure(str(place.with_name(path.name)), reason) for path, reason in broken)
        return Told(unite(words, beside), failures)


_NOTHING = Told()


def named_anew(old: ImageRecord, name: str, words: Words, *, told_before: int | None, told_now: int) -> ImageRecord:
    """The record of a picture that is seen under `name`, with `words` for it.

    `told_before`, `told_now`: digests of what was told of this file at the last ingest (None = not known) and now. The
    same again only fills what `old` lacks, as its owner may have changed it since. Other words are the owner's newer
    wish and replace `old`'s. Tags unite, and what is not said any more stays.
    """
    newer = told_before is not None and told_before != told_now
    seen = ImageRecord(
        old.image_id,
        old.object_key,
        old.size_px,
        sources=(name,),
        title=words.title,
        tags=words.tags,
        text=words.text,
        source_url=words.source_url,
    )
    merged = merge_records(old, seen)
    # A record that grows from many files must still fit into a row.
    first, second = (old.fields, words.fields) if told_before == told_now else (words.fields, old.fields)
    if (fields := united_fields(first, second)) != old.fields:
        merged = replace(merged, fields=fields)
    if not newer:
        return merged
    return replace(
        merged,
        title=words.title or merged.title,
        text=words.text or merged.text,
        source_url=words.source_url or merged.source_url,
        created_at_s=merged.created_at_s if words.created_at_s is None else words.created_at_s,
    )


def broken_once(told: Sequence[Told]) -> dict[str, Failure]:
    """Broken sidecars by their names: one may describe two pictures."""
    return {failure.path: failure for one in told for failure in one.broken}
