"""How good a network is on what it was not trained on: kinds of things, and thirteen kinds of copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.copies import KINDS, found_first
from image_search.embedding.models import ModelSpec
from image_search.embedding.preprocess import preprocess
from image_search.embedding.projection import normalise
from image_search.errors import InvalidInput
from image_search.evaluation import retrieval_quality
from image_search.imaging import decode
from image_search.interfaces import FloatArray

PHOTOS_ASKED = 300
EVERY_FIFTH = slice(None, None, 5)
"""Photos that are kept out of training."""
MAX_SHAPE = 3.0
"""What is longer than this times its width is not trained on: a centre crop shows hardly anything of it."""
MAX_PIXELS = 100_000_000
_LARGE_CLASS = 400
"""A class with more pictures is never asked for: it would be most of the result."""


def held_out_classes(paths: Sequence[str]) -> set[str]:
    """The classes (first folder of a path) that are kept out of training: every second one by name.

    Very large ones and a background are always trained on.
    """
    names, counts = np.unique([path.split("/")[0] for path in paths], return_counts=True)
    usable = [
        str(name)
        for name, count in zip(names, counts, strict=True)
        if count <= _LARGE_CLASS and not name.startswith("BACKGROUND")
    ]
    return set(usable[::2])


def held_out_photos(folder: Path) -> list[Path]:
    """Every fifth, by path, of the photos that training can take: the first of them are asked for."""
    usable = []
    for path in sorted(folder.rglob("*.jpg"), key=lambda path: str(path.relative_to(folder))):
        try:
            size = decode(path.read_bytes(), max_pixels=MAX_PIXELS).size_px
        except InvalidInput:
            continue
        if max(size) <= MAX_SHAPE * min(size):
            usable.append(path)
    return usable[EVERY_FIFTH][:PHOTOS_ASKED]


class Exam:
    """Retrieval by class in a folder of class folders, and thirteen kinds of copies of photos among all of them."""

    def __init__(
        self, asked: Sequence[Path], photos: Sequence[Path], distractors: Sequence[Path], spec: ModelSpec
    ) -> None:
        """`asked`: pictures whose class is the name of their folder; `distractors` only stand beside the originals."""
        self._labels = np.unique([path.parent.name for path in asked], return_inverse=True)[1].astype(np.int64)
        self._gallery = [_prepared(path, spec) for path in [*asked, *photos, *distractors]]
        self._photos = len(photos)
        self._copies = {kind: [_prepared(path, spec, kind) for path in photos] for kind in KINDS}

    def hold(self, embed: Callable[[FloatArray], FloatArray]) -> dict[str, Any]:
        """The measures, by name, of what makes vectors (n, dim) of prepared pictures (n, 3, h, w)."""
        gallery = _embed(embed, self._gallery)
        asked = len(self._labels)
        quality = retrieval_quality(gallery[:asked], self._labels)
        originals = asked + np.arange(self._photos)
        kinds = {
            kind: round(found_first(gallery, originals, _embed(embed, copies)), 3)
            for kind, copies in self._copies.items()
        }
        return {
            "precision@1": round(quality.precision_at_1, 4),
            "precision@10": round(quality.precision_at_10, 4),
            "mAP": round(quality.map, 4),
            "copies": round(float(np.mean(list(kinds.values()))), 4),
            "kinds": kinds,
        }


def _prepared(path: Path, spec: ModelSpec, kind: str = "") -> FloatArray:
    image: Image.Image = decode(path.read_bytes(), max_pixels=MAX_PIXELS).image
    if kind:
        image = KINDS[kind](image)
    return preprocess(image, spec).astype(np.float16)


def _embed(embed: Callable[[FloatArray], FloatArray], prepared: Sequence[FloatArray]) -> FloatArray:
    batches = (np.stack(prepared[start : start + 64]).astype(np.float32) for start in range(0, len(prepared), 64))
    return normalise(np.concatenate([embed(batch) for batch in batches]))
