"""Newest first, against sorting all of it."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import pytest

import image_search.services.library.newest as newest
from image_search.errors import InvalidParameter
from image_search.filters import parse_filter
from image_search.metadata.entry import FIRST_S, LAST_S
from image_search.services.library.newest import newest_first, parse_place, place_of
from image_search.storage.keys import original_key
from image_search.types import CollectionSpec, ImageRecord
from image_search.vectors.memory_store import MemoryVectorStore

NOW_S = 1_790_000_000


def record(number: int, created_at_s: int) -> ImageRecord:
    image_id = hashlib.sha256(str(number).encode()).hexdigest()
    return ImageRecord(
        image_id, original_key(image_id), (100 + number % 7, 80), (f"{number}.jpg",), created_at_s=created_at_s
    )


def times(kind: str) -> list[int]:
    draw = random.Random(5)
    return {
        "spread": [NOW_S - draw.randrange(10**8) for _ in range(300)],
        "one second": [NOW_S] * 300,
        "bursts": [NOW_S - 86_400 * (n // 100) - n % 3 for n in range(300)],
        "ages": [draw.choice([FIRST_S, -5, 0, 1, NOW_S, NOW_S * 2, LAST_S]) for _ in range(100)],
        "lone": [FIRST_S],
        "none": [],
    }[kind]


def filled(kind: str) -> tuple[MemoryVectorStore, list[ImageRecord]]:
    store = MemoryVectorStore()
    store.create_collection("c", CollectionSpec(model_id="m@0", dim=2))
    records = [record(number, seconds) for number, seconds in enumerate(times(kind))]
    if records:
        store.upsert("c", records, np.tile(np.float32([1, 0]), (len(records), 1)))
    return store, sorted(records, key=lambda one: (-one.created_at_s, one.image_id))


def pages(store: MemoryVectorStore, limit: int, where: object = None) -> list[ImageRecord]:
    found: list[ImageRecord] = []
    after = None
    parsed = None if where is None else parse_filter(where)
    while page := newest_first(store, "c", where=parsed, after=after, limit=limit):
        found += page
        after = place_of(page[-1])
        assert len(page) == limit or not newest_first(store, "c", where=parsed, after=after, limit=limit)
    return found


@pytest.mark.parametrize("kind", ["spread", "one second", "bursts", "ages", "lone", "none"])
@pytest.mark.parametrize("limit", [1, 7, 60, 1001])
def test_the_pages_are_the_sorted_whole(kind: str, limit: int) -> None:
    store, wanted = filled(kind)
    assert [one.image_id for one in pages(store, limit)] == [one.image_id for one in wanted]


def test_a_filter_holds_on_every_page() -> None:
    store, all_of_them = filled("bursts")
    found = pages(store, 10, {"width": {"gte": 104}})
    assert [one.image_id for one in found] == [one.image_id for one in all_of_them if one.size_px[0] >= 104]


def test_what_comes_and_goes_meanwhile_moves_nothing_else() -> None:
    store, wanted = filled("spread")
    first = newest_first(store, "c", limit=50)
    store.delete("c", [first[-1].image_id, wanted[120].image_id])
    store.upsert("c", [record(1000, NOW_S + 1), record(1001, wanted[10].created_at_s)], np.float32([[1, 0], [1, 0]]))
    rest: list[ImageRecord] = []
    after = place_of(first[-1])
    while page := newest_first(store, "c", after=after, limit=50):
        rest += page
        after = place_of(page[-1])
    assert [one.image_id for one in rest] == [one.image_id for one in wanted[50:] if one is not wanted[120]]


def test_it_counts_little_and_reads_only_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = filled("spread")
    counted, read = [], []
    real_count, real_list = store.count, store.list_records
    monkeypatch.setattr(store, "count", lambda *given: counted.append(1) or real_count(*given))
    monkeypatch.setattr(
        store,
        "list_records",
        lambda *given, **named: read.append(len(real_list(*given, **named))) or real_list(*given, **named),
    )
    newest_first(store, "c", limit=20)
    assert len(counted) <= 40
    assert sum(read) <= 3 * 20


@pytest.mark.parametrize("place", ["", "x", "0" * 74, "f" * 74, "0" * 10 + "g" * 64, "-" * 10 + "0" * 64, "0" * 73])
def test_a_place_that_is_none(place: str) -> None:
    if place == "0" * 74:
        assert parse_place(place) == (FIRST_S, "0" * 64)
        return
    with pytest.raises(InvalidParameter):
        parse_place(place)
    assert newest._TIME_DIGITS == 10
