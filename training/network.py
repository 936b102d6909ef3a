"""The student: a plain residual network, small enough for one core and for eight megabytes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the size of the network."""

    stem: int = 32
    widths: tuple[int, ...] = (48, 96, 192, 288)
    depths: tuple[int, ...] = (2, 2, 2, 2)
    dim: int = 256

    def to_dict(self) -> dict[str, Any]:
        """For a checkpoint and the model card."""
        return asdict(self)


class MatrixConv(nn.Module):
    """A convolution whose kernel is kept as a matrix (out, in * k * k), the form that the Muon optimiser works on."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs * kernel * kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.shape = (outputs, inputs, kernel, kernel)
        self.stride, self.padding = stride, kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h / stride, w / stride)."""
        return nn.functional.conv2d(x, self.weight.view(self.shape), stride=self.stride, padding=self.padding)


class ConvNorm(nn.Sequential):
    """A convolution and its batch normalisation, which the export folds into one."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(MatrixConv(inputs, outputs, kernel, stride), nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """Two 3 x 3 convolutions beside a way past them (He et al. 2015), pooled as in ResNet-D (He et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, 3, stride)
        self.second = ConvNorm(outputs, outputs, 3)
        # Starts as the shortcut alone, so that a deep network learns from the first step on.
        nn.init.zeros_(self.second[1].weight)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            pool = [nn.AvgPool2d(stride)] if stride > 1 else []
            self.shortcut = nn.Sequential(*pool, ConvNorm(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h / stride, w / stride)."""
        return nn.functional.relu(self.second(nn.functional.relu(self.first(x))) + self.shortcut(x))


class Student(nn.Module):
    """(n, 3, h, w) prepared pictures -> (n, dim) unit vectors."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stem = ConvNorm(3, shape.stem, 5, 2)
        blocks, inputs = [], shape.stem
        for width, depth in zip(shape.widths, shape.depths, strict=True):
            for position in range(depth):
                blocks.append(Block(inputs, width, 2 if position == 0 else 1))
                inputs = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, shape.dim)
        self.finished = False
        """Whether the head was fitted on square roots of the last two stages (see `finish`)."""

    @property
    def stage_before(self) -> int:
        """Position of the block that ends the last stage but one."""
        return sum(self.shape.depths[:-1]) - 1

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, last width but one), (n, last width): means of the activations at the ends of stages, none below 0."""
        x = nn.functional.relu(self.stem(x))
        before = x
        for position, block in enumerate(self.blocks):
            x = block(x)
            if position == self.stage_before:
                before = x
        return before.mean(dim=(2, 3)), x.mean(dim=(2, 3))

    def roots(self, x: Tensor) -> Tensor:
        """(n, the last two widths) square roots of both."""
        return torch.sqrt(torch.cat(self.features(x), dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, dim) float32, unit length."""
        pooled = self.roots(x) if self.finished else self.features(x)[1]
        return nn.functional.normalize(self.head(pooled).float(), dim=1)

    def finish(self, weight: Tensor, bias: Tensor) -> None:
        """Take a head (dim, the last two widths), (dim,) that was fitted on `roots`."""
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        with torch.no_grad():
            self.head.weight.copy_(weight)
            self.head.bias.copy_(bias)
        self.finished = True
