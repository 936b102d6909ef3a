"""Records, vectors and names for the tests of vector stores."""

from __future__ import annotations

import hashlib
import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from image_search.interfaces import FloatArray, VectorStore
from image_search.types import CollectionSpec, ImageRecord

DIM = 16
SPEC = CollectionSpec(model_id="mean-colour@0123456789ab", dim=DIM, projection_id="pca-1")
_RUN = f"t{time.time_ns():x}"
_NUMBERS = itertools.count()


def collection_name() -> str:
    """A name that no other test has."""
    return f"{_RUN}_{next(_NUMBERS)}"


def image_id(i: object) -> str:
    return hashlib.sha256(str(i).encode()).hexdigest()


def record(i: object, **values: object) -> ImageRecord:
    made = ImageRecord(image_id(i), f"images/{image_id(i)}.jpg", (640, 480), sources=(f"{i}.jpg",), title=f"t{i}")
    return replace(made, **values)  # type: ignore[arg-type]


def unit_rows(n: int, dim: int = DIM, seed: int = 0) -> FloatArray:
    rows = np.random.default_rng(seed).standard_normal((n, dim), dtype=np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def not_on_lite3(store: VectorStore, difference: str) -> None:
    """Skip what is known to be otherwise on `milvus-lite server` 3.2.2."""
    from image_search.vectors.milvus_store import MilvusVectorStore

    if isinstance(store, MilvusVectorStore) and store._connection.capabilities().lite3:
        pytest.skip(f"milvus-lite server 3.2.2 {difference}")
