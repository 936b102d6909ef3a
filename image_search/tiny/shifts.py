"""Distances that forgive a small shift and a mirror image, after Torralba, Fergus and Freeman, "80 million tiny images"
(2008), section 4.2."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from image_search.tiny.compare import Comparer
from image_search.tiny.pixels import EDGE_PX, Bytes

_PLANES = (-1, 3, EDGE_PX, EDGE_PX)
"""Rows as colour, x, y."""


class BestShifts(NamedTuple):
    """How each of n pictures fits the query best."""

    squared: NDArray[np.float64]
    right: NDArray[np.int64]
    """Pixels that it was moved by, to the right and down."""
    down: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def mirrored(rows: Bytes) -> Bytes:
    """(n, 3072) mirror images, left and right exchanged."""
    return np.ascontiguousarray(rows.reshape(_PLANES)[:, :, ::-1]).reshape(len(rows), -1)


def shifted_distances(rows: Bytes, query: Bytes, most_px: int) -> BestShifts:
    """The least normalised distance of each of (n, 3072) pictures, and of its mirror image, at any shift of at most
    `most_px` pixels each way; what both have in common is compared, brought to zero mean and unit norm by itself.

    Of equal ones the smaller shift and the picture as it is are told.
    """
    count = len(rows)
    best = BestShifts(
        np.full(count, np.inf), np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.bool_)
    )
    one = query.reshape(_PLANES)
    way = range(-most_px, most_px + 1)
    for is_mirrored, pictures in ((False, rows), (True, mirrored(rows))):
        planes = pictures.reshape(_PLANES)
        for right, down in sorted(product(way, way), key=lambda shift: (abs(shift[0]) + abs(shift[1]), shift)):
            theirs, ours = _overlap(right), _overlap(-right)
            theirs_down, ours_down = _overlap(down), _overlap(-down)
            comparer = Comparer(one[:, :, ours, ours_down].reshape(1, -1), "normalised")
            squared = comparer.squared(planes[:, :, theirs, theirs_down].reshape(count, -1))[:, 0]
            nearer = squared < best.squared
            best.squared[nearer] = squared[nearer]
            best.right[nearer], best.down[nearer], best.mirrored[nearer] = right, down, is_mirrored
    return best


def _overlap(shift: int) -> slice:
    """Of a picture that is moved so far the part that stays within the frame."""
    return slice(max(0, -shift), EDGE_PX - max(0, shift))
