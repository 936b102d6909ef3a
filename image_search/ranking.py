"""What a rank means: kinds of match, and pages that tell the truth. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypeVar

MatchKind: TypeAlias = Literal["identical", "near_duplicate", "similar"]
T = TypeVar("T")

MAX_TOP_K = 1000
MAX_WINDOW = 16_384
"""offset + top_k at most: what Milvus searches in one call."""


def match_kind(query_id: str | None, image_id: str) -> MatchKind:
    """identical = the same bytes as the query picture."""
    return "identical" if query_id == image_id else "similar"


def cut_page(hits: Sequence[T], top_k: int) -> tuple[list[T], bool]:
    """The first top_k of hits that were asked for one more, and whether there are more."""
    return list(hits[:top_k]), len(hits) > top_k
