"""A network with ResNet-50's layers and random weights: no file of the real one is among the shared ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np


def make_resnet50_shape(path: Path) -> Path:
    """Write an ONNX file with ResNet-50's layers and random weights: its speed, not its knowledge."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights, counter = [], [], iter(range(10_000))

    def conv(x: str, cin: int, cout: int, k: int, stride: int, relu: bool = True, scale: float = 1.0) -> str:
        n = next(counter)
        w = (rng.standard_normal((cout, cin, k, k)) * scale * np.sqrt(2 / (cin * k * k))).astype(np.float32)
        weights.append(numpy_helper.from_array(w, f"w{n}"))
        weights.append(numpy_helper.from_array(np.zeros(cout, np.float32), f"b{n}"))
        pad = k // 2
        nodes.append(helper.make_node("Conv", [x, f"w{n}", f"b{n}"], [f"c{n}"], strides=[stride] * 2, pads=[pad] * 4))
        if not relu:
            return f"c{n}"
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"]))
        return f"r{n}"

    x = conv("image", 3, 64, 7, 2)
    nodes.append(helper.make_node("MaxPool", [x], ["pool"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4))
    x, cin = "pool", 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            stride = 2 if block == 0 and width > 64 else 1
            y = conv(conv(x, cin, width, 1, 1), width, width, 3, stride)
            # A tenth of the branch keeps random weights from blowing up over sixteen blocks.
            y = conv(y, width, width * 4, 1, 1, relu=False, scale=0.1)
            if block == 0:
                x = conv(x, cin, width * 4, 1, stride, relu=False)
            n = next(counter)
            nodes.append(helper.make_node("Add", [x, y], [f"a{n}"]))
            nodes.append(helper.make_node("Relu", [f"a{n}"], [f"o{n}"]))
            x, cin = f"o{n}", width * 4
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["embedding"]))
    graph = helper.make_graph(
        nodes,
        "resnet50_shape",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 2048, 1, 1])],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    spec = {"name": "resnet50_shape", "dim": 2048, "resize_shortest_px": 256, "crop_px": 224}
    spec |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    path.with_suffix(".json").write_text(json.dumps(spec))
    return path
