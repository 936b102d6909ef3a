"""Shorter vectors that keep their neighbours: PCA and random projection; fit, apply, save, load.

A projection is an artefact with an id of its own, fixed once a collection uses it, so that scores stay comparable.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from image_search.errors import EmbedderError, InvalidParameter, ModelMismatch
from image_search.interfaces import FloatArray

NO_PROJECTION = "none"
VECTORS_PER_DIMENSION = 10
"""A PCA fitted on fewer than ten vectors per output dimension follows their noise."""


@dataclass(frozen=True)
class Projection:
    """An affine map of raw vectors: unit length, minus `mean`, times `matrix`."""

    kind: Literal["pca", "random"]
    model_id: str
    mean: FloatArray
    """(raw_dim,)"""
    matrix: FloatArray
    """(raw_dim, dim), orthonormal columns."""
    projection_id: str

    @property
    def dim(self) -> int:
        """Length of a projected vector."""
        return int(self.matrix.shape[1])

    @property
    def raw_dim(self) -> int:
        """Length of a raw vector."""
        return int(self.matrix.shape[0])

    def apply(self, raw: FloatArray) -> FloatArray:
        """(n, dim), not normalised, of (n, raw_dim) raw vectors."""
        return np.asarray((normalise(raw) - self.mean) @ self.matrix, dtype=np.float32)

    def to_bytes(self) -> bytes:
        """The artefact as an .npz file without pickled objects."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            kind=np.array(self.kind),
            model_id=np.array(self.model_id),
            projection_id=np.array(self.projection_id),
            mean=self.mean,
            matrix=self.matrix,
        )
        return buffer.getvalue()


def normalise(vectors: FloatArray) -> FloatArray:
    """Rows of unit length; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def fit_pca(batches: Iterable[FloatArray], dim: int, model_id: str) -> Projection:
    """PCA of unit-length raw vectors, given in batches of (n, raw_dim); constant memory in their number.

    Raises InvalidParameter where there are fewer than ten vectors per output dimension, or dim > raw_dim.
    """
    count = 0
    total: NDArray[np.float64] | None = None
    products: NDArray[np.float64] | None = None
    for batch in batches:
        unit = normalise(batch)
        # float32 within a batch, float64 across batches: fast, and exact to the seventh digit.
        product, summed = (unit.T @ unit).astype(np.float64), unit.sum(axis=0, dtype=np.float64)
        products = product if products is None else products + product
        total = summed if total is None else total + summed
        count += len(batch)
    if total is None or products is None:
        raise InvalidParameter("projection", "there are no vectors to fit it on")
    _check_dim(dim, len(total))
    if count < VECTORS_PER_DIMENSION * dim:
        raise InvalidParameter(
            "projection",
            f"pca:{dim} wants at least {VECTORS_PER_DIMENSION * dim} pictures, the library has {count}; "
            f"at most pca:{count // VECTORS_PER_DIMENSION} is sound",
        )
    mean = total / count
    _, eigenvectors = np.linalg.eigh(products / count - np.outer(mean, mean))
    matrix = eigenvectors[:, ::-1][:, :dim]
    # A fixed sign per axis, so that the same pictures give the same artefact.
    matrix *= np.sign(matrix[np.abs(matrix).argmax(axis=0), np.arange(dim)])
    return _make("pca", model_id, mean.astype(np.float32), np.ascontiguousarray(matrix, dtype=np.float32))


def make_random(raw_dim: int, dim: int, model_id: str) -> Projection:
    """A random orthonormal projection (Johnson-Lindenstrauss); needs no pictures. The same for the same arguments."""
    _check_dim(dim, raw_dim)
    seed = int.from_bytes(hashlib.sha256(f"{model_id} random:{dim}".encode()).digest()[:8], "big")
    gaussian = np.random.default_rng(seed).standard_normal((raw_dim, dim))
    matrix, _ = np.linalg.qr(gaussian)
    return _make("random", model_id, np.zeros(raw_dim, np.float32), np.ascontiguousarray(matrix, dtype=np.float32))


class SharedProjections(Protocol):
    """Where several machines have their projections in common."""

    def get(self, projection_id: str) -> bytes | None:
        """The artefact's bytes; None where there is none."""
        ...

    def put(self, projection_id: str, data: bytes) -> None:
        """Keep it, whole or not at all."""
        ...


class ProjectionFolder:
    """Artefacts as files named by their id. They are written once and never changed.

    With a `shared` place each goes there too, and comes from there where this machine has none.
    """

    def __init__(self, folder: Path, shared: SharedProjections | None = None) -> None:
        self._folder, self._shared = folder, shared

    def save(self, projection: Projection) -> None:
        """Write the artefact, whole or not at all; one that is there stays. Raises EmbedderError."""
        if self._shared is not None and self._shared.get(projection.projection_id) is None:
            self._shared.put(projection.projection_id, projection.to_bytes())
        self._write(projection)

    def _write(self, projection: Projection) -> None:
        path = self._path(projection.projection_id)
        if path.exists():
            return
        temporary = path.with_suffix(f".{uuid.uuid4().hex[:8]}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(projection.to_bytes())
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise EmbedderError(
                f"projection {projection.projection_id} cannot be saved in the data folder: {error.strerror}",
                retryable=True,
            ) from error

    def load(self, projection_id: str) -> Projection:
        """The artefact of that id. Raises EmbedderError where it is missing or damaged."""
        path = self._path(projection_id)
        if not path.exists() and self._shared is not None and (data := self._shared.get(projection_id)) is not None:
            self._write(projection_from_bytes(data))
        if not path.exists():
            raise EmbedderError(
                f"projection {projection_id!r} is missing from the data folder; the collection cannot be searched "
                "without it (restore it, or rebuild the collection: `image-search index --projection none`)"
            )
        try:
            return projection_from_bytes(path.read_bytes())
        except OSError as error:
            raise EmbedderError(f"projection {projection_id!r} cannot be read: {error.strerror}") from error

    def _path(self, projection_id: str) -> Path:
        return self._folder / f"{projection_id.replace('@', '-').replace(':', '-')}.npz"


def projection_from_bytes(data: bytes) -> Projection:
    """The projection in an .npz file. Raises EmbedderError where it is damaged."""
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as npz:
            mean, matrix = npz["mean"], npz["matrix"]
            if matrix.ndim != 2 or mean.shape != matrix.shape[:1]:
                raise ValueError(f"mean {mean.shape} and matrix {matrix.shape}")
            if (kind := str(npz["kind"])) not in ("pca", "random"):
                # It becomes part of a file's name.
                raise ValueError(f"kind {kind!r}")
            made = _make(kind, str(npz["model_id"]), mean, matrix)
            wanted = str(npz["projection_id"])
    # Damage can hit the zip's directory, a checksum or an array's header, and each has exceptions of its own.
    except Exception as error:
        raise EmbedderError("a projection file is damaged") from error
    if made.projection_id != wanted:
        raise EmbedderError(f"projection {wanted!r} is damaged: its numbers are not those it was saved with")
    return made


def check_fits(projection: Projection, model_id: str, raw_dim: int) -> None:
    """Raises ModelMismatch where the projection was fitted for another model."""
    if projection.model_id != model_id or projection.raw_dim != raw_dim:
        raise ModelMismatch(
            f"projection {projection.projection_id} belongs to model {projection.model_id}, not to {model_id}"
        )


def _check_dim(dim: int, raw_dim: int) -> None:
    if dim > raw_dim:
        raise InvalidParameter("projection", f"{dim} dimensions cannot be made of {raw_dim}")


def _make(kind: str, model_id: str, mean: FloatArray, matrix: FloatArray) -> Projection:
    digest = hashlib.sha256(kind.encode() + model_id.encode() + mean.tobytes() + matrix.tobytes()).hexdigest()
    checked: Literal["pca", "random"] = "pca" if kind == "pca" else "random"
    return Projection(checked, model_id, mean, matrix, f"{kind}:{matrix.shape[1]}@{digest[:12]}")
