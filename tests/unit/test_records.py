"""ImageRecord as JSON, and what becomes of the same picture twice."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_search.errors import DatasetFormatError
from image_search.records import MAX_SOURCES, MAX_TAGS, merge_records, record_from_json, record_to_json
from image_search.types import ImageRecord

ID = "ab" * 32
FULL = ImageRecord(
    image_id=ID,
    object_key=f"originals/ab/{ID}",
    size_px=(640, 480),
    sources=("a/b.jpg", "猫.png"),
    title='Ein „Titel" \u2028 mit allem',
    tags=("red", "größe"),
    text="line\nline",
    fields={"n": 1, "x": 1.5, "yes": True, "none": None, "t": "ü"},
    phash=2**64 - 1,
    low_detail=True,
    created_at_s=1_700_000_000,
    source_url="https://example.org/ü",
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def test_round_trip_of_everything() -> None:
    line = record_to_json(FULL)
    assert "\n" not in line
    assert record_from_json(line) == FULL


@settings(max_examples=100, deadline=None)
@given(title=TEXT, tags=st.lists(TEXT, max_size=4), sources=st.lists(TEXT, max_size=4), phash=st.integers(0, 2**64 - 1))
def test_round_trip_of_any_text(title: str, tags: list[str], sources: list[str], phash: int) -> None:
    record = replace(FULL, title=title, tags=tuple(tags), sources=tuple(sources), phash=phash)
    assert record_from_json(record_to_json(record)) == record


def test_what_an_older_program_did_not_write_has_defaults_and_what_a_newer_one_writes_is_passed_over() -> None:
    data = {"image_id": ID, "object_key": "k", "size_px": [3, 4], "of_the_future": 1}
    assert record_from_json(json.dumps(data)) == ImageRecord(ID, "k", (3, 4))


@pytest.mark.parametrize(
    "change",
    [
        {"size_px": None},
        {"size_px": [1]},
        {"size_px": [1, 2, 3]},
        {"size_px": ["a", 2]},
        {"size_px": [float("inf"), 2]},
        {"size_px": 5},
        {"sources": "abc"},
        {"sources": 5},
        {"tags": {"a": 1}},
        {"tags": None},
        {"fields": [1]},
        {"title": 5},
        {"text": None},
        {"image_id": 5},
        {"object_key": None},
        {"phash": "12"},
        {"created_at_s": "now"},
        {"low_detail": "yes"},
        {"source_url": 1},
    ],
    ids=str,
)
def test_a_value_of_the_wrong_kind_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(DatasetFormatError):
        record_from_json(json.dumps(asdict(FULL) | change))


@pytest.mark.parametrize("missing", ["image_id", "object_key", "size_px"])
def test_what_a_record_must_have(missing: str) -> None:
    data = asdict(FULL)
    del data[missing]
    with pytest.raises(DatasetFormatError):
        record_from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"x"', "[" * 100_000], ids=lambda t: t[:5])
def test_what_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(DatasetFormatError):
        record_from_json(text)


OLD = replace(FULL, sources=("old.jpg",), title="", tags=("a", "b"), text="old text", fields={"x": 1, "y": 1})
NEW = replace(
    FULL,
    object_key="another",
    sources=("new.jpg",),
    title="new title",
    tags=("b", "c"),
    text="new text",
    fields={"y": 2, "z": 2},
    source_url="https://new",
    created_at_s=1_800_000_000,
)


def test_merge_unites() -> None:
    merged = merge_records(OLD, NEW)
    assert merged.sources == ("old.jpg", "new.jpg")
    assert merged.tags == ("a", "b", "c")
    assert merged.title == "new title", "the old one had none"
    assert merged.text == "old text"
    assert merged.fields == {"x": 1, "y": 2, "z": 2}
    assert merged.source_url == OLD.source_url
    assert (merged.created_at_s, merged.object_key) == (OLD.created_at_s, OLD.object_key)


def test_skip_lets_only_the_sources_grow() -> None:
    assert merge_records(OLD, NEW, "skip") == replace(OLD, sources=("old.jpg", "new.jpg"))


def test_replace_takes_the_new_words_and_keeps_the_birth() -> None:
    replaced = merge_records(OLD, NEW, "replace")
    assert replaced == replace(
        NEW, sources=("old.jpg", "new.jpg"), created_at_s=OLD.created_at_s, object_key=OLD.object_key
    )


@pytest.mark.parametrize("how", ["merge", "skip", "replace"])
def test_the_same_twice_changes_nothing(how: str) -> None:
    assert merge_records(OLD, OLD, how) == OLD  # type: ignore[arg-type]


def test_there_is_an_end_to_sources_and_tags_and_the_first_stay() -> None:
    old = replace(OLD, sources=tuple(f"s{i}" for i in range(MAX_SOURCES)), tags=tuple(f"t{i}" for i in range(MAX_TAGS)))
    merged = merge_records(old, NEW)
    assert merged.sources == old.sources
    assert merged.tags == old.tags
