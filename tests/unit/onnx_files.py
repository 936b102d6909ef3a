"""Networks of a few kilobytes, written by the tests themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

EDGE = 16
DIM = 8


def write_network(
    path: Path,
    *,
    dim: int = DIM,
    input_name: str = "image",
    batch: int | str = "n",
    pooled: bool = False,
    nan: bool = False,
) -> Path:
    """A network of one matrix: the mean of each channel over 4 x 4 tiles, times (48, dim) fixed random weights.

    `pooled`: its output is (n, dim, 1, 1). `nan`: it divides by the sum of its input, so that zeros give NaN.
    """
    weights = np.random.default_rng(1).standard_normal((48, dim)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", [input_name], ["tiles"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["tiles"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["product"]),
    ]
    initializers = [numpy_helper.from_array(weights, "weights")]
    last = "product"
    if nan:
        nodes += [
            helper.make_node("ReduceSum", ["flat"], ["sum"], keepdims=1),
            helper.make_node("Div", [last, "sum"], ["quotient"]),
        ]
        last = "quotient"
    if pooled:
        initializers.append(numpy_helper.from_array(np.array([0, dim, 1, 1], np.int64), "shape"))
        nodes.append(helper.make_node("Reshape", [last, "shape"], ["pooled"]))
        last = "pooled"
    nodes.append(helper.make_node("Identity", [last], ["embedding"]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [batch, 3, EDGE, EDGE])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, dim, 1, 1] if pooled else [batch, dim])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def description(**changes: Any) -> dict[str, Any]:
    """What the JSON beside such a network says."""
    return {
        "name": "tiny",
        "dim": DIM,
        "resize_shortest_px": 20,
        "crop_px": EDGE,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "resample": "bilinear",
    } | changes


def write_model(folder: Path, **changes: Any) -> Path:
    """tiny.onnx with its tiny.json; returns the .onnx."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.json").write_text(json.dumps(description(**changes)), encoding="utf-8")
    return write_network(folder / "tiny.onnx")
