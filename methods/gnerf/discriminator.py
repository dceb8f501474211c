"""The discriminator of patches, which is conditioned on a patch's scale, its size relative to the image.

Meng et al., "GNeRF: GAN-based Neural Radiance Field without Posed Camera", ICCV 2021, section 3.1. Parameter names follow the
official code.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils import spectral_norm

from deep3dmap.core.errors import UserError
from deep3dmap.nn.radiance.encodings import frequency_channels, frequency_encoding

SCALE_OCTAVES = 4
SIDES = (16, 32, 64, 128)


class PatchDiscriminator(nn.Module):
    """side: of the patches in pixels. width: base number of channels of the layers."""

    def __init__(self, side: int = 16, width: int = 64) -> None:
        super().__init__()
        if side not in SIDES:
            raise UserError(f"method.patch: the side of patches must be {', '.join(map(str, SIDES))} pixels, got {side}")
        self.side = side
        self.main = nn.Sequential(*_halvings(side, width), _convolution(8 * width, width, 4, 1, 0))
        channels = width + frequency_channels(1, SCALE_OCTAVES)
        layers: list[nn.Module] = []
        for inputs, outputs in ((channels, width), (width, width), (width, 1)):
            layers += [nn.LeakyReLU(0.2), _convolution(inputs, outputs, 1, 1, 0)]
        self.final = nn.Sequential(*layers)

    def forward(self, patches: Tensor, scale: Tensor) -> Tensor:
        """Return logits (B,), positive for real, of patches (B, 3, side, side) in [-1, 1] with relative scales (B,).

        In training, every call performs one power iteration of spectral normalisation.
        """
        if tuple(patches.shape[1:]) != (3, self.side, self.side):
            raise ValueError(f"patches must be (B, 3, {self.side}, {self.side}), got {tuple(patches.shape)}")
        encoded = frequency_encoding(scale.view(-1, 1, 1, 1), SCALE_OCTAVES, dim=1)
        logits: Tensor = self.final(torch.cat([self.main(patches), encoded], 1)).flatten()
        return logits


def _halvings(side: int, width: int) -> list[nn.Module]:
    """Return the layers that downsample patches of `side` to 4 x 4; a narrow first layer is not normalised."""
    widths = [8 * width >> step for step in range(SIDES.index(side) + 2)][::-1]
    layers: list[nn.Module] = []
    for index, (inputs, outputs) in enumerate(pairwise([3, *widths])):
        layers.append(_convolution(inputs, outputs, 4, 2, 1))
        if index > 0 or outputs > width:
            layers.append(nn.InstanceNorm2d(outputs))
        layers.append(nn.LeakyReLU(0.2))
    return layers


def _convolution(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False))
