"""Measures of quality and speed. Pure NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_search.interfaces import FloatArray


@dataclass(frozen=True, slots=True)
class RetrievalQuality:
    """Means over all queries that have at least one relevant picture."""

    precision_at_1: float
    precision_at_10: float
    map: float
    """Mean average precision over the whole ranking."""
    queries: int


def exact_neighbours(gallery: FloatArray, queries: FloatArray, k: int) -> NDArray[np.int64]:
    """(n, k) rows of the gallery nearest to each of (n, dim) queries by inner product, nearest first."""
    k = min(k, len(gallery))
    found = np.empty((len(queries), k), np.int64)
    for start in range(0, len(queries), 256):
        scores = queries[start : start + 256] @ gallery.T
        nearest = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, nearest, axis=1), axis=1, kind="stable")
        found[start : start + 256] = np.take_along_axis(nearest, order, axis=1)
    return found


def retrieval_quality(embeddings: FloatArray, labels: NDArray[np.int64]) -> RetrievalQuality:
    """Each of (n, dim) unit rows a query against all others, itself left out; relevant = the same label.

    precision@10 counts of ten, also where a class has fewer others. Average precision is the mean, over the relevant
    pictures, of the precision at the rank of each.
    """
    first = ten = average = 0.0
    queries = 0
    for start in range(0, len(embeddings), 256):
        rows = np.arange(start, min(start + 256, len(embeddings)))
        scores = embeddings[rows] @ embeddings.T
        scores[np.arange(len(rows)), rows] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
        relevant = labels[order] == labels[rows][:, None]
        counts = relevant.sum(axis=1)
        asked = counts > 0
        if not asked.any():
            continue
        relevant, counts = relevant[asked], counts[asked]
        precision = np.cumsum(relevant, axis=1) / np.arange(1, relevant.shape[1] + 1)
        first += float(relevant[:, 0].sum())
        ten += float(relevant[:, :10].sum()) / 10
        average += float(((precision * relevant).sum(axis=1) / counts).sum())
        queries += int(asked.sum())
    if not queries:
        return RetrievalQuality(0.0, 0.0, 0.0, 0)
    return RetrievalQuality(first / queries, ten / queries, average / queries, queries)


def recall_at_k(
    found: Sequence[Sequence[int]], exact: NDArray[np.int64], gallery: FloatArray, queries: FloatArray, k: int
) -> float:
    """Share of the k found that are as near as the k-th exact one; a tie counts, whichever of the equals was found.

    Source: the definition of ann-benchmarks (Aumüller, Bernhardsson, Faithfull 2018), with scores for distances.
    """
    hits = 0
    k = min(k, exact.shape[1])
    for query, rows, best in zip(queries, found, exact[:, :k], strict=True):
        threshold = float(gallery[best[-1]] @ query) - 1e-5
        # A row that is found twice is one answer.
        hits += sum(float(gallery[row] @ query) >= threshold for row in set(rows[:k]))
    return hits / (k * len(queries)) if len(queries) else 1.0


def latency_percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99 and mean in milliseconds."""
    values = np.asarray(seconds, dtype=np.float64) * 1000
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    return {
        "p50_ms": round(float(p50), 3),
        "p90_ms": round(float(p90), 3),
        "p99_ms": round(float(p99), 3),
        "mean_ms": round(float(values.mean()), 3),
    }
