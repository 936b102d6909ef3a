"""Words for pictures from a JSONL file, matched by relative path, then by a name that occurs once."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any
from unicodedata import normalize

from image_search.errors import InvalidInput
from image_search.types import JsonScalar

_URLS = ("source_url", "page_url", "image_url")
_WORDS = ("title", "tags", "text", "source_url", "image_url", "page_url", "fields", "filename")
# As much as a collection's columns hold; a longer text is cut, lest it end a bulk run.
MAX_TEXT_BYTES = 65_535
MAX_TITLE_BYTES = 4096
MAX_URL_BYTES = 8192
MAX_FIELDS_BYTES = 65_536
MAX_TAGS = 512
MAX_TAG_BYTES = 256


@dataclass(frozen=True, slots=True)
class Words:
    """What is known of one picture."""

    title: str = ""
    tags: tuple[str, ...] = ()
    text: str = ""
    source_url: str = ""
    fields: dict[str, JsonScalar] = field(default_factory=dict)


NO_WORDS = Words()


class MetadataTable:
    """Words by file name."""

    def __init__(self, by_path: dict[str, Words]) -> None:
        # One name has two spellings in Unicode, and file systems differ in which they use.
        by_path = {normalize("NFC", path): words for path, words in by_path.items()}
        self._by_path = by_path
        self._by_name: dict[str, Words | None] = {}
        for path, words in by_path.items():
            name = PurePosixPath(path).name
            # None marks a name that occurs twice: it says nothing about a file elsewhere.
            self._by_name[name] = None if name in self._by_name else words

    def __len__(self) -> int:
        return len(self._by_path)

    def find(self, source_name: str) -> Words:
        """The words for a file, by its path relative to the ingested folder, else by its name alone."""
        source_name = normalize("NFC", source_name)
        found = self._by_path.get(source_name)
        return found or self._by_name.get(PurePosixPath(source_name).name) or NO_WORDS


EMPTY_TABLE = MetadataTable({})


def read_jsonl(path: Path) -> MetadataTable:
    """One JSON object a line, with `filename` and any of title, tags, text, source_url, image_url, page_url, fields.

    Other keys with a plain value become fields. Raises InvalidInput that names the line.
    """
    table: dict[str, Words] = {}
    try:
        # Some editors begin a UTF-8 file with a byte order mark.
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    name, words = _parse(line, f"{path.name}, line {number}")
                    table[name] = words
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"metadata file {path.name!r} cannot be read as UTF-8 text") from error
    return MetadataTable(table)


def _parse(line: str, where: str) -> tuple[str, Words]:
    try:
        data = json.loads(line, parse_constant=_no_number)
        # An escaped half of a surrogate pair is valid JSON and no text: nothing could store it.
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{where}: not valid JSON") from error
    if not isinstance(data, dict) or not isinstance(data.get("filename"), str) or not data["filename"]:
        raise InvalidInput(f'{where}: must be an object with a text "filename"')
    tags = data.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(t, str) for t in tags):
        raise InvalidInput(f"{where}: tags must be a list of texts")
    own: Any = data.get("fields") or {}
    if not isinstance(own, dict):
        raise InvalidInput(f"{where}: fields must be an object")
    plain = {k: v for k, v in data.items() if k not in _WORDS}
    scalars = {str(k): v for k, v in (plain | own).items() if v is None or isinstance(v, str | int | float | bool)}
    _check_fields(scalars, where)
    words = Words(
        title=_cut(data, "title", where, MAX_TITLE_BYTES),
        tags=tuple(t for t in dict.fromkeys(tags) if t and len(t.encode()) <= MAX_TAG_BYTES)[:MAX_TAGS],
        text=_cut(data, "text", where),
        source_url=next(filter(None, (_cut(data, key, where, MAX_URL_BYTES) for key in _URLS)), ""),
        fields=scalars,
    )
    return str(PurePosixPath(data["filename"])), words


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _check_fields(fields: dict[str, JsonScalar], where: str) -> None:
    for key, value in fields.items():
        too_large = not -(2**63) <= value < 2**63 if isinstance(value, int) else value in (math.inf, -math.inf)
        if too_large:
            raise InvalidInput(f"{where}: {key} is a number beyond 64 bits")
    if len(json.dumps(fields, ensure_ascii=False).encode()) > MAX_FIELDS_BYTES:
        raise InvalidInput(f"{where}: its fields have more than {MAX_FIELDS_BYTES:,} bytes")


def _cut(data: dict[str, Any], key: str, where: str, max_bytes: int = MAX_TEXT_BYTES) -> str:
    value = data.get(key) or ""
    if not isinstance(value, str):
        raise InvalidInput(f"{where}: {key} must be a text")
    return value.encode()[:max_bytes].decode(errors="ignore")
