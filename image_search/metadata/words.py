"""What people say of one picture: its words, their limits, and how several tellers' words become one. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from image_search.types import JsonScalar

# As much as a collection's columns hold; a longer text is cut, lest it end a bulk run.
MAX_TEXT_BYTES = 65_535
MAX_TITLE_BYTES = 4096
MAX_URL_BYTES = 8192
MAX_FIELDS_BYTES = 65_536
MAX_TAGS = 512
MAX_TAG_BYTES = 256

# Every control character but tab and line feed (a carriage return becomes one), and the halves of surrogate pairs.
_NO_TEXT = dict.fromkeys((*range(32), *range(127, 160), *range(0xD800, 0xE000), 0xFEFF))
del _NO_TEXT[9], _NO_TEXT[10]


@dataclass(frozen=True, slots=True)
class Words:
    """What is known of one picture."""

    title: str = ""
    tags: tuple[str, ...] = ()
    text: str = ""
    source_url: str = ""
    fields: dict[str, JsonScalar] = field(default_factory=dict)
    created_at_s: int | None = None
    """Unix time; None = not told."""
    cut: bool = False
    """Something of it was longer than is kept."""


NO_WORDS = Words()


class Fitter:
    """Makes values fit into a collection's columns, and remembers in `cut` whether one had to lose something."""

    def __init__(self) -> None:
        self.cut = False

    def title(self, value: str) -> str:
        """One line."""
        return self._fit(" ".join(self._clean(value, MAX_TITLE_BYTES).split()), MAX_TITLE_BYTES)

    def text(self, value: str) -> str:
        """Text with its lines."""
        return self._fit(self._clean(value, MAX_TEXT_BYTES).strip(), MAX_TEXT_BYTES)

    def url(self, value: str) -> str:
        """An address."""
        return self._fit("".join(self._clean(value, MAX_URL_BYTES).split()), MAX_URL_BYTES)

    def tags(self, values: Iterable[str]) -> tuple[str, ...]:
        """Each once, in order; one that is too long is no tag and is left out."""
        tags: dict[str, None] = {}
        for value in values:
            tag = " ".join(self._clean(value, MAX_TEXT_BYTES).split())
            if len(tags) >= MAX_TAGS or len(tag.encode()) > MAX_TAG_BYTES:
                self.cut = True
            elif tag:
                tags[tag] = None
            if len(tags) >= MAX_TAGS and self.cut:
                break
        return tuple(tags)

    def _clean(self, value: str, max_bytes: int) -> str:
        # A character has at least one byte: what lies far beyond the limit is not even looked at.
        if len(value) > 2 * max_bytes:
            value, self.cut = value[: 2 * max_bytes], True
        if value.isprintable():
            return value
        return value.replace("\r\n", "\n").replace("\r", "\n").translate(_NO_TEXT)

    def _fit(self, value: str, max_bytes: int) -> str:
        data = value.encode()
        if len(data) <= max_bytes:
            return value
        self.cut = True
        return data[:max_bytes].decode(errors="ignore")


def unite(first: Words, second: Words) -> Words:
    """The words of both tellers; where they differ, `first` is believed. Tags and fields unite."""
    if second == NO_WORDS:
        return first
    if first == NO_WORDS:
        return second
    tags = _united_tags(first.tags, second.tags)
    fields = united_fields(first.fields, second.fields)
    return Words(
        title=first.title or second.title,
        tags=tags[:MAX_TAGS],
        text=first.text or second.text,
        source_url=first.source_url or second.source_url,
        fields=fields,
        created_at_s=second.created_at_s if first.created_at_s is None else first.created_at_s,
        cut=first.cut or second.cut or len(tags) > MAX_TAGS or len(fields) < len(first.fields | second.fields),
    )


def united_fields(
    first: Mapping[str, JsonScalar], second: Mapping[str, JsonScalar], max_bytes: int = MAX_FIELDS_BYTES
) -> dict[str, JsonScalar]:
    """The fields of both, `first`'s where both have one; of `second` as many as fit into a record."""
    united = {**second, **first}
    if _size(united) <= max_bytes:
        return united
    united, size = dict(first), _size(first)
    for key, value in second.items():
        # The braces of this one field stand for the comma between two.
        if key not in united and (size := size + _size({key: value})) <= max_bytes:
            united[key] = value
    return united


def _size(fields: Mapping[str, JsonScalar]) -> int:
    return len(json.dumps(dict(fields), ensure_ascii=False).encode())


def _united_tags(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    # "Beach" of the file and "beach" of the picture are one tag; within one teller's list nothing is judged.
    there = {tag.casefold() for tag in first}
    return (*first, *(tag for tag in second if tag.casefold() not in there))
