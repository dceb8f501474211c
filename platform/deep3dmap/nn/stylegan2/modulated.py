"""Convolutions whose weights are modulated per image by a style (Karras et al., CVPR 2020, section 2.2)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from deep3dmap.nn.stylegan2.equalized import EqualizedLinear
from deep3dmap.nn.stylegan2.resample import Resample, doubling
from deep3dmap.ops.fused_leaky_relu import fused_leaky_relu

Change = Literal["keep", "double", "halve"]
EPSILON = 1e-8


class ModulatedConvolution(nn.Module):
    """A convolution with one kernel per image, scaled by the style along the inputs and normalised along the outputs.

    change: keep the size, double it (transposed convolution, then blur) or halve it (blur, then stride 2).
    demodulate: normalise, so that outputs have unit variance for any style. form: "grouped" scales the weights and runs one
    grouped convolution over the batch; "shared" scales inputs and outputs around a common kernel, which is equivalent and
    faster on a CPU; None selects the faster one for the device.
    """

    form: Literal["grouped", "shared"] | None = None

    def __init__(
        self, inputs: int, outputs: int, size: int, style_dim: int, *, change: Change = "keep", demodulate: bool = True
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, size, size))
        self.style = EqualizedLinear(style_dim, inputs, bias=1.0)
        self.gain, self.change, self.demodulate = 1 / math.sqrt(inputs * size**2), change, demodulate
        # Padding for the filter's four taps and the kernel's `size`, split between the two sides.
        if change == "double":
            self.blur = Resample(padding=((4 - size) // 2 + 1, (3 - size) // 2 + 1), gain=4)
        elif change == "halve":
            self.blur = Resample(padding=((2 + size) // 2, (1 + size) // 2))

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """features (N, in, H, W), style (N, style_dim) to (N, out, H', W')."""
        scale = self.style(style)
        grouped = self.form == "grouped" if self.form else features.is_cuda
        return self._grouped(features, scale) if grouped else self._shared(features, scale)

    def _shared(self, features: Tensor, scale: Tensor) -> Tensor:
        weight = self.weight * self.gain
        out = self._convolve(features * scale[:, :, None, None].to(features.dtype), weight, 1)
        if not self.demodulate:
            return out
        norm = torch.rsqrt(scale.square() @ weight.square().sum((2, 3)).T + EPSILON)
        return out * norm[:, :, None, None].to(out.dtype)

    def _grouped(self, features: Tensor, scale: Tensor) -> Tensor:
        count = len(features)
        weight = self.weight * self.gain * scale[:, None, :, None, None]
        if self.demodulate:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + EPSILON)
        side_by_side = features.reshape(1, -1, *features.shape[2:])
        out = self._convolve(side_by_side, weight.flatten(0, 1).to(features.dtype), count)
        return out.reshape(count, -1, *out.shape[2:])

    def _convolve(self, features: Tensor, weight: Tensor, groups: int) -> Tensor:
        if self.change == "double":
            turned = weight.unflatten(0, (groups, -1)).transpose(1, 2).flatten(0, 1)
            return self.blur(functional.conv_transpose2d(features, turned, stride=2, groups=groups))
        if self.change == "halve":
            return functional.conv2d(self.blur(features), weight, stride=2, groups=groups)
        return functional.conv2d(features, weight, padding=weight.shape[-1] // 2, groups=groups)


class StyledLayer(nn.Module):
    """A modulated convolution, noise with one strength for all channels, bias and leaky ReLU.

    noise: (1, 1, side, side) buffer, a fixed noise map for reproducible images.
    """

    noise: Tensor

    def __init__(self, inputs: int, outputs: int, style_dim: int, side: int, change: Change = "keep") -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, outputs, 3, style_dim, change=change)
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("noise", torch.randn(1, 1, side, side))

    def forward(self, features: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """noise: (1 or N, 1, H', W')."""
        out = self.convolution(features, style)
        return fused_leaky_relu(out + (self.noise_strength * noise).to(out.dtype), self.bias)


class ToRGB(nn.Module):
    """Converts features to an image, added to the upsampled image of the next lower resolution."""

    def __init__(self, inputs: int, style_dim: int, image_channels: int = 3) -> None:
        super().__init__()
        self.convolution = ModulatedConvolution(inputs, image_channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(image_channels))
        self.enlarge = doubling()

    def forward(self, features: Tensor, style: Tensor, below: Tensor | None = None) -> Tensor:
        """features (N, in, H, W), below (N, 3, H / 2, W / 2) to (N, 3, H, W)."""
        image = self.convolution(features, style) + self.bias[:, None, None]
        return image if below is None else image + self.enlarge(below)
