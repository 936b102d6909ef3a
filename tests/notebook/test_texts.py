"""Texts alone: by what they learned from each other, and by a sentence encoder."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from image_search.adapters import text_encoder
from image_search.errors import EmbedderError, InvalidParameter
from image_search.interfaces import TextEncoder
from image_search.notebook.texts import LatentSemantics, TextCollection
from tests.conftest import SHARED
from tests.notebook.conftest import write_encoder

TWEETS = (
    "The cat sleeps on the sofa",
    "Cats sleep on sofas",
    "Stocks fall as the bank raises rates",
    "Banks raised interest rates again",
    "猫在沙发上睡觉",
    "小猫睡觉",
    "",
    "🎉🎉",
)


def rows(collection: TextCollection, text: str, top_k: int = 10) -> list[int]:
    return [hit.row for hit in collection.search(text, top_k=top_k)]


@pytest.mark.parametrize(
    ("asked", "first"),
    [("sleeping cats", {0, 1}), ("the BANK raises its rates", {2}), ("猫睡觉", {4, 5}), ("interést", {3})],
)
def test_alike_in_words_in_inflected_forms_and_in_scripts_without_spaces(asked: str, first: set[int]) -> None:
    found = rows(TextCollection(TWEETS), asked)
    assert set(found[: len(first)]) == first


def test_a_text_finds_itself_first_with_1_and_scores_fall() -> None:
    collection = TextCollection(TWEETS)
    for row, text in enumerate(TWEETS[:6]):
        hits = collection.search(text)
        assert (hits[0].row, hits[0].text, hits[0].score) == (row, text, pytest.approx(1, abs=1e-5))
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)


def test_a_larger_collection_is_compared_in_few_numbers() -> None:
    topics = (
        "the doctor sees patients in the hospital",
        "the ship crosses a stormy ocean",
        "the bank raises its rates",
    )
    texts = [f"{topic} {number}" for number in range(100) for topic in topics]
    encoder = LatentSemantics(texts)
    assert encoder.encode(texts).shape == (300, 300 // 8)
    collection = TextCollection(texts, encoder)
    for topic, words in enumerate(("hospital patients", "stormy ocean", "bank rates")):
        assert {row % 3 for row in rows(collection, words, top_k=100)} == {topic}
    assert LatentSemantics([f"{text} {n}" for n in range(20) for text in texts]).encode(["ship"]).shape == (1, 128)


def test_what_has_nothing_in_common_is_left_out() -> None:
    collection = TextCollection(TWEETS)
    assert rows(collection, "жжж ωωω") == []
    assert rows(collection, "") == []
    assert rows(collection, "cats", top_k=1) in ([0], [1])
    assert len(rows(collection, "cats", top_k=10_000)) <= len(TWEETS)


@pytest.mark.parametrize("texts", [["one text"], ["one", "two"], ["a"], ["a", "a", "a"], ["!a!", "b"]])
def test_very_small_collections(texts: list[str]) -> None:
    assert rows(TextCollection(texts), texts[0])[0] == 0


@pytest.mark.parametrize("texts", [[], ["", "  "], "one str", ["ok", None], ["ok", 7]])
def test_what_is_no_collection_of_texts_is_refused(texts: object) -> None:
    with pytest.raises(InvalidParameter, match="texts: "):
        TextCollection(texts)  # type: ignore[arg-type]


def test_a_nonsense_top_k_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="top_k"):
        TextCollection(TWEETS).search("cat", top_k=0)


def test_the_same_texts_give_the_same_scores_from_several_threads() -> None:
    one, other = TextCollection(TWEETS), TextCollection(list(TWEETS))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: one.search(text), TWEETS * 3))
    for text, hits in zip(TWEETS * 3, found, strict=True):
        assert [hit.row for hit in other.search(text)] == [hit.row for hit in hits]


def test_texts_of_flickr_by_likeness() -> None:
    archive = SHARED / "data" / "flickr.tar"
    if not archive.is_file():
        pytest.skip("needs ../shared/data/flickr.tar")
    with tarfile.open(archive) as tar:
        member = tar.extractfile("flickr/metadata.jsonl")
        assert member is not None
        entries = [json.loads(line) for line in io.TextIOWrapper(member, encoding="utf-8")]
    texts = [" ".join([e.get("title") or "", *(e.get("tags") or []), e.get("text") or ""]) for e in entries]
    collection = TextCollection(texts)
    assert len(collection) == len(entries) == 1500
    # Half of a text's words, every second one, find the text itself.
    asked = [row for row, text in enumerate(texts) if len(text.split()) >= 12][:100]
    firsts = [collection.search(" ".join(texts[row].split()[::2]), top_k=5) for row in asked]
    found = sum(
        any(hit.row == row or hit.text == texts[row] for hit in hits) for row, hits in zip(asked, firsts, strict=True)
    )
    assert len(asked) == 100
    assert found >= 90


@pytest.mark.parametrize("kind", ["sentences", "few", "many"])
def test_the_contract_of_text_encoders(encoder_file: Path, kind: str) -> None:
    texts = ["a cat", "the dog and a boat", "", "ship ship ship", "a cat"]
    encoder: TextEncoder = {
        "sentences": lambda: text_encoder(encoder_file),
        "few": lambda: LatentSemantics(texts),
        "many": lambda: LatentSemantics([f"{text} {n}" for n in range(30) for text in texts]),
    }[kind]()
    together = encoder.encode(texts)
    assert together.dtype == np.float32
    assert together == pytest.approx(np.concatenate([encoder.encode([text]) for text in texts]), abs=1e-5)
    assert together[0] == pytest.approx(together[4], abs=1e-6)
    assert np.linalg.norm(together[[0, 1, 3]], axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert not together[2].any()
    assert encoder.encode([]).shape == (0, together.shape[1])
    with ThreadPoolExecutor(4) as pool:
        for again in pool.map(encoder.encode, [texts] * 8):
            assert again == pytest.approx(together, abs=1e-6)


def test_an_encoder_finds_by_meaning(encoder_file: Path) -> None:
    encoder = text_encoder(encoder_file)
    collection = TextCollection(["a dog", "the ship", "a kitten", "THE CAT the cat"], encoder)
    assert rows(collection, "puppy") == [0]
    assert rows(collection, "cat")[:2] == [2, 3]
    assert rows(collection, "nothing of this is known") == []


def test_many_texts_of_different_lengths_equal_each_alone(encoder_file: Path) -> None:
    """Padding has a vector of its own in this network: it must not count."""
    encoder = text_encoder(encoder_file)
    texts = ["cat " * (1 + number * 7 % 40) + "dog" * (number % 2) for number in range(70)]
    together = encoder.encode(texts)
    assert together.shape == (70, 4)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-6)
    assert np.linalg.norm(together, axis=1) == pytest.approx(np.ones(70), abs=1e-5)
    assert encoder.encode([]).shape == (0, 4)


@pytest.mark.parametrize("text", ["", "   ", "\ud83d", "cat " * 5000, "\x00cat"])
def test_odd_texts_are_encoded_all_the_same(encoder_file: Path, text: str) -> None:
    (row,) = text_encoder(encoder_file).encode([text])
    assert np.isfinite(row).all()


def test_a_network_of_a_fixed_number_of_tokens(tmp_path: Path) -> None:
    encoder = text_encoder(write_encoder(tmp_path, tokens=5))
    short, long = encoder.encode(["cat", "cat cat cat cat cat dog dog dog"])
    # Padded to five tokens, and cut after five.
    assert short == pytest.approx([1, 0, 0, 0], abs=1e-6)
    assert long == pytest.approx([1, 0, 0, 0], abs=1e-6)


def test_a_network_that_pools_by_itself(tmp_path: Path) -> None:
    encoder = text_encoder(write_encoder(tmp_path, pooled=True))
    assert encoder.encode(["cat dog"])[0] == pytest.approx([0.7071, 0.7071, 0, 0], abs=1e-3)


def test_a_tokenizer_elsewhere(encoder_file: Path, tmp_path: Path) -> None:
    (tmp_path / "aside").mkdir()
    moved = shutil.move(encoder_file.with_name("tokenizer.json"), tmp_path / "aside" / "words.json")
    with pytest.raises(EmbedderError, match=r"'tokenizer.json' does not exist"):
        text_encoder(encoder_file)
    assert text_encoder(encoder_file, Path(moved)).encode(["cat"])[0] == pytest.approx([1, 0, 0, 0])


def test_files_that_are_no_encoder_are_named(encoder_file: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=r"'nowhere.onnx' does not exist"):
        text_encoder(tmp_path / "nowhere.onnx", encoder_file.with_name("tokenizer.json"))
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(EmbedderError, match="no valid ONNX network"):
        text_encoder(tmp_path / "broken.onnx", encoder_file.with_name("tokenizer.json"))
    (tmp_path / "tokens.json").write_text('{"model": "?"}')
    with pytest.raises(EmbedderError, match=r"'tokens.json' is no tokenizer.json"):
        text_encoder(encoder_file, tmp_path / "tokens.json")
    pixels = write_encoder(tmp_path / "pixels", name="pixels")
    with pytest.raises(EmbedderError, match="it takes pixels"):
        text_encoder(pixels)
