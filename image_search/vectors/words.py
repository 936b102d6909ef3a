"""Texts as the words that a search by words compares: one way for stored texts and for queries (pure).

Done here and not by the database's analyser: jieba, the only one of Milvus Lite 2.5.1 that knows Chinese, splits
Russian, Greek and Korean into single letters and "münchen" into m, ü, nchen, and its folding comes too late.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator

from image_search.types import ImageRecord

TITLE_WEIGHT, TAG_WEIGHT = 3, 2
MAX_WORDS_BYTES = 65_535
"""Milvus's longest text; words past it are not found."""
MAX_WORD_LETTERS = 64

_ENGLISH = (
    "a an and are as at be but by for if in into is it no not of on or such that the their then there these they "
    "this to was will with"
)
STOP_WORDS = frozenset(_ENGLISH.split())
"""Lucene's list for English."""

# Scripts that put no spaces between words, and Hangul, whose words end in particles: Lucene's CJKAnalyzer's way.
_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
_TAG = re.compile(r"<[/!]?[A-Za-z][^<>]{0,1000}>")
_ASCII_WORD = re.compile(r"[a-z0-9]+")
_LETTERS_OF_THEIR_OWN = str.maketrans(
    {"ø": "o", "đ": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th", "ð": "d", "ħ": "h", "ŧ": "t"}
)


class _Letters(dict[int, str]):
    """A table for `str.translate`: letters, digits and marks stay, signs stand alone, the rest parts words."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kind = unicodedata.category(character)
        if 0x300 <= code < 0x370:
            made = ""  # the accents of Latin, Greek and Cyrillic; other scripts' marks are part of the word
        elif kind[0] in "LNM" and not 0xFE00 <= code < 0xFE10:
            made = character
        elif kind == "So" or 0x1F3FB <= code < 0x1F400:
            made = f" {character} "  # emoji
        else:
            made = "" if kind == "Cf" else " "
        self[code] = made
        return made


_LETTERS = _Letters()


def query_words(text: str) -> list[str]:
    """The words that a query asks for, in order; none where it is empty, punctuation or stop words only.

    A run of Chinese, Japanese, Korean or Thai is asked for by its pairs of characters.
    """
    return [word for chunk in _chunks(text) for word in _words(chunk, stored=False)]


def record_words(record: ImageRecord) -> list[str]:
    """The words a record is found by; those of the title three times, those of a tag twice."""
    made = _stored_words(record.title) * TITLE_WEIGHT
    made += [word for tag in record.tags for word in _stored_words(tag)] * TAG_WEIGHT
    return made + _stored_words(record.text)


def words_column(record: ImageRecord) -> str:
    """The words of a record with spaces between, as many as a column of Milvus takes."""
    joined = " ".join(record_words(record))
    if len(joined) * 4 <= MAX_WORDS_BYTES or len(joined.encode()) <= MAX_WORDS_BYTES:
        return joined
    cut = joined.encode()[:MAX_WORDS_BYTES].decode(errors="ignore")
    return cut[: cut.rfind(" ")]


def _stored_words(text: str) -> list[str]:
    return [word for chunk in _chunks(text) for word in _words(chunk, stored=True)]


def _chunks(text: str) -> Iterator[str]:
    """Pieces of folded text between spaces and punctuation."""
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if text.isascii():
        yield from _ASCII_WORD.findall(text.lower())
        return
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_LETTERS_OF_THEIR_OWN)
    spaced = unicodedata.normalize("NFD", folded)
    # A kana's voice mark is no accent: it comes back to its kana.
    yield from unicodedata.normalize("NFC", spaced.translate(_LETTERS)).split()


def _words(chunk: str, *, stored: bool) -> Iterator[str]:
    for i, part in enumerate(_UNSPACED.split(chunk)):
        if i % 2:
            for k, character in enumerate(part):
                if stored or len(part) == 1:
                    yield character
                if k + 1 < len(part):
                    yield part[k : k + 2]
        elif part and part not in STOP_WORDS:
            yield part[:MAX_WORD_LETTERS]
