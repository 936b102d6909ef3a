"""What a rank means."""

from __future__ import annotations

import pytest

from image_search.ranking import Found, Weights, by_image, collapse, cut_page, fuse
from image_search.types import ImageRecord, SearchHit


def _record(name: str) -> ImageRecord:
    return ImageRecord(image_id=name, object_key="", size_px=(1, 1))


def _hits(**scores: float) -> list[SearchHit]:
    return [SearchHit(_record(name), score) for name, score in scores.items()]


def _ids(found: list[Found]) -> list[str]:
    return [hit.record.image_id for hit in found]


@pytest.mark.parametrize(
    ("found", "top_k", "offset", "page", "more"),
    [
        ([1, 2, 3], 2, 0, [1, 2], True),
        ([1, 2], 2, 0, [1, 2], False),
        ([1], 2, 0, [1], False),
        ([], 2, 0, [], False),
        ([1, 2, 3], 2, 1, [2, 3], False),
        ([1, 2, 3, 4], 2, 1, [2, 3], True),
        ([1], 2, 5, [], False),
    ],
)
def test_a_page_knows_whether_there_is_another(
    found: list[int], top_k: int, offset: int, page: list[int], more: bool
) -> None:
    assert cut_page(found, top_k, offset) == (page, more)


def test_what_both_searches_found_comes_before_what_one_did() -> None:
    found = fuse(_hits(a=0.8, b=0.7), _hits(b=9.0, c=9.0), Weights(), cosines={"c": 0.1}, bm25={}, best_bm25=9.0)
    assert _ids(found) == ["b", "c", "a"]
    b, c, a = found
    assert (b.image_score, b.text_score, b.by_image, b.by_text) == (0.7, 9.0, True, True)
    assert (c.image_score, c.text_score, c.by_image, c.by_text) == (0.1, 9.0, False, True)
    assert (a.image_score, a.text_score, a.by_image, a.by_text) == (0.8, None, True, False)
    assert b.score == pytest.approx((0.7 + 1) / 2)
    assert all(0 <= hit.score <= 1 for hit in found)


@pytest.mark.parametrize(
    ("weights", "order"),
    [
        (Weights(1, 0), ["a", "b"]),
        (Weights(0, 1), ["b", "a"]),
        (Weights(10, 1), ["a", "b"]),
        (Weights(1, 10), ["b", "a"]),
    ],
)
def test_weights_decide_between_picture_and_words(weights: Weights, order: list[str]) -> None:
    assert _ids(fuse(_hits(a=0.9, b=0.5), _hits(b=3.0), weights, cosines={}, bm25={"a": 0.01}, best_bm25=3.0)) == order


def test_a_cosine_below_zero_counts_as_none_and_is_still_told() -> None:
    (found,) = fuse(_hits(a=-0.4), _hits(a=2.0), Weights(), cosines={}, bm25={}, best_bm25=2.0)
    assert (found.score, found.image_score) == (0.5, -0.4)
    assert fuse(_hits(a=-0.4), [], Weights(), cosines={}, bm25={}, best_bm25=9.0) == []


def test_what_the_words_found_is_found_by_the_picture_only_from_the_cut_off_on() -> None:
    found = fuse(
        _hits(a=0.6, b=0.3, c=0.2), _hits(a=2.0, b=2.0), Weights(), cosines={}, bm25={}, best_bm25=2.0, cut_off=0.5
    )
    assert {hit.record.image_id: (hit.by_image, hit.by_text) for hit in found} == {
        "a": (True, True),
        "b": (False, True),
        "c": (True, False),
    }


def test_equal_scores_are_in_order_of_their_ids() -> None:
    assert _ids(fuse(_hits(b=0.5, a=0.5), [], Weights(), cosines={}, bm25={}, best_bm25=9.0)) == ["a", "b"]


def test_doubles_stand_behind_the_best_of_them() -> None:
    found = by_image(_hits(a1=0.9, b1=0.8, a2=0.7, c1=0.6, a3=0.5))
    shown = collapse(found, lambda one, other: one.image_id[0] == other.image_id[0])
    assert [(hit.record.image_id, hit.hidden) for hit in shown] == [("a1", ("a2", "a3")), ("b1", ()), ("c1", ())]
