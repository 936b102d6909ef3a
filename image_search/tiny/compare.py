"""Distances of many pictures from some queries, from whole numbers alone: the one importer of numkong.

Sums and products of bytes stay whole (at most 3,072 x 255 x 255 < 2**28), so that no order of adding changes a
distance: the same two pictures have the same one on every machine, in every thread, in every place of the archive.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numkong
import numpy as np
from numpy.typing import NDArray

from image_search.tiny.pixels import Bytes

PixelMetric: TypeAlias = Literal["l2", "normalised"]
Squared: TypeAlias = NDArray[np.float64]
"""(n, q) squared distances of n pictures from q queries."""


class Comparer:
    """Compares with some queries; safe to call from several threads.

    `l2`: Euclidean distance of the bytes; exact, its square is a whole number.
    `normalised`: Euclidean distance of pictures that are brought to zero mean and unit norm over all of their 3,072
    numbers, 0 to 2. A picture of one value only has no such form and counts as all zeros: 1 from every other.
    """

    def __init__(self, queries: Bytes, metric: PixelMetric) -> None:
        """`queries`: (q, m), whole pictures or the same part of each."""
        self._queries = np.ascontiguousarray(queries)
        self._metric = metric
        self._norms, self._sums = _norms(self._queries), self._queries.sum(1, dtype=np.int64)
        # The sum of a picture is its product with ones: one column more costs less than a pass of its own.
        ones = np.ones((1, queries.shape[1]), np.uint8)
        columns = self._queries if metric == "l2" else np.concatenate([self._queries, ones])
        self._packed = numkong.dots_pack(columns, dtype="uint8")

    def squared(self, rows: Bytes) -> Squared:
        """(n, q) of (n, m) pictures or parts of them."""
        if self._metric == "normalised":
            return self._normalised(rows)
        if len(self._queries) == 1:
            # Products would want the pictures' own norms besides, at twice the price.
            return _array(numkong.cdist(rows, self._queries, metric="sqeuclidean")).astype(np.float64, copy=False)
        dots = _array(numkong.dots_packed(rows, self._packed)).astype(np.int64)
        return (_norms(rows)[:, None] + self._norms - 2 * dots).astype(np.float64)

    def _normalised(self, rows: Bytes) -> Squared:
        dots = _array(numkong.dots_packed(rows, self._packed)).astype(np.int64)
        products, sums = dots[:, :-1], dots[:, -1]
        size = rows.shape[1]
        return _from_products(
            size * products - sums[:, None] * self._sums,
            (size * _norms(rows) - sums * sums)[:, None],
            size * self._norms - self._sums * self._sums,
        )


def _from_products(
    products: NDArray[np.int64], of_pictures: NDArray[np.int64], of_queries: NDArray[np.int64]
) -> Squared:
    """Squared distances of unit vectors, of the covariances and variances of what they were made of."""
    both = np.multiply(of_pictures, of_queries, dtype=np.float64)
    # Squares first: of a picture and itself they are the same number, and the correlation is 1, not nearly 1.
    squares = np.divide(np.square(products, dtype=np.float64), both, out=np.zeros_like(both), where=both > 0)
    lengths = (of_pictures > 0).astype(np.float64) + (of_queries > 0)
    squared: Squared = np.maximum(lengths - 2 * np.copysign(np.sqrt(squares), products), 0.0)
    return squared


def _norms(rows: Bytes) -> NDArray[np.int64]:
    """(n,) squared lengths."""
    return _array(numkong.cdist(rows, np.zeros((1, rows.shape[1]), np.uint8), metric="sqeuclidean")).astype(np.int64)[
        :, 0
    ]


def _array(tensor: Any) -> NDArray[Any]:
    return np.asarray(tensor)
