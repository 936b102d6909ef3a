"""A network in an ONNX file behind four members: the one importer of onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from image_search.embedding.models import ModelSpec
from image_search.errors import EmbedderError
from image_search.interfaces import FloatArray
from image_search.machine import available_cores


class Network:
    """An ONNX Runtime session. Safe to call from several threads; make it after a fork, never before."""

    def __init__(self, path: Path, spec: ModelSpec, *, threads: int = 0) -> None:
        """Load the file. `threads` = 0: one for each core. Raises EmbedderError where it is not what `spec` says."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.inter_op_num_threads = 1
        # Waiting threads must not spin: decoding shares the cores during a bulk run.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        # onnxruntime's exceptions are made in C++ without a common base class.
        except Exception as error:
            raise EmbedderError(f"model file {path.name!r} cannot be loaded: it is no valid ONNX network") from error
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
