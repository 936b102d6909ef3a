"""A network in an ONNX file behind four members: the one importer of onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime as ort

from image_search.embedding.models import ModelSpec
from image_search.errors import ConfigError, EmbedderError
from image_search.interfaces import Device, FloatArray
from image_search.machine import available_cores

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_NO_CUDA = "embedding.device = cuda: {}. Choose auto or cpu, or see docs/deploy.md for what a graphics card needs"


def choose_device(wanted: Device) -> Literal["cpu", "cuda"]:
    """What a network will run on. Raises ConfigError where that was named and cannot be."""
    there = _CUDA in ort.get_available_providers()
    if wanted == "cuda" and not there:
        raise ConfigError(
            _NO_CUDA.format("this ONNX Runtime cannot use a graphics card (image-search[gpu] brings one)")
        )
    return "cuda" if there and wanted != "cpu" else "cpu"


class Network:
    """An ONNX Runtime session. Safe to call from several threads; make it after a fork, never before."""

    def __init__(self, path: Path, spec: ModelSpec, *, threads: int = 0, device: Device = "cpu") -> None:
        """Load the file. `threads` = 0: one for each core. Raises EmbedderError where it is not what `spec` says,
        ConfigError where it cannot run on the `device` that is named."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        # Waiting threads must not spin: decoding shares the cores during a bulk run.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        chosen = choose_device(device)
        providers: list[Any] = [_CPU]
        if chosen == "cuda":
            # CUDA's libraries come as Python packages, which the loader of the system does not know.
            ort.preload_dlls()
            # Without it every batch size that was not seen before is tried out at length.
            providers.insert(0, (_CUDA, {"cudnn_conv_algo_search": "HEURISTIC"}))
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        # onnxruntime's exceptions are made in C++ without a common base class.
        except Exception as error:
            raise EmbedderError(f"model file {path.name!r} cannot be loaded: it is no valid ONNX network") from error
        # ONNX Runtime goes on without a card that it cannot use, and only says so in its log.
        self.device: Literal["cpu", "cuda"] = "cuda" if _CUDA in self._session.get_providers() else "cpu"
        if device == "cuda" and self.device != "cuda":
            raise ConfigError(_NO_CUDA.format("no graphics card, driver or CUDA library that fits was found"))
        self._spec = spec
        inputs = [i.name for i in self._session.get_inputs()]
        outputs = [o.name for o in self._session.get_outputs()]
        self._input = _pick(spec.input, inputs, "input", path)
        self._output = _pick(spec.output, outputs, "output", path)
        # A file exported for a fixed batch takes no other; one exported for any has a name there, or nothing.
        batch = next(i.shape[0] for i in self._session.get_inputs() if i.name == self._input)
        self._fixed_batch = batch if isinstance(batch, int) else None
        if self._fixed_batch not in (None, 1):
            raise EmbedderError(f"model file {path.name!r} takes {batch} pictures at once; export it for 1 or any")
        edge = spec.crop_px
        warm_up = self.run(np.zeros((1, 3, edge, edge), np.float32))
        if warm_up.shape[1] != spec.dim:
            raise EmbedderError(
                f"model {spec.name!r} gives {warm_up.shape[1]} numbers, its description says {spec.dim}"
            )

    @property
    def dim(self) -> int:
        """Length of an output row."""
        return self._spec.dim

    def run(self, tensors: FloatArray) -> FloatArray:
        """(n, dim) outputs of (n, 3, H, W) inputs; what the network pools to (n, dim, 1, 1) is flattened."""
        if self._fixed_batch is not None and len(tensors) > 1:
            return np.concatenate([self.run(tensor[None]) for tensor in tensors])
        try:
            (output,) = self._session.run([self._output], {self._input: np.ascontiguousarray(tensors, np.float32)})
        except Exception as error:
            raise EmbedderError(f"model {self._spec.name!r} failed on {tensors.shape[0]} pictures") from error
        rows: FloatArray = np.asarray(output, np.float32).reshape(len(tensors), -1)
        if not np.isfinite(rows).all():
            raise EmbedderError(f"model {self._spec.name!r} gave numbers that are not finite")
        return rows


def _pick(wanted: str, names: list[str], what: str, path: Path) -> str:
    if not wanted:
        return names[0]
    if wanted not in names:
        raise EmbedderError(f"model file {path.name!r} has no {what} {wanted!r}; it has {', '.join(names)}")
    return wanted
