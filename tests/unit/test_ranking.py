"""What a rank means."""

from __future__ import annotations

import pytest

from image_search.ranking import cut_page, match_kind


def test_identical_is_the_same_id() -> None:
    assert match_kind("aa", "aa") == "identical"
    assert match_kind("aa", "ab") == "similar"
    assert match_kind(None, "aa") == "similar"


@pytest.mark.parametrize(
    ("found", "top_k", "page", "more"),
    [
        ([1, 2, 3], 2, [1, 2], True),
        ([1, 2], 2, [1, 2], False),
        ([1], 2, [1], False),
        ([], 2, [], False),
    ],
)
def test_a_page_knows_whether_there_is_another(found: list[int], top_k: int, page: list[int], more: bool) -> None:
    assert cut_page(found, top_k) == (page, more)
