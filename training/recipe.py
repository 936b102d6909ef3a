"""The recipe of the file that is shipped: what was chosen, in one place."""

from __future__ import annotations

from dataclasses import replace

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

FURTHER = replace(
    PLAN,
    samples=742_400,
    sizes=((96, 0.35), (128, 0.65)),
    muon_lr=0.007,
    adam_lr=0.0018,
    warm_up=0.03,
    cool_down=0.6,
    seed=2,
)
"""How it went on from what PLAN had brought, with 1.6 times as many pictures."""
