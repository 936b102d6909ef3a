"""A trained student -> the ONNX file that the product ships: folded, half the bytes, checked against the student."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from image_search.interfaces import FloatArray
from training.network import Block, ConvNorm, Student
from training.pictures import TrainingError

WANTED_COSINE = 0.9999
_OPSET, _IR_VERSION = 17, 8
_TINY = np.float32(1e-12)
"""What a length is at least before one divides by it, as in `torch.nn.functional.normalize`."""


def export(student: Student, path: Path, edge_px: int, *, max_bytes: int) -> dict[str, float | int | str]:
    """Write the ONNX file; what was measured of it. Raises TrainingError where it is too large or does not agree."""
    student.eval()
    pictures = torch.randn(64, 3, edge_px, edge_px, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected: FloatArray = student(pictures).numpy()
    model = build(student, edge_px)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    if len(data) > max_bytes:
        raise TrainingError(f"the network takes {len(data):,} bytes; at most {max_bytes:,}: make it thinner")
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"image": pictures.numpy()})
    cosine = np.sum(expected * found, axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(found, axis=1)
    if cosine.min() <= WANTED_COSINE:
        raise TrainingError(f"the ONNX file does not agree with the student: cosine {cosine.min():.6f}")
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)
    return {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "parameters": sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer),
        "worst_cosine": round(float(cosine.min()), 7),
    }


def build(student: Student, edge_px: int) -> onnx.ModelProto:
    """The student as an ONNX model, its batch normalisation folded into the convolutions."""
    graph = _Graph()
    x = graph.add("Relu", graph.convolution("image", student.stem))
    before = x
    for position, block in enumerate(student.blocks):
        assert isinstance(block, Block)
        x = graph.block(x, block)
        if position == student.stage_before:
            before = x
    pooled = graph.mean(x)
    if student.finished:
        pooled = graph.add("Sqrt", graph.add("Concat", graph.mean(before), pooled, axis=1))
    head = [graph.tensor(student.head.weight), graph.tensor(student.head.bias)]
    vector = graph.add("Gemm", pooled, *head, transB=1)
    length = graph.add("Max", graph.add("ReduceL2", vector, axes=[1], keepdims=1), graph.tensor(_TINY))
    graph.nodes.append(helper.make_node("Div", [vector, length], ["embedding"]))
    made = helper.make_model(
        helper.make_graph(
            [*graph.casts, *graph.nodes],
            "compact",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, edge_px, edge_px])],
            [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", student.shape.dim])],
            graph.tensors,
        ),
        producer_name="image-search training",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    assert isinstance(made, onnx.ModelProto)
    return made


class _Graph:
    """Nodes and tensors in the order in which they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.casts: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def add(self, kind: str, *inputs: str, **attributes: int | list[int]) -> str:
        """The name of what a new node gives."""
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def tensor(self, values: torch.Tensor | np.float32) -> str:
        """The name of a constant; a large one is kept as float16, and the runtime folds its cast away while loading."""
        array = values.detach().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
        name = f"weight_{len(self.tensors)}"
        if array.size < 1024:
            self.tensors.append(numpy_helper.from_array(array.astype(np.float32), name))
            return name
        self.tensors.append(numpy_helper.from_array(array.astype(np.float16), name))
        self.casts.append(helper.make_node("Cast", [name], [f"{name}_float32"], to=TensorProto.FLOAT))
        return f"{name}_float32"

    def mean(self, x: str) -> str:
        """(n, channels) means over the picture."""
        return self.add("Flatten", self.add("GlobalAveragePool", x), axis=1)

    def convolution(self, x: str, pair: ConvNorm) -> str:
        """A convolution with its batch normalisation multiplied in."""
        conv, norm = pair[0], pair[1]
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = self.tensor(conv.weight.reshape(conv.shape) * scale.reshape(-1, 1, 1, 1))
        bias = self.tensor(norm.bias - norm.running_mean * scale)
        return self.add(
            "Conv",
            x,
            weight,
            bias,
            kernel_shape=list(conv.shape[2:]),
            strides=[conv.stride] * 2,
            pads=[conv.padding] * 4,
        )

    def block(self, x: str, block: Block) -> str:
        """Two convolutions beside a way past them."""
        past = x
        for step in block.shortcut.children():
            if isinstance(step, nn.AvgPool2d):
                size = [int(step.kernel_size)] * 2
                past = self.add("AveragePool", past, kernel_shape=size, strides=size)
            else:
                assert isinstance(step, ConvNorm)
                past = self.convolution(past, step)
        second = self.convolution(self.add("Relu", self.convolution(x, block.first)), block.second)
        return self.add("Relu", self.add("Add", second, past))
