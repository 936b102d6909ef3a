"""The filter grammar: what parses, what it means, what is refused and where."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from image_search.errors import InvalidParameter
from image_search.filters import (
    MAX_CONDITIONS,
    MAX_DEPTH,
    MAX_IDS,
    MAX_LIST,
    And,
    Condition,
    Not,
    matches,
    members,
    parse_filter,
    parse_filter_json,
)
from image_search.types import ImageRecord

RECORD = ImageRecord(
    image_id="ab" * 32,
    object_key="k",
    size_px=(800, 600),
    sources=("cats/Tom.JPEG", "other.png"),
    title='A "red" 100%_cat\nin Zürich',
    tags=("cat", "indoor", ""),
    text="some text",
    fields={"camera": "Leica M6", "iso": 400, "f": 1.0, "flash": True, "none": None, 'a.b"[0]': "x", "": "empty name"},
    low_detail=False,
    created_at_s=1_767_225_600,
    source_url="https://example.org/tom",
)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, True),
        ({"not": {}}, False),
        ({"tags": {"any": ["dog", "cat"]}}, True),
        ({"tags": {"any": ["dog"]}}, False),
        ({"tags": {"all": ["cat", "indoor", "cat"]}}, True),
        ({"tags": {"all": ["cat", "dog"]}}, False),
        ({"tags": {"none": ["dog"]}}, True),
        ({"tags": {"none": ["dog", ""]}}, False),
        ({"tags": {"any": ["cat"], "none": ["dog"]}}, True),
        ({"title": RECORD.title}, True),
        ({"title": {"ne": "x"}}, True),
        ({"title": {"contains": '"red" 100%_'}}, True),
        ({"title": {"contains": "Red"}}, False),
        ({"title": {"contains": ""}}, True),
        ({"title": {"starts_with": 'A "'}}, True),
        ({"title": {"in": ["x", RECORD.title]}}, True),
        ({"text": "some text"}, True),
        ({"source_name": {"starts_with": "cats/"}}, True),
        ({"source_name": "other.png"}, False),
        ({"source_url": {"contains": "example.org"}}, True),
        ({"id": "ab" * 32}, True),
        ({"id": {"in": ["cd" * 32]}}, False),
        ({"id": {"ne": "cd" * 32}}, True),
        ({"width": 800}, True),
        ({"width": 800.0}, True),
        ({"width": {"gte": 800, "lt": 800.5}}, True),
        ({"height": {"gt": 600}}, False),
        ({"height": {"lte": 600, "ne": 599}}, True),
        ({"low_detail": False}, True),
        ({"low_detail": {"ne": False}}, False),
        ({"created_at": "2026-01-01T00:00:00Z"}, True),
        ({"created_at": "2026-01-01"}, True),
        ({"created_at": {"gte": "2026-01-01", "lt": "2026-01-02"}}, True),
        ({"created_at": {"gte": "2026-01-02"}}, False),
        ({"created_at": "2026-01-01t01:30:00+01:30"}, True),
        ({"created_at": {"lt": "2026-01-01T00:00:00.001Z", "gte": "2026-01-01T00:00:00.000Z"}}, True),
        ({"created_at": {"gt": "2026-01-01T00:00:00.999999999Z"}}, False),
        ({"created_at": {"gt": "2025-12-31T23:59:59.5Z"}}, True),
        ({"fields.camera": "Leica M6"}, True),
        ({"fields.camera": {"gt": "Leica"}}, True),
        ({"fields.camera": {"gt": 3}}, False),
        ({"fields.camera": {"lte": 3}}, False),
        ({"fields.iso": 400.0}, True),
        ({"fields.iso": "400"}, False),
        ({"fields.iso": {"in": ["400", 400]}}, True),
        ({"fields.f": True}, False),
        ({"fields.flash": 1}, False),
        ({"fields.flash": True}, True),
        ({"fields.flash": {"ne": 1}}, True),
        ({"fields.flash": {"gte": 0}}, False),
        ({"fields.none": {"exists": False}}, True),
        ({"fields.iso": {"exists": True, "ne": 100}}, True),
        ({"fields.missing": {"ne": 1}}, True),
        ({"fields.missing": {"exists": True}}, False),
        ({"fields.missing": {"lt": 1}}, False),
        ({"not": {"fields.missing": {"lt": 1}}}, True),
        ({'fields.a.b"[0]': "x"}, True),
        ({"fields.": "empty name"}, True),
        ({"or": [{"width": 1}, {"height": 600}]}, True),
        ({"or": [{"width": 1}, {"height": 601}], "tags": {"any": ["cat"]}}, False),
        ({"and": [{"width": 800}, {"not": {"height": 1}}]}, True),
    ],
)
def test_meaning(wanted: dict[str, Any], expected: bool) -> None:
    assert matches(parse_filter(wanted), RECORD) is expected
    assert matches(parse_filter_json(json.dumps(wanted)), RECORD) is expected
    assert matches(parse_filter({"not": wanted}), RECORD) is not expected


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (None, "filter"),
        ("width > 3", "filter"),
        ([], "filter"),
        ({"wdth": 3}, "filter.wdth"),
        ({"fields": {"a": 1}}, "filter.fields"),
        ({"or": [{}, {"width": "800"}]}, "filter.or[1].width"),
        ({"or": [{}, {"width": {"gte": True}}]}, "filter.or[1].width.gte"),
        ({"or": []}, "filter.or"),
        ({"or": {"width": 1}}, "filter.or"),
        ({"and": [1]}, "filter.and[0]"),
        ({"not": [1]}, "filter.not"),
        ({"width": {}}, "filter.width"),
        ({"width": {"like": 1}}, "filter.width.like"),
        ({"width": {"in": [1]}}, "filter.width.in"),
        ({"width": None}, "filter.width"),
        ({"width": [1]}, "filter.width"),
        ({"width": float("nan")}, "filter.width"),
        ({"width": 2**63}, "filter.width"),
        ({"width": 10**5000}, "filter.width"),
        ({"tags": "cat"}, "filter.tags"),
        ({"tags": ["cat"]}, "filter.tags"),
        ({"tags": {"any": "cat"}}, "filter.tags.any"),
        ({"tags": {"any": []}}, "filter.tags.any"),
        ({"tags": {"any": ["x", 1]}}, "filter.tags.any[1]"),
        ({"tags": {"any": ["t"] * (MAX_LIST + 1)}}, "filter.tags.any"),
        ({"title": 3}, "filter.title.eq"),
        ({"title": {"contains": ["x"]}}, "filter.title.contains"),
        ({"title": "half \ud83d"}, "filter.title"),
        ({"title": "x" * 9000}, "filter.title"),
        ({"title": {"in": ["x" * 8000] * 17}}, "filter.title.in[16]"),
        ({"id": "AB"}, "filter.id"),
        ({"id": "a" * 64 + "\n"}, "filter.id"),
        ({"id": {"in": ["ab" * 32] * (MAX_IDS + 1)}}, "filter.id.in"),
        ({"low_detail": 0}, "filter.low_detail"),
        ({"created_at": 1767225600}, "filter.created_at"),
        ({"created_at": "2026-01-1"}, "filter.created_at"),
        ({"created_at": "2026-02-30"}, "filter.created_at"),
        ({"created_at": "2026-02-30T00:00:00Z"}, "filter.created_at"),
        ({"created_at": "2026-01-01T00:00:00"}, "filter.created_at"),
        ({"created_at": "2026-01-01T24:00:00Z"}, "filter.created_at"),
        ({"created_at": "٢٠٢٦-01-01T00:00:00Z"}, "filter.created_at"),
        ({"fields.x": None}, "filter.fields.x"),
        ({"fields.x": {"gt": True}}, "filter.fields.x.gt"),
        ({"fields.x": {"exists": 1}}, "filter.fields.x.exists"),
        ({"fields.x": {"contains": "y"}}, "filter.fields.x.contains"),
        ({"fields.x": {"eq": [1]}}, "filter.fields.x.eq"),
        ({"fields." + "n" * 257: 1}, "filter.fields." + "n" * 50),
        ({1: 2}, "filter"),
        ({"and": [{"width": 1}] * (MAX_CONDITIONS + 1)}, "filter.and"),
        ({"and": [{"width": 1, "height": 2}] * 33}, "filter.and[32].width.eq"),
    ],
)
def test_what_is_refused_and_where(wanted: Any, path: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_filter(wanted)
    assert caught.value.field == "filter"
    assert caught.value.reason.startswith(path), caught.value.reason
    assert len(caught.value.reason) < 400
    assert str(caught.value) == caught.value.reason, "the path begins with the field's name already"


def test_depth_is_limited() -> None:
    def nested(depth: int) -> dict[str, Any]:
        return {"width": 1} if depth == 1 else {"or": [nested(depth - 1)]}

    parse_filter(nested(MAX_DEPTH))
    for depth in (MAX_DEPTH + 1, 200):
        with pytest.raises(InvalidParameter, match="filters inside filters"):
            parse_filter(nested(depth))
    for text in ("[" * 100_000, '{"not":' * 100_000, '{"width": 1', "", '{"width": ' + "9" * 5000 + "}"):
        with pytest.raises(InvalidParameter):
            parse_filter_json(text)


def test_a_member_twice_is_refused_in_a_text() -> None:
    with pytest.raises(InvalidParameter, match="'width' is there twice"):
        parse_filter_json('{"or": [{"width": 1, "height": 2, "width": 3}]}')


def test_parsed_form() -> None:
    assert parse_filter({}) == And(())
    assert parse_filter({"width": 1}) == Condition("width", "eq", (1,))
    assert parse_filter({"not": {"fields.a.b": "x"}}) == Not(Condition("fields", "eq", ("x",), "a.b"))
    parsed = parse_filter({"tags": {"any": ["b", "a"]}, "or": [{"width": {"gt": 1}}, {"fields.x": 1}]})
    assert members(parsed) == {"tags", "width", "fields"}
    assert hash(parsed) == hash(
        parse_filter({"tags": {"any": ["b", "a"]}, "or": [{"width": {"gt": 1}}, {"fields.x": 1}]})
    )


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["width", "tags", "or", "not", "fields.x", "eq", "any", "id", "zz"]), inner, max_size=3
            )
        ),
    )
)
def test_anything_parses_or_is_refused(value: Any) -> None:
    try:
        wanted = parse_filter(value)
    except InvalidParameter:
        return
    assert matches(wanted, RECORD) in (True, False)


def test_a_record_without_sources_has_an_empty_source_name() -> None:
    bare = replace(RECORD, sources=())
    assert matches(parse_filter({"source_name": ""}), bare)
    assert not matches(parse_filter({"source_name": {"contains": "x"}}), bare)
