"""Measured thresholds; written by `python -m benchmarks near_duplicates --write`, not by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

Measured: TypeAlias = tuple[tuple[tuple[int, float], ...], float]
"""Steps of (most differing bits, least cosine), and the cut-off: see `judging.Thresholds`."""

MEASURED: Mapping[str, Mapping[str, Measured]] = {}
