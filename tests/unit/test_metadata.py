"""Words for pictures from a JSONL file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from image_search.errors import InvalidInput
from image_search.metadata.jsonl import read_jsonl
from image_search.metadata.table import EMPTY_TABLE, MetadataTable
from image_search.metadata.words import (
    MAX_TAG_BYTES,
    MAX_TAGS,
    MAX_TEXT_BYTES,
    MAX_TITLE_BYTES,
    MAX_URL_BYTES,
    NO_WORDS,
    Words,
)
from image_search.types import ImageRecord
from image_search.vectors.checks import check_record

ID = "ab" * 32


def table(tmp_path: Path, *lines: Any, encoding: str = "utf-8") -> MetadataTable:
    path = tmp_path / "metadata.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(texts), encoding=encoding)
    return read_jsonl(path)


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    words = table(
        tmp_path,
        {
            "filename": "a/b.jpg",
            "title": "Katze 猫",
            "tags": ["x", "y", "x", ""],
            "text": "long",
            "source_url": "https://s",
            "image_url": "https://i",
            "year": 1999,
            "ratio": 0.5,
            "ok": True,
            "nothing": None,
            "nested": {"is": "left out"},
            "fields": {"year": 2000, "of": "its own"},
        },
    ).find("a/b.jpg")
    assert words == Words(
        title="Katze 猫",
        tags=("x", "y"),
        text="long",
        source_url="https://s",
        fields={"year": 2000, "ratio": 0.5, "ok": True, "nothing": None, "of": "its own"},
    )


@pytest.mark.parametrize(
    ("urls", "wanted"),
    [
        ({"source_url": "s", "page_url": "p", "image_url": "i"}, "s"),
        ({"page_url": "p", "image_url": "i"}, "p"),
        ({"source_url": "", "image_url": "i"}, "i"),
        ({}, ""),
    ],
)
def test_the_page_before_the_picture(tmp_path: Path, urls: dict[str, str], wanted: str) -> None:
    assert table(tmp_path, {"filename": "a.jpg"} | urls).find("a.jpg").source_url == wanted


def test_by_path_then_by_a_name_that_occurs_once(tmp_path: Path) -> None:
    found = table(
        tmp_path,
        {"filename": "x/one.jpg", "title": "one"},
        {"filename": "x/two.jpg", "title": "x two"},
        {"filename": "y/two.jpg", "title": "y two"},
        {"filename": "./z//three.jpg", "title": "three"},
    )
    assert len(found) == 4
    assert found.find("x/one.jpg").title == "one"
    assert found.find("elsewhere/one.jpg").title == "one"
    assert found.find("y/two.jpg").title == "y two"
    assert found.find("elsewhere/two.jpg") == NO_WORDS, "it may be either"
    assert found.find("z/three.jpg").title == "three"
    assert found.find("four.jpg") == NO_WORDS
    assert EMPTY_TABLE.find("one.jpg") == NO_WORDS


def test_of_two_lines_for_one_file_the_last_wins(tmp_path: Path) -> None:
    found = table(tmp_path, {"filename": "a.jpg", "title": "1"}, {"filename": "a.jpg", "title": "2"})
    assert found.find("a.jpg").title == "2"
    assert found.find("b/a.jpg").title == "2"


def test_blank_lines_and_a_byte_order_mark_do_no_harm(tmp_path: Path) -> None:
    found = table(tmp_path, {"filename": "a.jpg", "title": "a"}, "", "   ", encoding="utf-8-sig")
    assert found.find("a.jpg").title == "a"


def test_null_is_nothing(tmp_path: Path) -> None:
    line = {"filename": "a.jpg", "title": None, "tags": None, "text": None, "fields": None}
    assert table(tmp_path, line).find("a.jpg") == NO_WORDS


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not valid JSON"),
        ("not json", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"filename": "a.jpg", "n": ' + "1" * 5000 + "}", "not valid JSON"),
        ('{"filename": "a.jpg", "n": NaN}', "not valid JSON"),
        ('{"filename": "a.jpg", "title": "\\ud800"}', "not valid JSON"),
        ('{"filename": "a.jpg", "tags": ["\\ud800"]}', "not valid JSON"),
        ("[]", "filename"),
        ("5", "filename"),
        ('{"title": "x"}', "filename"),
        ('{"filename": ""}', "filename"),
        ('{"filename": 5}', "filename"),
        ('{"filename": "a.jpg", "tags": "x"}', "tags"),
        ('{"filename": "a.jpg", "tags": [1]}', "tags"),
        ('{"filename": "a.jpg", "title": 5}', "title"),
        ('{"filename": "a.jpg", "text": ["x"]}', "text"),
        ('{"filename": "a.jpg", "source_url": 1}', "source_url"),
        ('{"filename": "a.jpg", "fields": [1]}', "fields"),
        ('{"filename": "a.jpg", "n": 9223372036854775808}', "n is a number"),
        ('{"filename": "a.jpg", "n": 1e999}', "n is a number"),
        ('{"filename": "a.jpg", "long": "' + "x" * 70_000 + '"}', "fields"),
    ],
    ids=lambda value: value[:40],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=r"metadata\.jsonl, line 2: .*") as caught:
        table(tmp_path, {"filename": "fine.jpg"}, line)
    assert reason in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("data", [b"\xff\xfe{", '{"filename": "ü"}'.encode("latin-1")])
def test_what_is_no_utf_8_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "words.jsonl"
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match=r"'words\.jsonl' cannot be read as UTF-8"):
        read_jsonl(path)


def test_a_folder_or_nothing_at_all_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.jsonl"):
        with pytest.raises(InvalidInput):
            read_jsonl(path)


def test_what_is_too_long_is_cut_between_letters_and_fits_every_store(tmp_path: Path) -> None:
    words = table(
        tmp_path,
        {
            "filename": "a.jpg",
            "title": "ü" * 5000,
            "text": "猫" * 40_000,
            "source_url": "https://" + "x" * 10_000,
            "tags": ["t" * 257, *(f"tag {i}" for i in range(600))],
        },
    ).find("a.jpg")
    assert len(words.title.encode()) == MAX_TITLE_BYTES
    assert MAX_TEXT_BYTES - 2 <= len(words.text.encode()) <= MAX_TEXT_BYTES
    assert len(words.source_url) == MAX_URL_BYTES
    assert len(words.tags) == MAX_TAGS
    assert all(len(tag.encode()) <= MAX_TAG_BYTES for tag in words.tags)
    record = ImageRecord(
        ID, "k", (1, 1), title=words.title, tags=words.tags, text=words.text, source_url=words.source_url
    )
    check_record(record)
