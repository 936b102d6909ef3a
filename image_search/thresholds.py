"""Measured thresholds; written by `python -m benchmarks near_duplicates --write`, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Measured: TypeAlias = tuple[tuple[tuple[int, float], ...], float]
"""Steps of (most differing bits, least cosine), and the cut-off: see `judging.Thresholds`."""

MEASURED: Mapping[str, Mapping[str, Measured]] = {
    "compact@41d8aa7eeb5c": {
        "none": (((2, 0.88), (4, 0.92), (6, 0.94), (8, 0.985), (12, 0.99)), 0.65),
        "random:128": (((2, 0.88), (4, 0.925), (6, 0.95), (12, 0.98)), 0.66),
        "random:64": (((2, 0.86), (4, 0.91), (6, 0.955), (8, 0.99)), 0.70),
    },
}
