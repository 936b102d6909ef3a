"""Projections beside each other: what is measured, on vectors whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from image_search.errors import InvalidParameter
from image_search.services.measuring.comparing import compare_projections, projections_to_compare
from tests.support import MeanColourProvider

RAW_DIM = 48


def clusters(per_class: int, noise: float) -> tuple[np.ndarray, list[str]]:
    """Four classes along axes of their own."""
    rng = np.random.default_rng(7)
    centres = np.eye(RAW_DIM, dtype=np.float32)[[3, 17, 29, 40]]
    raw = np.repeat(centres, per_class, axis=0) + noise * rng.standard_normal((4 * per_class, RAW_DIM), np.float32)
    return raw.astype(np.float32), [label for label in "abcd" for _ in range(per_class)]


def test_clear_classes_stay_clear_in_few_dimensions_of_a_pca() -> None:
    raw, labels = clusters(30, 0.02)
    none, pca, random = compare_projections(MeanColourProvider(), raw, labels, ["none", "pca:4", "random:4"])
    assert (none.dim, pca.dim, random.dim) == (48, 4, 4)
    assert (none.map, none.precision_at_1, none.recall_at_10) == (1.0, 1.0, 1.0)
    assert pca.map == 1.0
    # The neighbours within a class differ by noise alone, of which four numbers keep little.
    assert 0.3 < pca.recall_at_10 < 0.9
    assert random.map <= 1.0


def test_recall_is_of_the_others_and_counts_all_queries() -> None:
    raw, labels = clusters(300, 0.3)
    none, short, longer = compare_projections(MeanColourProvider(), raw, labels, ["none", "random:4", "random:32"])
    assert none.recall_at_10 == 1.0
    assert short.recall_at_10 < longer.recall_at_10 < 1.0
    assert short.map < longer.map < none.map


def test_pictures_without_a_label_only_stand_beside() -> None:
    raw, labels = clusters(20, 0.02)
    half = [label if label in "ab" else "" for label in labels]
    (found,) = compare_projections(MeanColourProvider(), raw, half, ["none"])
    assert found.map == 1.0
    (found,) = compare_projections(MeanColourProvider(), raw, [""] * len(raw), ["none"])
    assert (found.map, found.recall_at_10) == (0.0, 1.0)


def test_two_pictures_and_many_of_the_same() -> None:
    raw, labels = clusters(1, 0)
    (found,) = compare_projections(MeanColourProvider(), raw[:2], labels[:2], ["none"])
    assert found.recall_at_10 == 1.0
    same = np.repeat(raw[:1], 50, axis=0)
    (found,) = compare_projections(MeanColourProvider(), same, ["a"] * 50, ["none"])
    assert (found.map, found.recall_at_10) == (1.0, 1.0)


def test_what_cannot_be_compared_is_refused() -> None:
    raw, labels = clusters(5, 0.1)
    for wrong in (labels[:-1], []):
        with pytest.raises(InvalidParameter, match="labels"):
            compare_projections(MeanColourProvider(), raw, wrong, ["none"])
    with pytest.raises(InvalidParameter, match="labels"):
        compare_projections(MeanColourProvider(), raw[:1], labels[:1], ["none"])
    for projection in ("pca:4", "pca:64", "random:64", "umap:2"):
        with pytest.raises(InvalidParameter, match="projection"):
            compare_projections(MeanColourProvider(), raw, labels, [projection])


def test_what_is_compared_suits_the_library() -> None:
    assert projections_to_compare(5, 8) == ["none"]
    assert projections_to_compare(170, 48) == ["none", "pca:8", "pca:16", "random:8", "random:16", "random:32"]
    assert projections_to_compare(10_000, 1280)[-1] == "random:512"
