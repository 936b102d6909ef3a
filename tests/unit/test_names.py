"""How collections and projections are spelt."""

from __future__ import annotations

import pytest

from image_search.errors import InvalidParameter
from image_search.names import check_collection_name, parse_projection


@pytest.mark.parametrize(
    ("text", "wanted"), [("none", ("none", 0)), ("pca:256", ("pca", 256)), ("random:2", ("random", 2))]
)
def test_a_projection(text: str, wanted: tuple[str, int]) -> None:
    assert parse_projection(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "pca", "pca:", "pca:0", "pca:1", "pca:-1", "pca:1.5", "PCA:4", "pca:4 ", "lda:4", "pca:４", "pca:99999"],
)
def test_what_is_no_projection(text: str) -> None:
    with pytest.raises(InvalidParameter, match="none, pca:N or random:N") as caught:
        parse_projection(text)
    assert caught.value.field == "projection"


@pytest.mark.parametrize("name", ["a", "default", "Photos_2024", "a_b_c", "x" * 63])
def test_a_collection_name(name: str) -> None:
    assert check_collection_name(name) == name


@pytest.mark.parametrize("name", ["", "_a", "1a", "a__b", "a-b", "a b", "../a", "ä", "a\n", "x" * 64])
def test_what_is_no_collection_name(name: str) -> None:
    with pytest.raises(InvalidParameter, match="letters, digits and single _"):
        check_collection_name(name)
