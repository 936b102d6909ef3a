"""The last matrix, fitted anew when the training is over: what is shipped is a whitened map of the square roots.

A student's own head imitates the teacher's axes. For finding neighbours another map of the same features is better:
square roots, which keep a few strong channels from outweighing all others (the Hellinger kernel of "RootSIFT",
Arandjelovic & Zisserman 2012), of the last two stages, then a PCA whitened with shrinkage (Jegou & Chum 2012). It needs
pictures, no labels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from image_search.embedding.models import ModelSpec
from image_search.embedding.preprocess import preprocess
from image_search.interfaces import FloatArray
from training.material import Material
from training.network import Student
from training.pictures import TrainingError
from training.targets import Targets

DAMPING = 0.65
"""Of the whitening, see `targets.Targets`; chosen between 0.5 (mAP) and 0.75 (precision@1)."""
BEFORE = 1.3
"""How much the last stage but one counts beside the last: parts and textures beside kinds of things."""
PICTURES = 10_000
_BATCH = 64


def finish(student: Student, material: Material, spec: ModelSpec, *, seed: int = 1) -> Student:
    """The student with its head fitted on untouched pictures of the material that are not kept out; in place.

    Raises TrainingError where they are fewer than ten for each number.
    """
    roots = np.concatenate(list(_roots(student.eval(), _prepared(material, spec, seed))))
    dim = student.shape.dim
    if len(roots) < 10 * dim:
        raise TrainingError(f"{len(roots)} pictures to fit the last matrix on; at least {10 * dim} are needed")
    scale = np.ones(roots.shape[1], np.float32)
    scale[: student.shape.widths[-2]] = BEFORE
    fitted = Targets(roots * scale, dim, DAMPING)
    weight = (fitted.matrix.T * scale).astype(np.float32)
    student.finish(torch.from_numpy(weight), torch.from_numpy(-fitted.mean @ fitted.matrix))
    return student


def _prepared(material: Material, spec: ModelSpec, seed: int) -> Iterator[FloatArray]:
    """Batches of prepared pictures, every folder with the square root of its share: small ones count for more."""
    rng = np.random.default_rng((seed, 7))
    rows = [np.flatnonzero(~kept) for kept in material.kept_out]
    shares = np.sqrt([len(r) for r in rows])
    for pack, usable, share in zip(material.packs, rows, shares / shares.sum(), strict=True):
        chosen = rng.choice(usable, min(len(usable), round(share * PICTURES)), replace=False)
        for start in range(0, len(chosen), _BATCH):
            yield np.stack([preprocess(pack.picture(int(row)), spec) for row in chosen[start : start + _BATCH]])


def _roots(student: Student, batches: Iterator[FloatArray]) -> Iterator[FloatArray]:
    for batch in batches:
        with torch.inference_mode():
            yield student.roots(torch.from_numpy(batch)).numpy()
