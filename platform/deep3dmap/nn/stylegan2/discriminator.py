"""StyleGAN2's discriminator: downsampling residual blocks and the minibatch standard deviation."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from deep3dmap.core.errors import UserError
from deep3dmap.nn.stylegan2.equalized import EqualizedConvolution, EqualizedLinear
from deep3dmap.nn.stylegan2.resample import Resample
from deep3dmap.nn.stylegan2.sizes import StyleGAN2Size
from deep3dmap.ops.fused_leaky_relu import fused_leaky_relu


class ActivatedConvolution(nn.Module):
    """Convolution, bias, leaky ReLU; `halve` blurs first and strides by 2."""

    def __init__(self, inputs: int, outputs: int, size: int, halve: bool = False) -> None:
        super().__init__()
        self.blur = Resample(padding=(2, 2)) if halve else nn.Identity()
        self.convolution = EqualizedConvolution(inputs, outputs, size, stride=2 if halve else 1)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """(N, in, H, W) to (N, out, H', W')."""
        return fused_leaky_relu(self.convolution(self.blur(features)), self.bias)


class ResidualBlock(nn.Module):
    """Two convolutions with a filtered shortcut; (N, in, H, W) to (N, out, H / 2, W / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = ActivatedConvolution(inputs, inputs, 3)
        self.second = ActivatedConvolution(inputs, outputs, 3, halve=True)
        # Downsampling commutes with a 1 x 1 convolution, so downsample first and filter only the pixels that are kept.
        self.halve = Resample(down=2, padding=(1, 1))
        self.shortcut = EqualizedConvolution(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum of both paths, scaled to unit variance."""
        return (self.second(self.first(features)) + self.shortcut(self.halve(features))) / math.sqrt(2)


def append_deviation(features: Tensor, group: int = 4) -> Tensor:
    """Append a channel with the mean standard deviation over a group of images (Karras et al., ICLR 2018, section 3).

    A batch of N has N / group groups, and image n is in group n mod (N / group); a batch smaller than the group is one group.
    Raises UserError for a batch size that is not divisible by the group size.
    """
    count, _, height, width = features.shape
    size = min(group, count)
    if count % size:
        raise UserError(f"the discriminator compares groups of {size} images; a batch of {count} cannot be divided into them")
    grouped = features.float().unflatten(0, (size, -1))
    deviation = (grouped.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    channel = deviation.repeat(size)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([features, channel.to(features.dtype)], 1)


class Discriminator(nn.Module):
    """Maps images (N, 3, H, W) to logits (N, 1), positive for images classified as real."""

    def __init__(self, size: StyleGAN2Size, group: int = 4) -> None:
        super().__init__()
        self.size, self.group = size, group
        descending = size.resolutions[::-1]
        self.from_rgb = ActivatedConvolution(3, size.channels(descending[0]), 1)
        self.blocks = nn.ModuleList(
            ResidualBlock(size.channels(side), size.channels(below)) for side, below in pairwise(descending)
        )
        last = size.channels(4)
        self.final = ActivatedConvolution(last + 1, last, 3)
        self.hidden = EqualizedLinear(last * 4 * 4, last, activate=True)
        self.logit = EqualizedLinear(last, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits. Raises UserError for images of another size."""
        if images.shape[1:] != (3, self.size.resolution, self.size.resolution):
            raise UserError(
                f"this discriminator takes (N, 3, {self.size.resolution}, {self.size.resolution}), got {tuple(images.shape)}"
            )
        features = self.features(images, len(self.blocks))[-1]
        features = self.final(append_deviation(features, self.group))
        return self.logit(self.hidden(features.flatten(1)))

    def features(self, images: Tensor, count: int) -> list[Tensor]:
        """Return the outputs of the first `count` blocks, for images of any size that can be halved `count` times."""
        features, found = self.from_rgb(images), []
        for block in list(self.blocks)[:count]:
            features = block(features)
            found.append(features)
        return found
