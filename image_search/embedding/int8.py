"""An ONNX network's weights and inner tensors in int8: the one importer of onnx and of onnxruntime's quantiser.

Static quantisation, QDQ format, weights per channel. The first convolution (it sees pixels, three channels of them)
and what follows the last convolution or matrix (pooling, the embedding's own matrix, its normalisation) stay float32:
they cost little time and hold much of the error.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from image_search.interfaces import FloatArray

# Measured on the compact network with two sets of photos: of min-max, moving average, percentiles and entropy this
# one kept the most neighbours; min-max is led by single outliers, entropy cuts off what an embedding needs.
PERCENTILE = 99.99

_WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
# QDQ nodes of weights per channel need 13; what is older is brought to one that is well tried.
_MIN_OPSET, _NEW_OPSET = 13, 17


def has_tools() -> bool:
    """Whether the packages are here that this module works with."""
    return importlib.util.find_spec("onnx") is not None


def prepare(source: Path, output: str, folder: Path) -> Path:
    """A file in `folder` of the network as `calibrate` and `write_int8` want it.

    One output ("" = the first), constants folded, shapes inferred, every node named. This and the others raise
    whatever onnx and onnxruntime raise in C++ and protobuf, which has no common base class.
    """
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization import quant_pre_process

    network = onnx.load(str(source))
    _keep_output(network.graph, output or network.graph.output[0].name)
    if next(o.version for o in network.opset_import if o.domain in ("", "ai.onnx")) < _MIN_OPSET:
        network = version_converter.convert_version(network, _NEW_OPSET)
    network.ir_version = max(network.ir_version, 8)
    # Folding makes plain float32 weights of float16 ones with a cast; the quantiser passes over what a node computes.
    # Symbolic shapes fail on some networks and serve transformers of an open length, which pictures do not have.
    # By a file: a network in memory would be written with its shapes in a second file, where nothing infers from them.
    plain, path = folder / "plain.onnx", folder / "prepared.onnx"
    onnx.save(network, str(plain))
    with _quiet():
        quant_pre_process(str(plain), str(path), skip_symbolic_shape=True)
    prepared = onnx.load(str(path))
    for number, node in enumerate(prepared.graph.node):
        node.name = f"{node.op_type}_{number}"
    onnx.save(prepared, str(path))
    return path


def _keep_output(graph: Any, output: str) -> None:
    """Take from an onnx graph what does not lead to that output, and weights from its list of inputs."""
    needed, nodes = {output}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
            # What a branch or a loop reads of the graph around it is not among its inputs.
            needed.update(name for inner in _inner_graphs(node) for n in inner.node for name in n.input)
    weights = {tensor.name for tensor in graph.initializer}
    for entries, kept in (
        (graph.node, nodes[::-1]),
        (graph.output, [o for o in graph.output if o.name == output]),
        (graph.initializer, [t for t in graph.initializer if t.name in needed]),
        (graph.input, [i for i in graph.input if i.name not in weights]),
    ):
        del entries[:]
        entries.extend(kept)


def _inner_graphs(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            yield graph
            for inner in graph.node:
                yield from _inner_graphs(inner)


def calibrate(prepared: Path, input_name: str, chunks: Iterable[FloatArray]) -> Path:
    """A file beside `prepared` of the range of each inner tensor over chunks of (n, 3, H, W) inputs.

    The inner tensors of one chunk are in memory together.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, create_calibrator, save_tensors_data

    name = input_name or onnx.load(str(prepared)).graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self, chunk: FloatArray) -> None:
            self._left = iter(chunk)

        def get_next(self) -> dict[str, FloatArray] | None:
            tensor = next(self._left, None)
            return None if tensor is None else {name: tensor[None]}

    with _quiet():
        calibrator = create_calibrator(
            prepared,
            [],
            str(prepared.with_name("augmented.onnx")),
            calibrate_method=CalibrationMethod.Percentile,
            # By default ranges are made symmetric, which gives half of the steps behind a ReLU to values that never
            # come.
            extra_options={"percentile": PERCENTILE, "symmetric": False},
        )
    for chunk in chunks:
        with _quiet():
            calibrator.collect_data(Reader(chunk))
    ranges = prepared.with_name("ranges.json")
    with _quiet():
        save_tensors_data(calibrator.compute_data(), ranges)
    return ranges


def write_int8(prepared: Path, ranges: Path, output: Path, *, reduce_range: bool) -> Path:
    """`output`: the prepared network with int8 weights, of seven bits where `reduce_range` says so."""
    import onnx
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    with _quiet():
        quantize_static(
            str(prepared),
            str(output),
            None,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=reduce_range,
            # The pair for x86: signed activations take a slow path there (measured: 1.2 times float32 instead of 2.8).
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=_left_in_float32(onnx.load(str(prepared)).graph),
            calibrate_method=CalibrationMethod.Percentile,
            calibration_cache_path=ranges,
        )
    return output


def _left_in_float32(graph: Any) -> list[str]:
    """Names of the nodes that are not quantised: the first convolution, a last matrix, and what follows the last."""
    nodes = list(graph.node)
    weighted = [i for i, node in enumerate(nodes) if node.op_type in _WEIGHTED]
    if not weighted:
        return []
    last = weighted[-1] + nodes[weighted[-1]].op_type.startswith("Conv")
    first = {weighted[0]} if len(weighted) > 1 else set()
    return [node.name for i, node in enumerate(nodes) if i in first or i >= last]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what onnxruntime's tools print (on stdout, where --json has its document) from the person."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        # onnxruntime's own default.
        onnxruntime.set_default_logger_severity(2)
