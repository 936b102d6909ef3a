"""The embedders of the configured model: one loaded network, one pipeline for each projection."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from image_search.embedding.models import ModelFile, find_model
from image_search.embedding.projection import (
    NO_PROJECTION,
    Projection,
    ProjectionFolder,
    fit_pca,
    make_random,
    projection_from_bytes,
)
from image_search.interfaces import FloatArray

if TYPE_CHECKING:
    from image_search.embedding.pipeline import TowheeEmbedder


class ModelProvider:
    """`interfaces.EmbedderProvider` over a model file; the network is loaded at the first use."""

    def __init__(self, model: str, *, cache_dir: Path, projections: ProjectionFolder, threads: int) -> None:
        self._model, self._cache_dir, self._threads = model, cache_dir, threads
        self._projections = projections
        self._lock = threading.RLock()
        self._file: ModelFile | None = None
        self._plain: TowheeEmbedder | None = None
        self._embedders: dict[str, TowheeEmbedder] = {}

    @property
    def model_id(self) -> str:
        """Id of the configured model. Raises ConfigError or EmbedderError where there is none."""
        with self._lock:
            if self._file is None:
                self._file = find_model(self._model, self._cache_dir)
            return self._file.model_id

    def get(self, projection_id: str) -> TowheeEmbedder:
        """The model with a saved projection, or with "none"."""
        with self._lock:
            if projection_id not in self._embedders:
                plain = self._load()
                if projection_id == NO_PROJECTION:
                    self._embedders[projection_id] = plain
                else:
                    self._embedders[projection_id] = plain.with_projection(self._projections.load(projection_id))
            return self._embedders[projection_id]

    def fit_pca(self, batches: Iterable[FloatArray], dim: int) -> str:
        """Fit a PCA on batches of raw vectors, save it, return its id."""
        return self._keep(fit_pca(batches, dim, self.model_id))

    def make_random(self, dim: int) -> str:
        """Make and save a random projection, return its id."""
        return self._keep(make_random(self._load().raw_dim, dim, self.model_id))

    def export_projection(self, projection_id: str) -> bytes:
        """The artefact as a file's bytes."""
        return self._projections.load(projection_id).to_bytes()

    def import_projection(self, data: bytes) -> str:
        """Save an artefact from a file's bytes, return its id."""
        return self._keep(projection_from_bytes(data))

    def _keep(self, projection: Projection) -> str:
        self._projections.save(projection)
        return projection.projection_id

    def _load(self) -> TowheeEmbedder:
        with self._lock:
            if self._plain is None:
                # Imported here: status, show and delete need no network, and these two import slowly.
                from image_search.embedding.network import Network
                from image_search.embedding.pipeline import TowheeEmbedder

                self._file = file = find_model(self._model, self._cache_dir)
                self._plain = TowheeEmbedder(file, Network(file.path, file.spec, threads=self._threads))
            return self._plain
