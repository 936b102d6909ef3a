"""The embedders of a model: one loaded network, one pipeline for each projection."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from image_search.embedding.models import (
    AUTO,
    DEFAULT_MODEL,
    ModelFile,
    find_model,
    find_model_by_id,
    note_model,
)
from image_search.embedding.projection import (
    NO_PROJECTION,
    Projection,
    ProjectionFolder,
    fit_pca,
    make_random,
    projection_from_bytes,
)
from image_search.errors import ModelMismatch
from image_search.interfaces import Device, FloatArray

if TYPE_CHECKING:
    from image_search.embedding.network import Network
    from image_search.embedding.pipeline import TowheeEmbedder


class ModelProvider:
    """`interfaces.EmbedderProvider` over a model file; the network is loaded at the first use."""

    def __init__(
        self,
        model: str,
        *,
        cache_dir: Path,
        projections: ProjectionFolder,
        threads: int,
        device: Device = "cpu",
        file: ModelFile | None = None,
    ) -> None:
        """`model`: a name, a path, or "auto"; `file`: where it was found already."""
        self._model, self._cache_dir, self._threads, self._wanted = model, cache_dir, threads, device
        self._projections = projections
        self._lock = threading.RLock()
        self._file = file
        self._network: Network | None = None
        self._plain: TowheeEmbedder | None = None
        self._embedders: dict[str, TowheeEmbedder] = {}
        self._others: dict[str, ModelProvider] = {}

    @property
    def is_auto(self) -> bool:
        """Whether a library's own model is used, whichever that is."""
        return self._model == AUTO

    @property
    def device(self) -> Literal["cpu", "cuda"]:
        """What a network runs on; before one is loaded, what it should. Raises ConfigError."""
        from image_search.embedding.network import choose_device

        with self._lock:
            return self._network.device if self._network is not None else choose_device(self._wanted)

    @property
    def model_id(self) -> str:
        """Id of the model that a new library takes. Raises ConfigError or EmbedderError where there is none."""
        return self._found().model_id

    def for_model(self, model_id: str) -> ModelProvider:
        """The embedders of the model that a library was built with: this one, or with "auto" the one of that id.

        Raises ModelMismatch where another model is configured by name, EmbedderError where its file is not here.
        """
        if not self.is_auto:
            if model_id != self.model_id:
                raise ModelMismatch(
                    f"built with model {model_id}, and {self.model_id} is configured: their vectors cannot be "
                    "compared. Configure that model (embedding.model), or auto, or name another collection"
                )
            return self
        with self._lock:
            if model_id not in self._others:
                file = find_model_by_id(model_id, self._cache_dir)
                own = file.spec.name == DEFAULT_MODEL and file.model_id == self.model_id
                self._others[model_id] = self if own else self._beside(file)
            return self._others[model_id]

    def _beside(self, file: ModelFile) -> ModelProvider:
        return ModelProvider(
            file.spec.name,
            cache_dir=self._cache_dir,
            projections=self._projections,
            threads=self._threads,
            device=self._wanted,
            file=file,
        )

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

                file = self._found()
                self._network = Network(file.path, file.spec, threads=self._threads, device=self._wanted)
                self._plain = TowheeEmbedder(file, self._network)
                note_model(file, self._cache_dir)
            return self._plain

    def _found(self) -> ModelFile:
        with self._lock:
            if self._file is None:
                self._file = find_model(DEFAULT_MODEL if self.is_auto else self._model, self._cache_dir)
            return self._file
