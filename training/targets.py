"""What the student is taught: the teacher's vector, centred, rotated to its principal axes, damped, unit length."""

from __future__ import annotations

import numpy as np

from image_search.embedding.projection import normalise
from image_search.interfaces import FloatArray


class Targets:
    """The map from the teacher's unit vectors (n, raw) to the student's targets (n, dim).

    `damping` d divides axis i by its standard deviation to the power of d: 0 is a plain PCA, 1 whitens. Between them,
    the few axes that all pictures differ along no longer outweigh the many that tell kinds apart (whitening with
    shrinkage; Jegou & Chum 2012 for PCA whitening of descriptors).
    """

    def __init__(self, teacher: FloatArray, dim: int, damping: float) -> None:
        self.mean = teacher.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = teacher - self.mean
        values, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(teacher))
        order = np.argsort(-values)[:dim]
        scale = np.maximum(values[order], 1e-9) ** (-damping / 2)
        self.matrix = (vectors[:, order] * scale).astype(np.float32)

    def __call__(self, teacher: FloatArray) -> FloatArray:
        """(n, dim) float32, unit length."""
        return normalise((teacher - self.mean) @ self.matrix)
