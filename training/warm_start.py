"""A student that begins with the weights of an exported file, so that training goes on from what is shipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.network import Block, ConvNorm, Student
from training.pictures import TrainingError


def warm_start(student: Student, path: Path, pictures: Tensor) -> None:
    """Load the weights of an exported file into a student of the same shape; in place.

    The file's convolutions have their batch normalisation folded in. It is unfolded again with the statistics of
    `pictures`, (n, 3, h, w) prepared views, some hundreds: in evaluation the student then gives what the file gives.
    Raises TrainingError where the file is of another shape.
    """
    try:
        graph = onnx.load(path).graph
        tensors = [torch.from_numpy(numpy_helper.to_array(t).astype(np.float32)) for t in graph.initializer]
    # protobuf's errors have no base class of their own.
    except Exception as error:
        raise TrainingError(f"{path.name} is no ONNX file") from error
    pairs = list(_pairs(student))
    wanted = [shape for pair in pairs for shape in (pair[0].shape, (pair[0].shape[0],))]
    # A finished head maps to axes of its own; the student learns the teacher's again from the first step on.
    finished = any(node.op_type == "Sqrt" for node in graph.node)
    shape = student.shape
    wanted += [(shape.dim, sum(shape.widths[-2:]) if finished else shape.widths[-1]), (shape.dim,)]
    # After them comes the constant that keeps the length from being 0.
    if [tuple(t.shape) for t in tensors[:-1]] != wanted:
        raise TrainingError(f"{path.name} holds a network of another shape than the recipe's")
    biases = {}
    with torch.no_grad():
        for pair, weight, bias in zip(pairs, tensors[0::2], tensors[1::2], strict=False):
            pair[0].weight.copy_(weight.reshape(pair[0].weight.shape))
            biases[pair] = bias
        if not finished:
            student.head.weight.copy_(tensors[-3])
            student.head.bias.copy_(tensors[-2])
    hooks = [pair[1].register_forward_pre_hook(_unfold(biases[pair])) for pair in pairs]
    was_training = student.training
    student.eval()
    try:
        with torch.inference_mode():
            student(pictures)
    finally:
        student.train(was_training)
        for hook in hooks:
            hook.remove()


def _unfold(bias: Tensor):  # type: ignore[no-untyped-def]
    """Before a normalisation runs for the first time: give it what comes in, so that it passes that on, plus a bias."""

    def set_statistics(norm: nn.BatchNorm2d, inputs: tuple[Tensor]) -> None:
        (x,) = inputs
        variance, mean = torch.var_mean(x, dim=(0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(torch.sqrt(variance + norm.eps))
        norm.bias.copy_(mean + bias)

    return set_statistics


def _pairs(student: Student) -> Iterator[ConvNorm]:
    """The convolutions in the order in which `export` writes them."""
    yield student.stem
    for block in student.blocks:
        assert isinstance(block, Block)
        yield from (step for step in block.shortcut.children() if isinstance(step, ConvNorm))
        yield block.first
        yield block.second
