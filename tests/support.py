"""Stand-ins that pass their Protocol's contract suite, and pictures drawn in code."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import numpy as np
import pytest
from PIL import Image, ImageDraw

from image_search.embedding.projection import Projection, fit_pca, make_random, normalise, projection_from_bytes
from image_search.errors import EmbedderError, ModelMismatch
from image_search.interfaces import FloatArray

MEAN_COLOUR_MODEL = "mean_colour@000000000000"
GRID = 4


def draw(colour: tuple[int, int, int], *, size: tuple[int, int] = (96, 64), mark: int = 0) -> Image.Image:
    """A picture of one colour with a darker disc whose place depends on `mark`: no two marks give the same bytes."""
    image = Image.new("RGB", size, colour)
    x, y = 10 + (mark * 7) % (size[0] - 24), 8 + (mark * 5) % (size[1] - 20)
    darker = tuple(c // 2 for c in colour)
    ImageDraw.Draw(image).ellipse((x, y, x + 12 + mark % 5, y + 12), fill=darker)
    return image


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """JPEG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_gallery(folder: Path, *, per_colour: int = 5) -> list[Path]:
    """red/, green/ and blue/ with drawn JPEGs; returns their paths, sorted."""
    paths = []
    for name, colour in (("red", (220, 30, 30)), ("green", (30, 200, 40)), ("blue", (40, 50, 220))):
        for mark in range(per_colour):
            path = folder / name / f"{name}_{mark}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(draw(colour, mark=mark)))
            paths.append(path)
    return sorted(paths)


def interrupt(monkeypatch: pytest.MonkeyPatch, target: object, method: str, other: Thread) -> None:
    """Let another thread begin at the first call of a method, and end before it goes on if nothing keeps it."""
    real = getattr(target, method)

    def call(*arguments: Any, **named: Any) -> Any:
        if other.ident is None:
            other.start()
            other.join(0.3)
        return real(*arguments, **named)

    monkeypatch.setattr(target, method, call)


class MeanColourEmbedder:
    """An Embedder without a network: the mean colour of a 4 x 4 grid of tiles. Red finds red."""

    shortest_px = 32
    raw_dim = 3 * GRID * GRID

    def __init__(self, projection: Projection | None = None) -> None:
        self._projection = projection
        self.calls = 0

    @property
    def model_id(self) -> str:
        return MEAN_COLOUR_MODEL

    @property
    def projection_id(self) -> str:
        return self._projection.projection_id if self._projection else "none"

    @property
    def dim(self) -> int:
        return self._projection.dim if self._projection else self.raw_dim

    def preprocess(self, images: Sequence[Image.Image]) -> FloatArray:
        if not images:
            return np.zeros((0, 3, GRID, GRID), np.float32)
        tiles = [np.asarray(i.resize((GRID, GRID), Image.Resampling.BOX), np.float32) for i in images]
        return np.stack(tiles).transpose(0, 3, 1, 2) / 255

    def embed_raw(self, tensors: FloatArray) -> FloatArray:
        self.calls += 1
        return np.ascontiguousarray(tensors.reshape(len(tensors), self.raw_dim), dtype=np.float32)

    def project(self, raw: FloatArray) -> FloatArray:
        return normalise(self._projection.apply(raw) if self._projection else raw)

    def embed(self, images: Sequence[Image.Image]) -> FloatArray:
        return self.project(self.embed_raw(self.preprocess(images)))


class MeanColourProvider:
    """An EmbedderProvider of it, with projections in memory."""

    def __init__(self, model_id: str = MEAN_COLOUR_MODEL) -> None:
        self._model_id = model_id
        self._projections: dict[str, Projection] = {}
        self.plain = MeanColourEmbedder()

    @property
    def is_auto(self) -> bool:
        return False

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        return "cpu"

    @property
    def model_id(self) -> str:
        return self._model_id

    def for_model(self, model_id: str) -> MeanColourProvider:
        if model_id != self._model_id:
            raise ModelMismatch(f"built with model {model_id}, and {self._model_id} is configured")
        return self

    def get(self, projection_id: str) -> MeanColourEmbedder:
        if projection_id == "none":
            return self.plain
        if projection_id not in self._projections:
            raise EmbedderError(f"projection {projection_id!r} is missing")
        return MeanColourEmbedder(self._projections[projection_id])

    def fit_pca(self, batches: Iterable[FloatArray], dim: int) -> str:
        return self._keep(fit_pca(batches, dim, self._model_id))

    def make_random(self, dim: int) -> str:
        return self._keep(make_random(MeanColourEmbedder.raw_dim, dim, self._model_id))

    def export_projection(self, projection_id: str) -> bytes:
        return self._projections[projection_id].to_bytes()

    def import_projection(self, data: bytes) -> str:
        return self._keep(projection_from_bytes(data))

    def _keep(self, projection: Projection) -> str:
        self._projections[projection.projection_id] = projection
        return projection.projection_id
