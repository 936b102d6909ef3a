"""The Towhee pipeline preprocess -> network -> project -> normalise over decoded pictures: the one importer of towhee.

Decoding is its first operator too, for callers that hold bytes. The operators are registered in this process;
Towhee would fetch and run code for a name that is not, so every name is resolved in its registry before a pipeline
is built, and its hub's address points nowhere.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# Before the import: towhee reads its hub's address then. Port 9 discards; nothing of ours ever asks it.
os.environ["TOWHEE_URL"] = "http://127.0.0.1:9"

import numpy as np
from PIL import Image

with warnings.catch_warnings():
    # towhee imports pkg_resources, which announces its end at every start; requirements.txt pins the last with it.
    warnings.simplefilter("ignore", UserWarning)
    from towhee import ops, pipe, register
    from towhee.runtime.operator_manager.operator_registry import OperatorRegistry

from image_search.embedding.models import ModelFile
from image_search.embedding.network import Network
from image_search.embedding.preprocess import preprocess
from image_search.embedding.projection import NO_PROJECTION, Projection, check_fits, normalise
from image_search.errors import EmbedderError, ImageSearchError
from image_search.imaging import decode
from image_search.interfaces import FloatArray

_NAMESPACE = "image_search"
_STEPS = ("decode", "preprocess", "network", "project", "normalise")


@dataclass(frozen=True)
class _Failed:
    """An operator's exception, carried as a value: Towhee would turn it into a RuntimeError and log a traceback."""

    error: Exception


class _Operator:
    """One step over a whole batch, made of a plain function.

    Towhee deep-copies what an operator is built with; a function is the one thing that it leaves as it is, and an
    ONNX session cannot be copied.
    """

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function

    def __call__(self, value: Any) -> Any:
        if isinstance(value, _Failed):
            return value
        try:
            return self._function(value)
        except Exception as error:  # noqa: BLE001 - raised again by _call, on the caller's thread
            return _Failed(error)


for _name in _STEPS:
    register(name=f"{_NAMESPACE}/{_name}")(type(_name, (_Operator,), {}))


class TowheeEmbedder:
    """`interfaces.Embedder` as a Towhee pipeline over one network and one projection.

    Batches travel inside the operators: Towhee's own `batch()` makes a graph for each item.
    """

    def __init__(
        self,
        model: ModelFile,
        network: Network,
        projection: Projection | None = None,
        *,
        max_pixels: int = 50_000_000,
    ) -> None:
        """Build the pipelines. Raises ModelMismatch for a projection of another model."""
        if projection is not None:
            check_fits(projection, model.model_id, network.dim)
        self._model, self._network, self._projection = model, network, projection
        self._max_pixels = max_pixels
        decoding = _step("decode", lambda items: [_as_image(item, max_pixels, self.shortest_px) for item in items])
        preparing = _step("preprocess", lambda images: np.stack([preprocess(i, model.spec) for i in images]))
        running = _step("network", lambda tensors: network.run(tensors))
        projecting = _step("project", lambda raw: projection.apply(raw) if projection else raw)
        normalising = _step("normalise", normalise)
        self._preprocess = _build(preparing)
        self._run = _build(running)
        self._project = _build(projecting, normalising)
        self._embed = _build(decoding, preparing, running, projecting, normalising)

    @property
    def model_id(self) -> str:
        """name@first 12 of sha256(file)."""
        return self._model.model_id

    @property
    def projection_id(self) -> str:
        """Id of the projection, "none" without one."""
        return self._projection.projection_id if self._projection else NO_PROJECTION

    @property
    def dim(self) -> int:
        """Length of an embedding."""
        return self._projection.dim if self._projection else self._network.dim

    @property
    def raw_dim(self) -> int:
        """Length of the network's output."""
        return self._network.dim

    @property
    def shortest_px(self) -> int:
        """Shortest edge a picture is resized to."""
        return self._model.spec.resize_shortest_px

    def preprocess(self, images: Sequence[Image.Image]) -> FloatArray:
        """(n, 3, H, W) network input of n RGB pictures."""
        edge = self._model.spec.crop_px
        return _call(self._preprocess, list(images)) if len(images) else np.zeros((0, 3, edge, edge), np.float32)

    def embed_raw(self, tensors: FloatArray) -> FloatArray:
        """(n, raw_dim) output of the network."""
        return _call(self._run, tensors) if len(tensors) else np.zeros((0, self.raw_dim), np.float32)

    def project(self, raw: FloatArray) -> FloatArray:
        """(n, dim) unit rows made of raw vectors."""
        return _call(self._project, raw) if len(raw) else np.zeros((0, self.dim), np.float32)

    def embed(self, images: Sequence[Image.Image | bytes]) -> FloatArray:
        """(n, dim) unit rows of pictures, or of the bytes of picture files (which are decoded here)."""
        return _call(self._embed, list(images)) if len(images) else np.zeros((0, self.dim), np.float32)

    def with_projection(self, projection: Projection | None) -> TowheeEmbedder:
        """The same loaded network with another projection."""
        return TowheeEmbedder(self._model, self._network, projection, max_pixels=self._max_pixels)


def _as_image(item: bytes | Image.Image, max_pixels: int, shortest_px: int) -> Image.Image:
    if isinstance(item, Image.Image):
        return item
    return decode(item, max_pixels=max_pixels, shortest_px=shortest_px).image


def _step(name: str, function: Callable[[Any], Any]) -> Any:
    """The registered operator of that name as a pipeline step, refused where it is not one of this process's own."""
    if OperatorRegistry.resolve(f"{_NAMESPACE}/{name}".replace("_", "-")) is None:
        raise EmbedderError(f"operator {name!r} is not registered in this process")
    return getattr(getattr(ops, _NAMESPACE), name)(function)


def _build(*steps: Any) -> Any:
    pipeline = pipe.input("x")
    for step in steps:
        pipeline = pipeline.map("x", "x", step)
    return pipeline.output("x")


def _call(pipeline: Any, value: Any) -> FloatArray:
    (result,) = pipeline(value).get()
    if isinstance(result, _Failed):
        if isinstance(result.error, ImageSearchError):
            raise result.error
        raise EmbedderError(f"embedding failed: {type(result.error).__name__}") from result.error
    array: FloatArray = result
    return array
