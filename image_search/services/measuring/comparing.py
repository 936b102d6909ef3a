"""What shorter vectors cost and gain: projections beside each other on one set of raw vectors."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from image_search.errors import InvalidParameter
from image_search.evaluation import exact_neighbours, recall_at_k, retrieval_quality
from image_search.interfaces import Embedder, EmbedderProvider, FloatArray
from image_search.names import parse_projection

MAX_QUERIES = 1000
K = 10


@dataclass(frozen=True, slots=True)
class ProjectionQuality:
    """How good one projection is; each picture is asked against all others."""

    projection: str
    """As it is configured: none, pca:64, random:64."""
    dim: int
    precision_at_1: float
    map: float
    """Mean average precision; relevant = the same label."""
    recall_at_10: float
    """Share of the ten nearest by the network's own vectors that are among the ten nearest by these."""
    search_ms: float
    """One query against all pictures, exact, in NumPy."""


def projections_to_compare(count: int, raw_dim: int) -> list[str]:
    """None, and PCA and random at the powers of two from 8 to 512 that shorten vectors of `raw_dim` numbers.

    A PCA wants ten vectors for each dimension that it keeps.
    """
    dims = [2**power for power in range(3, 10) if 2**power < raw_dim]
    fitted = [f"pca:{dim}" for dim in dims if count >= 10 * dim]
    return ["none", *fitted, *(f"random:{dim}" for dim in dims)]


def fitted(provider: EmbedderProvider, raw: FloatArray, projection: str) -> Embedder:
    """The embedder with a projection as it is configured; a PCA is fitted on (n, raw_dim) raw vectors, and saved.

    Raises InvalidParameter: no such projection, or too few vectors for it.
    """
    wanted = parse_projection(projection)
    if wanted.kind == "pca":
        return provider.get(provider.fit_pca([raw], wanted.dim))
    return provider.get(provider.make_random(wanted.dim) if wanted.kind == "random" else "none")


def compare_projections(
    provider: EmbedderProvider, raw: FloatArray, labels: Sequence[str], projections: Sequence[str]
) -> list[ProjectionQuality]:
    """The quality of each projection on (n, raw_dim) raw vectors with a label each; "" = no label, only beside others.

    Raises InvalidParameter where there are not two pictures, or not as many labels.
    """
    if len(raw) < 2 or len(labels) != len(raw):
        raise InvalidParameter(
            "labels", f"{len(labels)} for {len(raw)} vectors; one for each of at least two is wanted"
        )
    numbers = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)[1].astype(np.int64)
    labelled = np.array([bool(label) for label in labels])
    asked = np.arange(0, len(raw), -(-len(raw) // MAX_QUERIES))
    plain = provider.get("none").project(raw)
    exact = _others(plain, asked, at_once=256)
    found = []
    for projection in projections:
        embeddings = fitted(provider, raw, projection).project(raw)
        quality = retrieval_quality(embeddings[labelled], numbers[labelled])
        started = time.perf_counter()
        nearest = _others(embeddings, asked, at_once=1)
        elapsed_s = time.perf_counter() - started
        recall = recall_at_k([list(rows) for rows in nearest], exact, plain, plain[asked], K)
        found.append(
            ProjectionQuality(
                projection=projection,
                dim=int(embeddings.shape[1]),
                precision_at_1=round(quality.precision_at_1, 4),
                map=round(quality.map, 4),
                recall_at_10=round(recall, 4),
                search_ms=round(elapsed_s * 1000 / len(asked), 4),
            )
        )
    return found


def _others(embeddings: FloatArray, asked: NDArray[np.int64], *, at_once: int) -> NDArray[np.int64]:
    """(n, 10) rows nearest to each asked row, itself left out, nearest first; fewer where there are not so many."""
    found = []
    for start in range(0, len(asked), at_once):
        rows = asked[start : start + at_once]
        nearest = exact_neighbours(embeddings, embeddings[rows], K + 1)
        # Among many of the same bytes the row itself may not be there.
        found += [row[row != own][: min(K, len(embeddings) - 1)] for row, own in zip(nearest, rows, strict=True)]
    return np.stack(found)
