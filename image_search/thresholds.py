"""Measured thresholds; written by `python -m benchmarks near_duplicates --write`, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Measured: TypeAlias = tuple[tuple[tuple[int, float], ...], float]
"""Steps of (most differing bits, least cosine), and the cut-off: see `judging.Thresholds`."""

MEASURED: Mapping[str, Mapping[str, Measured]] = {
    "compact@be46996eb76b": {
        "none": (((2, 0.82), (4, 0.915), (6, 0.94), (12, 0.985)), 0.78),
        "random:128": (((2, 0.86), (4, 0.915), (6, 0.945), (12, 0.98)), 0.79),
        "random:64": (((2, 0.82), (4, 0.91), (6, 0.955), (12, 0.98)), 0.76),
    },
    "mobilenet_v2_imagenet@c326eb280967": {
        "none": (((2, 0.7), (4, 0.86), (6, 0.905), (8, 0.92), (12, 0.925)), 0.68),
        "random:256": (((2, 0.7), (4, 0.86), (6, 0.905), (8, 0.92), (12, 0.935)), 0.74),
        "random:128": (((2, 0.7), (4, 0.88), (6, 0.915), (12, 0.93)), 0.77),
        "random:64": (((2, 0.7), (4, 0.88), (6, 0.915), (8, 0.92), (12, 0.935)), 0.80),
    },
}
