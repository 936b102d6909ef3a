"""Words in files beside a picture: `photo.jpg.json`, `photo.json`, and captions in `.txt`. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from image_search.errors import InvalidInput
from image_search.metadata.entry import words_of
from image_search.metadata.jsonl import parse_json
from image_search.metadata.markup import readable
from image_search.metadata.words import NO_WORDS, Fitter, Words, unite

SUFFIXES = (".json", ".txt")
MAX_BYTES = 1_000_000
"""A larger file beside a picture is no description of it."""
MAX_TITLE_CHARACTERS = 120
"""One line of no more than this is a title, all else a text."""

# Boxes of a detector (`0 0.51 0.48 0.2 0.3`), which are kept beside pictures as .txt too.
_BOXES = re.compile(r"(?:\s*\d+(?:[ \t]+-?\d*\.?\d+){4,}[ \t]*(?:\n|$))+")


def read_sidecars(paths: Sequence[Path]) -> tuple[Words, list[tuple[Path, str]]]:
    """(words, [(path, why it is left out)]): what an earlier path says is believed before a later one."""
    words, broken = NO_WORDS, []
    for path in paths:
        try:
            words = unite(words, _read(path))
        except InvalidInput as error:
            broken.append((path, str(error)))
    return words, broken


def _read(path: Path) -> Words:
    text = _text(path)
    if path.suffix.lower() == ".json":
        return words_of(parse_json(text, "the sidecar"), "the sidecar")
    if _BOXES.fullmatch(text):
        return NO_WORDS
    fit, text = Fitter(), readable(text).strip()
    if len(text) <= MAX_TITLE_CHARACTERS and "\n" not in text:
        return Words(title=fit.title(text), cut=fit.cut)
    return Words(text=fit.text(text), cut=fit.cut)


def _text(path: Path) -> str:
    try:
        # A named pipe would block for ever.
        if not path.is_file():
            raise InvalidInput("the sidecar is no regular file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInput(f"the sidecar cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise InvalidInput(f"the sidecar has more than {MAX_BYTES:,} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput("the sidecar is not UTF-8 text") from error
