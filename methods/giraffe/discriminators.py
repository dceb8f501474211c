"""The discriminators: GIRAFFE's, with plain strided convolutions, and the residual one of the 2D baseline.

GIRAFFE's is a DCGAN without normalisation. The residual one follows Mescheder et al., "Which Training Methods for GANs do
actually Converge?", ICML 2018. Parameter names follow the official code.
"""

import math
from itertools import pairwise

from torch import Tensor, nn

from deep3dmap.core.errors import UserError


class DCDiscriminator(nn.Module):
    """image_size: side of the pictures, a power of two from 8. width: channels of the last layer, halved towards the first."""

    def __init__(self, image_size: int = 64, width: int = 512) -> None:
        super().__init__()
        halvings = _power_of_two(image_size, 8) - 2
        widths = [3, *(max(width >> (halvings - 1 - i), 1) for i in range(halvings))]
        self.image_size = image_size
        self.blocks = nn.ModuleList(nn.Conv2d(i, o, 4, 2, 1, bias=False) for i, o in pairwise(widths))
        self.conv_out = nn.Conv2d(width, 1, 4, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map pictures (B, 3, S, S), RGB in [0, 1], to logits (B,), positive for real."""
        _check_size(images, self.image_size)
        for block in self.blocks:
            images = nn.functional.leaky_relu(block(images), 0.2)
        logits: Tensor = self.conv_out(images).flatten()
        return logits


class ResidualBlock(nn.Module):
    """Two pre-activated convolutions, whose output is scaled by 0.1 and added to the input."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = nn.Conv2d(inputs, middle, 3, padding=1)
        self.conv_1 = nn.Conv2d(middle, outputs, 3, padding=1)
        self.conv_s = nn.Conv2d(inputs, outputs, 1, bias=False) if inputs != outputs else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        change = self.conv_0(nn.functional.leaky_relu(features, 0.2))
        change = self.conv_1(nn.functional.leaky_relu(change, 0.2))
        result: Tensor = self.conv_s(features) + 0.1 * change
        return result


class ResNetDiscriminator(nn.Module):
    """width: channels of the first layer, doubled with every downsampling up to `widest`."""

    def __init__(self, image_size: int = 64, width: int = 16, widest: int = 512) -> None:
        super().__init__()
        halvings = _power_of_two(image_size, 4) - 2
        widths = [min(width << i, widest) for i in range(halvings + 1)]
        self.image_size = image_size
        self.conv_img = nn.Conv2d(3, width, 3, padding=1)
        layers: list[nn.Module] = [ResidualBlock(width, width)]
        for inputs, outputs in pairwise(widths):
            layers += [nn.AvgPool2d(3, stride=2, padding=1), ResidualBlock(inputs, outputs)]
        self.resnet = nn.Sequential(*layers)
        self.fc = nn.Linear(16 * widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        """Map pictures (B, 3, S, S) to logits (B,), positive for real."""
        _check_size(images, self.image_size)
        features = self.resnet(self.conv_img(images)).flatten(1)
        logits: Tensor = self.fc(nn.functional.leaky_relu(features, 0.2)).flatten()
        return logits


def _power_of_two(size: int, least: int) -> int:
    exponent = round(math.log2(max(size, 1)))
    if 2**exponent != size or size < least:
        raise UserError(f"method.image_size: the side of pictures must be a power of two of at least {least}, got {size}")
    return exponent


def _check_size(images: Tensor, size: int) -> None:
    if tuple(images.shape[1:]) != (3, size, size):
        raise ValueError(f"images must be (B, 3, {size}, {size}), got {tuple(images.shape)}")
