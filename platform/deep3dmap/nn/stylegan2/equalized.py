"""Layers with an equalised learning rate: weights drawn from N(0, 1) and scaled at run time (Karras et al., ICLR 2018)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from deep3dmap.ops.fused_leaky_relu import fused_leaky_relu


class EqualizedLinear(nn.Module):
    """A linear layer (N, in) to (N, out), followed by a leaky ReLU with gain sqrt(2) if `activate`.

    rate: learning-rate multiplier; the weights are stored divided by it, so that the layer's function does not change.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0, activate: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.gain, self.rate, self.activate = rate / math.sqrt(inputs), rate, activate

    def forward(self, values: Tensor) -> Tensor:
        """Return the (N, out) outputs."""
        if self.activate:
            return fused_leaky_relu(functional.linear(values, self.weight * self.gain), self.bias * self.rate)
        return functional.linear(values, self.weight * self.gain, self.bias * self.rate)


class EqualizedConvolution(nn.Module):
    """A convolution with an odd kernel and no bias; padded to preserve the size at stride 1, unpadded at stride 2."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.gain, self.stride, self.padding = 1 / math.sqrt(inputs * size**2), stride, size // 2 if stride == 1 else 0

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H', W')."""
        return functional.conv2d(features, self.weight * self.gain, stride=self.stride, padding=self.padding)
