"""The contract of `interfaces.VectorStore`: filters, lists, samples and the search by words."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from image_search.errors import CollectionNotFound, InvalidParameter
from image_search.filters import MAX_IDS, matches, parse_filter
from image_search.interfaces import VectorStore
from image_search.types import ImageRecord, SearchHit, SearchParams
from tests.vectors import SPEC, collection_name, image_id, not_on_lite3, record, unit_rows

HOSTILE = [
    "", "a", "abc", "ABC", "a b", "1", "1.0", "true", "null", '"', "'", "\\", "\\\\", '\\"', 'a"b', "a'b", "a\\b",
    "a\\nb", "a\nb", "\n", "\r\n", "a\tb", "a\x00b", "\x00", "\x01\x7f", "%", "%%", "_", "a%b", "a_b", "axb", "a\\%b",
    "a\\_b", "{a}", "{{", "[0]", "a[0]", "]", "(", ")", "$1", ".*", "a.b", "^a$", "a|b", "?", "+", "#", "--", "/*",
    "//",     "münchen", "mu\u0308nchen", "猫", "猫在", "🐶", "🐕‍🦺", "\u2028", "\ufeff", "\U0010ffff", "é", "\u0301",
    '" or image_id != "', '") or (image_id != "', "' or 1 == 1", 'image_id != ""', "not true", "\\u0061", "\\x61",
    "a" * 200, '"' * 50, "\\" * 51, "_" * 20, "%" * 20,
]  # fmt: skip
"""Texts that mean something to a parser of expressions, patterns, JSON or keys."""
NAMES = [
    "x",
    "y",
    "a.b",
    'a"b',
    "a'b",
    "a\\b",
    "a]b",
    "a[0]",
    "[",
    "",
    " ",
    "a/b",
    "~1",
    "a\nb",
    "ü猫",
    "0",
    "{x}",
    "%",
]
NUMBERS: list[int | float] = [
    0, 1, -1, 1.0, -0.0, 0.5, 0.1, 0.1 + 0.2, 400, -3, 2**31, 2**53 - 1, 2**53, 2**53 + 1, float(2**53), -(2**53) - 1,
    2**62, 2**62 + 1, float(2**62), 2**63 - 1, -(2**63), 5e-324, 1e-7, 1e22, 1e300, -1e300, 9.3e18,
]  # fmt: skip
SCALARS = [*HOSTILE, *NUMBERS, True, False]


def hostile_records(n: int) -> list[ImageRecord]:
    draw = random.Random(7)
    made = []
    for i in range(n):
        names = draw.sample(NAMES, draw.randint(0, 6))
        made.append(
            ImageRecord(
                image_id(i),
                "k",
                (draw.choice([0, 1, 799, 800, 801, 2**62]), draw.choice([0, 600])),
                sources=tuple(draw.sample(HOSTILE, draw.randint(0, 2))),
                title=draw.choice(HOSTILE),
                tags=tuple(draw.sample(HOSTILE, draw.randint(0, 4))),
                text=draw.choice(HOSTILE) + draw.choice(HOSTILE),
                fields={name: draw.choice([*SCALARS, None]) for name in names},
                low_detail=draw.random() < 0.5,
                created_at_s=draw.choice([-1, 0, 1_767_225_600]),
                source_url=draw.choice(HOSTILE),
            )
        )
    return made


RECORDS = hostile_records(400)

texts = st.sampled_from(HOSTILE) | st.builds(lambda a, b: a + b, st.sampled_from(HOSTILE), st.sampled_from(HOSTILE))
texts |= st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
numbers = st.sampled_from(NUMBERS) | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
times = st.sampled_from(["1970-01-01T00:00:00Z", "2026-01-01T00:00:00.5+00:00", "1969-12-31T23:59:59Z"])


def asked(operators: Sequence[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    one = st.builds(lambda op, value: {op: value}, st.sampled_from(operators), values)
    return one | values if "eq" in operators else one


def lists(operators: Sequence[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return asked(operators, st.lists(values, min_size=1, max_size=4))


orders = ["gt", "gte", "lt", "lte"]
text_conditions = asked(["eq", "ne", "contains", "starts_with"], texts) | lists(["in"], texts)
field_conditions = (
    asked(["eq", "ne"], texts | numbers | st.booleans())
    | asked(orders, texts | numbers)
    | lists(["in"], texts | numbers | st.booleans())
    | asked(["exists"], st.booleans())
)
conditions = st.one_of(
    st.builds(lambda value: {"tags": value}, lists(["any", "all", "none"], texts)),
    st.builds(
        lambda member, value: {member: value},
        st.sampled_from(["title", "text", "source_name", "source_url"]),
        text_conditions,
    ),
    st.builds(
        lambda name, value: {f"fields.{name}": value},
        st.sampled_from(NAMES) | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
        field_conditions,
    ),
    st.builds(
        lambda member, value: {member: value},
        st.sampled_from(["width", "height"]),
        asked(["eq", "ne", *orders], st.sampled_from([0, 1, 800, 800.5, -0.5]) | numbers),
    ),
    st.builds(lambda value: {"created_at": value}, asked(["eq", "ne", *orders], times)),
    st.builds(lambda value: {"low_detail": value}, asked(["eq", "ne"], st.booleans())),
    st.builds(
        lambda op, numbers: {"id": {op: [image_id(i) for i in numbers]}},
        st.just("in"),
        st.lists(st.integers(0, 450), min_size=1, max_size=5),
    ),
)
filters = st.recursive(
    conditions,
    lambda inner: (
        st.builds(lambda parts: {"and": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda parts: {"or": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda part: {"not": part}, inner)
    ),
    max_leaves=6,
)


def ids_of(records: Sequence[ImageRecord]) -> list[str]:
    return [record.image_id for record in records]


def ids(hits: Sequence[SearchHit]) -> list[str]:
    return [hit.record.image_id for hit in hits]


@pytest.fixture(scope="session")
def hostile_lite(lite_store: VectorStore) -> Iterator[tuple[Any, str]]:
    made = collection_name()
    lite_store.create_collection(made, SPEC)
    lite_store.upsert(made, RECORDS, unit_rows(len(RECORDS)))
    yield lite_store, made
    lite_store.drop_collection(made)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(filters)
def test_an_embedded_library_finds_exactly_what_matches(hostile_lite: tuple[Any, str], wanted: Any) -> None:
    """The expression alone finds all of it, and no more where it says that it is exact."""
    store, made = hostile_lite
    where = parse_filter(wanted)
    expected = sorted(record.image_id for record in RECORDS if matches(where, record))
    said = store._reader.compile(where)
    by_expression = list(store._reader.ids(store._catalogue.open(made), said.text))
    assert set(expected) <= set(by_expression), said
    if said.exact:
        assert expected == by_expression, said
    assert ids_of(store.list_records(made, where=where, limit=1000)) == expected
    assert store.count(made, where) == len(expected)


def test_each_hostile_text_by_itself(hostile_lite: tuple[Any, str]) -> None:
    store, made = hostile_lite
    opened = store._catalogue.open(made)
    for text in HOSTILE:
        for wanted in (
            {"title": text},
            {"title": {"contains": text}},
            {"source_url": {"starts_with": text}},
            {"tags": {"any": [text]}},
            {"fields.x": text},
            {f"fields.{text}": {"exists": True}},
        ):
            where = parse_filter(wanted)
            expected = sorted(record.image_id for record in RECORDS if matches(where, record))
            said = store._reader.compile(where)
            found = set(store._reader.ids(opened, said.text))
            assert found == set(expected) if said.exact else found >= set(expected), (wanted, said)


FILTERS: list[dict[str, Any]] = [
    {},
    {"tags": {"any": ["a", "猫", 'a"b']}},
    {"tags": {"none": ["a"]}},
    {"title": {"contains": "a"}},
    {"not": {"title": {"contains": "a"}}},
    {"width": {"gte": 800}, "low_detail": False},
    {"or": [{"fields.x": 1}, {"fields.y": {"exists": True}}]},
    {"fields.x": {"exists": False}},
    {"title": "a\nb"},
    {"title": "not there"},
    {"id": {"in": [image_id(i) for i in range(MAX_IDS)]}},
]


@pytest.fixture
def hostile(store: VectorStore, name: str) -> VectorStore:
    store.upsert(name, RECORDS, unit_rows(len(RECORDS)))
    return store


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_a_search_within_a_filter_is_exact(hostile: VectorStore, name: str, wanted: dict[str, Any]) -> None:
    if "or" in wanted:
        not_on_lite3(hostile, "takes true for 1 in a JSON column")
    where = parse_filter(wanted)
    rows, queries = unit_rows(len(RECORDS)), unit_rows(3, seed=1)
    scores = rows @ queries.T
    for top_k, offset in ((5, 0), (7, 3), (16_384, 0)):
        hits = hostile.search(name, queries, SearchParams(top_k, offset), where)
        for q, found in enumerate(hits):
            order = [i for i in np.argsort(-scores[:, q]) if matches(where, RECORDS[i])]
            assert ids(found) == [RECORDS[i].image_id for i in order[offset : offset + top_k]]
    floor = float(np.sort(scores[:, 0])[-100])
    found = hostile.search(name, queries[:1], SearchParams(400, min_score=floor), where)[0]
    assert len(found) == sum(bool(scores[i, 0] >= floor and matches(where, r)) for i, r in enumerate(RECORDS))


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
def test_lists_counts_and_samples_within_a_filter(hostile: VectorStore, name: str, wanted: dict[str, Any]) -> None:
    if "or" in wanted:
        not_on_lite3(hostile, "takes true for 1 in a JSON column")
    where = parse_filter(wanted)
    expected = sorted((r for r in RECORDS if matches(where, r)), key=lambda r: r.image_id)
    assert hostile.count(name, where) == len(expected)
    assert hostile.list_records(name, where=where, limit=1000) == expected
    paged: list[ImageRecord] = []
    while page := hostile.list_records(name, where=where, after=paged[-1].image_id if paged else None, limit=37):
        paged += page
    assert paged == expected
    drawn = hostile.sample(name, 20, where)
    assert len(set(ids_of(drawn))) == len(drawn) == min(20, len(expected))
    assert all(matches(where, r) for r in drawn)


def test_ties_and_few_matches_within_a_filter(store: VectorStore, name: str) -> None:
    """The last of 300 equal vectors are found although a filter cannot be said in an expression."""
    same = np.repeat(unit_rows(1), 300, axis=0)
    records = [record(i, tags=("x",) if i % 60 else ()) for i in range(300)]
    store.upsert(name, records, same)
    where = parse_filter({"tags": {"none": ["x"]}})
    expected = sorted(image_id(i) for i in range(0, 300, 60))
    for top_k in (1, 2, 5, 50):
        assert ids(store.search(name, same[:1], SearchParams(top_k), where)[0]) == expected[:top_k]


def test_few_matches_far_away(lite_store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the largest window the matching rows are sought first, then ranked."""
    monkeypatch.setattr("image_search.vectors.milvus_search.MAX_WINDOW", 100)
    made = collection_name()
    lite_store.create_collection(made, SPEC)
    rows, query = unit_rows(400), unit_rows(1, seed=5)
    far = np.argsort(rows @ query[0])[:150]
    records = [record(i, text="word", tags=() if i in far else ("x",)) for i in range(400)]
    lite_store.upsert(made, records, rows)
    where = parse_filter({"tags": {"none": ["x"]}})
    found = ids(lite_store.search(made, query, SearchParams(5), where)[0])
    assert found == [image_id(i) for i in far[::-1][:5]]
    assert len(lite_store.search_text(made, "word", SearchParams(20), where)) == 20
    lite_store.drop_collection(made)


def test_lists_while_rows_come_and_go(store: VectorStore, name: str) -> None:
    store.upsert(name, [record(i) for i in range(200)], unit_rows(200))
    order = sorted(image_id(i) for i in range(200))
    seen: list[str] = []
    for k in range(30):
        page = store.list_records(name, after=seen[-1] if seen else None, limit=10)
        seen += ids_of(page)
        store.delete(name, ids_of(page)[:5] + order[-5:])
        store.upsert(name, [record(f"late {k}")], unit_rows(1))
        if len(page) < 10:
            break
    assert seen == sorted(set(seen))
    assert set(order[:-5]) <= set(seen)


def test_samples_are_spread(store: VectorStore, name: str) -> None:
    assert store.sample(name, 5) == []
    store.upsert(name, [record(i) for i in range(50)], unit_rows(50))
    assert len(store.sample(name, 50)) == len(store.sample(name, 1000)) == 50
    assert {r.image_id for _ in range(80) for r in store.sample(name, 10)} == {image_id(i) for i in range(50)}
    orders = {tuple(ids_of(store.sample(name, 50))) for _ in range(3)}
    assert len(orders) > 1


def test_what_lists_refuse(store: VectorStore, name: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: store.list_records(name, limit=0),
        lambda: store.list_records(name, limit=16_385),
        lambda: store.list_records(name, after='" or image_id != "'),
        lambda: store.sample(name, 0),
    ]
    for call in calls:
        with pytest.raises(InvalidParameter):
            call()
    for call in (
        lambda: store.list_records("nowhere"),
        lambda: store.sample("nowhere", 1),
        lambda: store.count("nowhere", parse_filter({"width": 1})),
        lambda: store.search_text("nowhere", "cat", SearchParams()),
        lambda: store.search("nowhere", unit_rows(1), SearchParams(), parse_filter({"width": 1})),
    ):
        with pytest.raises(CollectionNotFound):
            call()


WORDS = {
    "muenchen": "Schönes München im Winter", "munchen": "munchen beer", "cafe": "Café Crème",
    "dogs": "Running dogs at night",
    "cat zh": "猫在睡觉", "cat ja": "ネコ", "tokyo": "東京タワーの夜景", "dog ru": "Собака бежит домой",
    "tree ru": "Ёлка",
    "party": "birthday 🎉 party", "html": "<b>bold</b> &amp; <br/>caf&eacute; noir", "korean": "한국어 고양이",
    "quote": 'a "quoted" title\\', "file": "IMG_1234.jpg", "stop": "the and of",
}  # fmt: skip


@pytest.fixture
def text_store(store: VectorStore) -> VectorStore:
    """Asked for before `name`, so that a skip costs no collection."""
    if not store.supports_text:
        pytest.skip("the server is older than Milvus 2.5 and has no search by words")
    return store


@pytest.fixture
def library(text_store: VectorStore, name: str) -> Callable[[str], list[str]]:
    """Finds the keys of WORDS."""
    store = text_store
    records = [record(key, title="", text=text) for key, text in WORDS.items()]
    store.upsert(name, records, unit_rows(len(records)))
    keys = {image_id(key): key for key in WORDS}
    return lambda query: [keys[i] for i in ids(store.search_text(name, query, SearchParams(100)))]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("münchen", {"muenchen", "munchen"}),
        ("munchen", {"muenchen", "munchen"}),
        ("MU\u0308NCHEN!", {"muenchen", "munchen"}),
        ("cafe", {"cafe", "html"}),
        ("CAFÉ", {"cafe", "html"}),
        ("creme", {"cafe"}),
        ("dogs", {"dogs"}),
        ("NIGHT", {"dogs"}),
        ("猫", {"cat zh"}),
        ("睡觉", {"cat zh"}),
        ("ネコ", {"cat ja"}),
        ("東京", {"tokyo"}),
        ("夜景", {"tokyo"}),
        ("собака", {"dog ru"}),
        ("елка", {"tree ru"}),
        ("🎉", {"party"}),
        ("고양이", {"korean"}),
        ("<b>bold</b>", {"html"}),
        ("1234", {"file"}),
        ("dogs 猫", {"dogs", "cat zh"}),
        ("quoted\\", {"quote"}),
        ("", set()),
        ("   ", set()),
        ("the of AND", set()),
        ("!!! ... \" ' \\ %", set()),
        ("\x00", set()),
        ("absent", set()),
        ('" or image_id != "', set()),
        ('{"bool": {"must": []}}', set()),
    ],
)
def test_words(text_store: VectorStore, library: Callable[[str], list[str]], query: str, found: set[str]) -> None:
    if query == "🎉":
        not_on_lite3(text_store, "takes no sign for a word")
    assert set(library(query)) == found


@pytest.mark.parametrize(("query", "found"), [("dog", {"dogs"}), ("run", {"dogs"}), ("nights", {"dogs"})])
def test_english_endings(lite_store: VectorStore, query: str, found: set[str]) -> None:
    made = collection_name()
    lite_store.create_collection(made, SPEC)
    lite_store.upsert(made, [record(key, title=text) for key, text in WORDS.items()], unit_rows(len(WORDS)))
    hits = lite_store.search_text(made, query, SearchParams())
    assert set(ids(hits)) == {image_id(key) for key in found}
    lite_store.drop_collection(made)


def test_a_title_weighs_more_than_a_tag_and_a_tag_more_than_a_text(text_store: VectorStore, name: str) -> None:
    filler = "one two three four five six"
    records = [
        record("text", title="", text=f"cat {filler}"),
        record("tag", title="", tags=("cat",), text=filler),
        record("title", title="cat", text=filler),
        record("none", title="dog", text=filler),
    ]
    text_store.upsert(name, records, unit_rows(4))
    hits = text_store.search_text(name, "cat", SearchParams(min_score=100.0))
    assert ids(hits) == [image_id("title"), image_id("tag"), image_id("text")]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[-1].score > 0
    assert hits[0].record == records[2]


def test_pages_and_filters_of_words(text_store: VectorStore, name: str) -> None:
    not_on_lite3(text_store, "counts how rare a word is within the filter: other scores and ties")
    draw = random.Random(3)
    records = [
        record(
            i, title=" ".join(draw.choices(["cat", "dog", "bird"], k=3)), tags=("x",) if i % 2 else (), size_px=(i, 1)
        )
        for i in range(150)
    ]
    text_store.upsert(name, records, unit_rows(150))
    whole = ids(text_store.search_text(name, "cat bird", SearchParams(16_384)))
    assert set(whole) == {r.image_id for r in records if {"cat", "bird"} & set(r.title.split())}
    paged = [i for k in range(0, 150, 11) for i in ids(text_store.search_text(name, "cat bird", SearchParams(11, k)))]
    assert paged == whole
    for wanted in ({"width": {"lt": 40}}, {"tags": {"any": ["x"]}}, {"tags": {"none": ["x"]}}, {"title": "no"}):
        where = parse_filter(wanted)
        kept = {r.image_id for r in records if matches(where, r)}
        for top_k, offset in ((16_384, 0), (5, 3)):
            found = ids(text_store.search_text(name, "cat bird", SearchParams(top_k, offset), where))
            assert found == [i for i in whole if i in kept][offset : offset + top_k], wanted


def test_words_of_changed_and_deleted_records(text_store: VectorStore, name: str) -> None:
    text_store.upsert(name, [record(i, title=f"word{i}") for i in range(3)], unit_rows(3))
    text_store.update(name, [record(0, title="other")])
    text_store.delete(name, [image_id(1)])
    assert text_store.search_text(name, "word0 word1", SearchParams()) == []
    assert ids(text_store.search_text(name, "other", SearchParams())) == [image_id(0)]


def test_the_longest_texts_and_queries(text_store: VectorStore, name: str) -> None:
    english = " ".join(f"word{i}" for i in range(9000))[:65_535]
    text_store.upsert(
        name, [record(1, text=english), record(2, text="猫" * 21_845), record(3, text="x" * 65_535)], unit_rows(3)
    )
    assert ids(text_store.search_text(name, "word6000", SearchParams())) == [image_id(1)]
    assert ids(text_store.search_text(name, english, SearchParams())) == [image_id(1)]
    assert ids(text_store.search_text(name, "猫" * 21_845, SearchParams())) == [image_id(2)]
    for bad in ("x" * 65_536, "half \ud83d"):
        with pytest.raises(InvalidParameter):
            text_store.search_text(name, bad, SearchParams())
    with pytest.raises(InvalidParameter):
        text_store.search_text(name, "x", SearchParams(0))


def test_empty_collection_has_no_words(text_store: VectorStore, name: str) -> None:
    assert text_store.search_text(name, "cat", SearchParams()) == []
    assert text_store.list_records(name) == []
    text_store.upsert(name, [record(1, title="")], unit_rows(1))
    assert text_store.search_text(name, "cat", SearchParams()) == []
    text_store.delete(name, [image_id(1)])
    assert text_store.search_text(name, "cat", SearchParams()) == []


def test_an_older_server_says_that_it_has_no_words(milvus_store: VectorStore) -> None:
    made = collection_name()
    milvus_store.create_collection(made, SPEC)
    assert not milvus_store.supports_text
    with pytest.raises(InvalidParameter, match=r"Milvus 2\.5"):
        milvus_store.search_text(made, "cat", SearchParams())
    milvus_store.drop_collection(made)
