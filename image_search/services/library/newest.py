"""Records by the time they were added, newest first, of a store that lists by id only.

Counting is cheap everywhere and sorting is not there (Milvus Lite), or not for so many rows: so the page is found by
counting narrower and narrower spans of time, and only its own rows are read.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from image_search.errors import InvalidParameter
from image_search.filters import And, Condition, Filter
from image_search.interfaces import VectorStore
from image_search.metadata.entry import FIRST_S, LAST_S
from image_search.names import is_sha256
from image_search.types import ImageRecord

_TIME_DIGITS = 10
"""Hex digits that hold every second of the years 1 to 9999."""
_MOST_ROWS = 16_384
"""Of one list, by the store's contract."""


def place_of(record: ImageRecord) -> str:
    """What the page that comes after this record is asked by: it stays right whatever comes and goes."""
    seconds = min(max(record.created_at_s, FIRST_S), LAST_S) - FIRST_S
    return f"{seconds:0{_TIME_DIGITS}x}{record.image_id}"


def parse_place(place: str) -> tuple[int, str]:
    """(created_at_s, image_id) of `place_of`. Raises InvalidParameter."""
    digits, image_id = place[:_TIME_DIGITS], place[_TIME_DIGITS:]
    try:
        seconds = int(digits, 16)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= LAST_S - FIRST_S or not is_sha256(image_id):
        raise InvalidParameter("after", "must be `next` of the page before")
    return seconds + FIRST_S, image_id


def newest_first(
    store: VectorStore, name: str, *, where: Filter | None = None, after: str | None = None, limit: int = 100
) -> list[ImageRecord]:
    """The first `limit` records after a place, newest first, those of one second by image_id; fewer = the end.

    Every record that stays as it is is seen once. Raises InvalidParameter for `after`.
    """

    def within(first_s: int, before_s: int) -> Filter:
        span = (Condition("created_at", "gte", (first_s,)), Condition("created_at", "lt", (before_s,)))
        return And(span if where is None else (*span, where))

    def count(first_s: int, before_s: int) -> int:
        return store.count(name, within(first_s, before_s))

    found: list[ImageRecord] = []
    if after is not None:
        upper_s, last_id = parse_place(after)
        # The rest of the second in which the page before ended.
        found += store.list_records(name, where=within(upper_s, upper_s + 1), after=last_id, limit=limit)
    else:
        now_s = int(time.time()) + 1
        upper_s = LAST_S + 1 if count(now_s, LAST_S + 1) else now_s
    while len(found) < limit:
        needed = limit - len(found)
        span = _span_before(upper_s, needed, count)
        if span is None:
            break
        first_s, before_s = span
        rows = needed if before_s - first_s == 1 else _MOST_ROWS
        records = store.list_records(name, where=within(first_s, before_s), limit=rows)
        found += sorted(records, key=lambda record: (-record.created_at_s, record.image_id))
        upper_s = first_s
    return found[:limit]


def _span_before(upper_s: int, needed: int, count: Callable[[int, int], int]) -> tuple[int, int] | None:
    """The next span [first, before) that has records: some `needed` of them, or a single second; None = no more."""
    width_s, there = 1, 0
    while upper_s > FIRST_S:
        first_s = max(upper_s - width_s, FIRST_S)
        there = count(first_s, upper_s)
        if there >= needed or first_s == FIRST_S:
            break
        width_s *= 4
    if not there:
        return None
    # The span is too wide from `first_s` on, and not from `good_s` on.
    good_s = upper_s
    while there > 2 * needed and good_s - first_s > 1:
        middle_s = (first_s + good_s) // 2
        inside = count(middle_s, upper_s)
        if inside > 2 * needed:
            first_s = middle_s
        else:
            good_s = middle_s
            if inside >= needed:
                break
    if there <= 2 * needed:
        return first_s, upper_s
    if good_s < upper_s and count(good_s, upper_s):
        return good_s, upper_s
    # Nothing comes after the one second that has so many.
    return first_s, first_s + 1
