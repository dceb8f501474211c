"""The neural renderer: a small convolutional network that upsamples a feature map to a picture.

GIRAFFE, section 3.3 and supplementary material. Every block doubles the size of the features and adds its output to the
picture so far. Small kernels keep it from moving content spatially. Parameter names follow the official code.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn


class Blur(nn.Module):
    """Convolve with [1, 2, 1] / 4 in both directions, with reflection padding."""

    f: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("f", torch.tensor([1.0, 2.0, 1.0]))

    def forward(self, images: Tensor) -> Tensor:
        """Blur images (B, C, H, W)."""
        kernel = torch.outer(self.f, self.f)
        kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 3, 3)
        padded = nn.functional.pad(images, (1, 1, 1, 1), mode="reflect")
        return nn.functional.conv2d(padded, kernel, groups=images.shape[1])


class NeuralRenderer(nn.Module):
    """features: channels of the map. doublings: number of upsampling steps. fewest: minimum number of channels of a block."""

    def __init__(self, features: int = 128, doublings: int = 2, fewest: int = 32) -> None:
        super().__init__()
        widths = [features, *(max(features // 2 ** (i + 1), fewest) for i in range(doublings))]
        self.conv_layers = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(widths))
        self.conv_rgb = nn.ModuleList(nn.Conv2d(width, 3, 3, padding=1) for width in widths)
        upsample = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.upsample_rgb = nn.Sequential(upsample, Blur())

    def forward(self, features: Tensor) -> Tensor:
        """Map features (B, features, H, W) to RGB (B, 3, H 2^doublings, W 2^doublings) in [0, 1]."""
        rgb = self.conv_rgb[0](features)
        for layer, to_rgb in zip(self.conv_layers, self.conv_rgb[1:]):
            larger = nn.functional.interpolate(features, scale_factor=2, mode="nearest")
            features = nn.functional.leaky_relu(layer(larger), 0.2)
            rgb = self.upsample_rgb(rgb) + to_rgb(features)
        return rgb.sigmoid()
