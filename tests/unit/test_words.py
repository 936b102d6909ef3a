"""Texts as words, and BM25 over them."""

from __future__ import annotations

from collections import Counter

import pytest

from image_search.types import ImageRecord
from image_search.vectors.bm25 import bm25_scores
from image_search.vectors.words import MAX_WORDS_BYTES, query_words, record_words, words_column


def record(**values: object) -> ImageRecord:
    return ImageRecord("0" * 64, "k", (1, 1), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \n ... !!! -- ", []),
        ("The AND of", []),
        ("Dogs, dogs; IMG_1234.JPG", ["dogs", "dogs", "img", "1234", "jpg"]),
        ("München mu\u0308nchen MUNCHEN", ["munchen"] * 3),
        ("Straße Łódź Ærø naïve ångström", ["strasse", "lodz", "aero", "naive", "angstrom"]),
        ("ＡＢＣ ﬁne İstanbul", ["abc", "fine", "istanbul"]),
        ("Собака ёлка", ["собака", "елка"]),
        ("Ελλάδα", ["ελλαδα"]),
        ("猫", ["猫"]),
        ("睡觉 dog", ["睡觉", "dog"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("ﾊﾞﾅ", ["バナ"]),
        ("हिन्दी", ["हिन्दी"]),
        ("party🎉 ❤️", ["party", "🎉", "❤"]),
        ("🐕‍🦺", ["🐕", "🦺"]),
        ("<b class='x'>bold</b> caf&eacute; &amp; 1 < 2", ["bold", "cafe", "1", "2"]),
        ("w" * 100, ["w" * 64]),
        ("\x00 \ud83d", []),
        ('" or image_id != "', ["image", "id"]),
    ],
)
def test_query_words(text: str, words: list[str]) -> None:
    assert query_words(text) == words


def test_stored_words_hold_single_characters_and_pairs() -> None:
    assert record_words(record(text="睡觉")) == ["睡", "睡觉", "觉"]


def test_weights() -> None:
    words = Counter(record_words(record(title="Red cat", tags=("cat", "sofa"), text="a sofa")))
    assert words == {"red": 3, "cat": 5, "sofa": 3}


@pytest.mark.parametrize("text", ["猫" * 21_845, "word " * 13_107, "é" * 32_767, "&lt;" * 16_000, "<a " * 21_000])
def test_the_column_takes_the_longest_text(text: str) -> None:
    column = words_column(record(title="t" * 4000, text=text))
    assert len(column.encode()) <= MAX_WORDS_BYTES
    assert column.split()[0] == "t" * 64


def test_bm25_by_hand() -> None:
    documents = {"a": Counter(["cat", "cat", "dog"]), "b": Counter(["dog"]), "c": Counter(["bird"])}
    scores = bm25_scores(["cat"], documents)
    # ln(1 + 2.5 / 1.5) * 2 * 2.2 / (2 + 1.2 * (0.25 + 0.75 * 3 / (5 / 3)))
    assert scores == {"a": pytest.approx(0.9808293 * 4.4 / 3.92, abs=1e-6)}
    dogs = bm25_scores(["dog"], documents)
    assert dogs["b"] > dogs["a"] > 0
    assert bm25_scores(["dog", "dog"], documents)["b"] == pytest.approx(2 * dogs["b"])
    assert bm25_scores(["dog"], {}) == {}
