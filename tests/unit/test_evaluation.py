"""Measures against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from image_search.embedding.projection import normalise
from image_search.evaluation import exact_neighbours, latency_percentiles, recall_at_k, retrieval_quality


def on_a_circle(*degrees: float) -> NDArray[np.float32]:
    """Unit vectors in the plane: nearness is the difference of angles."""
    angles = np.radians(np.asarray(degrees))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_retrieval_quality_by_hand() -> None:
    # Rankings by angle:      0: 10(a) 25(b) 50(b)      10: 0(a) 25(b) 50(b)
    #                        25: 10(a) 0/50 (b at 25 against a at 25: see below)
    embeddings = on_a_circle(0, 10, 24, 50)
    labels = np.array([0, 0, 1, 1])
    # 0 -> 10 a, 24 b, 50 b: AP 1.  10 -> 0 a (10), 24 b (14), 50 b: AP 1.
    # 24 -> 10 a (14), 0 a (24), 50 b (26): AP 1/3.  50 -> 24 b (26), ...: AP 1.
    quality = retrieval_quality(embeddings, labels)
    assert quality.queries == 4
    assert quality.precision_at_1 == pytest.approx(3 / 4)
    assert quality.precision_at_10 == pytest.approx(4 * 0.1 / 4), "one relevant of ten places"
    assert quality.map == pytest.approx((1 + 1 + 1 / 3 + 1) / 4)


def test_average_precision_of_several_relevant() -> None:
    # Query 0 (a); others by nearness: b, a, b, a, a -> AP = (1/2 + 2/4 + 3/5) / 3
    embeddings = on_a_circle(0, 1, 2, 3, 4, 5)
    labels = np.array([0, 1, 0, 2, 0, 0])
    only_first = retrieval_quality(embeddings, labels)
    expected = {
        0: (1 / 2 + 2 / 4 + 3 / 5) / 3,
        # 2: 1(b) 3(c) tie at distance 1; 0(a) 4(a) tie at distance 2; 5(a): places 3, 4, 5
        2: (1 / 3 + 2 / 4 + 3 / 5) / 3,
        # 4: 3(c) 5(a) tie at distance 1
        4: None,
        # 5: 4(a) 3(c) 2(a) 1(b) 0(a)
        5: (1 / 1 + 2 / 3 + 3 / 5) / 3,
    }
    assert only_first.queries == 4, "b and c are alone in their classes and are not asked"
    either = [(expected[0] + expected[2] + expected[5] + fourth) / 4 for fourth in _tie_at_four()]
    assert any(only_first.map == pytest.approx(value, abs=1e-6) for value in either)


def _tie_at_four() -> list[float]:
    # 3(c) and 5(a) are equally far from 4; then 2(a), 1(b), 0(a).
    return [(1 / 2 + 2 / 3 + 3 / 5) / 3, (1 / 1 + 2 / 3 + 3 / 5) / 3]


def test_precision_at_ten_counts_of_ten_and_no_more_than_ten() -> None:
    embeddings = np.tile(on_a_circle(0), (15, 1))
    assert retrieval_quality(embeddings, np.zeros(15, int)).precision_at_10 == pytest.approx(1.0)
    assert retrieval_quality(embeddings[:4], np.zeros(4, int)).precision_at_10 == pytest.approx(0.3)


def test_a_picture_never_finds_itself() -> None:
    embeddings = on_a_circle(0, 0, 90, 90)
    quality = retrieval_quality(embeddings, np.array([0, 1, 0, 1]))
    assert quality.precision_at_1 == 0.0, "its twin of the other class comes first, not itself"


def test_classes_of_one_are_not_asked() -> None:
    quality = retrieval_quality(on_a_circle(0, 1, 50), np.array([0, 0, 1]))
    assert (quality.queries, quality.precision_at_1, quality.map) == (2, 1.0, 1.0)
    alone = retrieval_quality(on_a_circle(0, 1, 50), np.array([0, 1, 2]))
    assert (alone.queries, alone.map) == (0, 0.0)
    assert retrieval_quality(on_a_circle(0), np.array([0])).queries == 0


def test_more_queries_than_fit_one_block() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 3, 700)
    embeddings = normalise(
        np.eye(3, 8, dtype=np.float32)[labels] + 0.05 * rng.standard_normal((700, 8), dtype=np.float32)
    )
    quality = retrieval_quality(embeddings, labels)
    assert quality.queries == 700
    assert quality.map > 0.999


def test_exact_neighbours_are_the_sorted_scores() -> None:
    rng = np.random.default_rng(1)
    gallery = normalise(rng.standard_normal((500, 16), dtype=np.float32))
    queries = normalise(rng.standard_normal((300, 16), dtype=np.float32))
    found = exact_neighbours(gallery, queries, 7)
    assert found.shape == (300, 7)
    expected = np.argsort(-(queries.astype(np.float64) @ gallery.T.astype(np.float64)), axis=1)[:, :7]
    assert (found == expected).mean() > 0.999


def test_exact_neighbours_of_a_small_gallery() -> None:
    assert exact_neighbours(on_a_circle(0, 90, 45), on_a_circle(1), 10).tolist() == [[0, 2, 1]]
    assert exact_neighbours(on_a_circle(0, 90, 45), on_a_circle(1)[:0], 2).shape == (0, 2)


def test_recall_counts_what_was_found() -> None:
    gallery = on_a_circle(0, 10, 20, 30)
    queries = on_a_circle(1, 29)
    exact = exact_neighbours(gallery, queries, 2)
    assert exact.tolist() == [[0, 1], [3, 2]]
    assert recall_at_k([[1, 0], [2, 3]], exact, gallery, queries, 2) == 1.0, "order does not matter"
    assert recall_at_k([[0, 3], [3, 2]], exact, gallery, queries, 2) == 0.75
    assert recall_at_k([[0], []], exact, gallery, queries, 2) == 0.25
    assert recall_at_k([[3, 2], [0, 1]], exact, gallery, queries, 2) == 0.0
    assert recall_at_k([], exact[:0], gallery, queries[:0], 2) == 1.0


def test_recall_takes_either_of_two_equals() -> None:
    gallery = on_a_circle(0, 20, 20, 20)
    queries = on_a_circle(0)
    exact = np.array([[0, 1]])
    for twin in (1, 2, 3):
        assert recall_at_k([[0, twin]], exact, gallery, queries, 2) == 1.0


def test_recall_is_not_had_by_saying_the_same_row_again() -> None:
    gallery = on_a_circle(0, 10, 20, 30)
    queries = on_a_circle(0)
    assert recall_at_k([[0, 0, 0]], np.array([[0, 1, 2]]), gallery, queries, 3) == pytest.approx(1 / 3)


def test_recall_looks_at_k_of_what_was_found() -> None:
    gallery = on_a_circle(0, 10, 20, 30)
    queries = on_a_circle(0)
    assert recall_at_k([[3, 2, 1, 0]], np.array([[0, 1]]), gallery, queries, 2) == 0.0


def test_latency_percentiles() -> None:
    values = latency_percentiles([i / 1000 for i in range(1, 101)])
    assert values == {"p50_ms": 50.5, "p90_ms": 90.1, "p99_ms": 99.01, "mean_ms": 50.5}
    assert latency_percentiles([0.002])["p99_ms"] == 2.0
