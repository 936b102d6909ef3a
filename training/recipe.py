"""The recipe of the file that is shipped: what was chosen, in one place."""

from __future__ import annotations

from image_search.embedding.models import REGISTRY
from training.network import Shape
from training.run import Plan

SPEC = REGISTRY["compact"]
MAX_BYTES = 8 * 1024 * 1024
PLAN = Plan(
    samples=960_000,
    sizes=((96, 0.75), (128, 0.25)),
    shape=Shape(stem=24, widths=(32, 96, 192, 272), depths=(2, 2, 2, 2), dim=SPEC.dim),
)
