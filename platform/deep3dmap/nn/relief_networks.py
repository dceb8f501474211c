"""Networks that decompose an image into depth, albedo, view and light (Wu, Rupprecht and Vedaldi, CVPR 2020, supplement).

For 64 and 128 pixels the layers and their order match the published checkpoints of unsup3d and GAN2Shape, `network.<index>`;
all other powers of two from 16 follow the same pattern.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from deep3dmap.core.errors import UserError

PER_GROUP = 4  # channels per group of the group normalisation


def halvings(size: int) -> int:
    """Return how many times an image of this size is halved to reach 4 x 4. Raises UserError for unsupported sizes."""
    if size < 16 or size & (size - 1):
        raise UserError(f"these networks take square images whose side is a power of two from 16, not {size}")
    return size.bit_length() - 3


def official_width(size: int) -> int:
    """Return the channels of the first layer in the published networks: 64 at 64 pixels, 32 at 128, at least 16."""
    return max(4096 // size, 16)


def _normalised(channels: int, activation: nn.Module) -> list[nn.Module]:
    return [nn.GroupNorm(channels // PER_GROUP, channels), activation]


class PictureToPicture(nn.Module):
    """Encoder-decoder for the canonical depth (1 channel) or albedo (3 channels, with tanh if `squash`)."""

    def __init__(self, size: int, outputs: int, *, width: int | None = None, code: int = 256, squash: bool = False) -> None:
        super().__init__()
        first = width or official_width(size)
        widths = [first * 2**level for level in range(halvings(size))]
        layers: list[nn.Module] = []
        for inputs, channels in zip([3, *widths], widths):
            layers.append(nn.Conv2d(inputs, channels, 4, 2, 1, bias=False))
            last = channels == widths[-1]
            layers += [nn.LeakyReLU(0.2)] if last else _normalised(channels, nn.LeakyReLU(0.2))
        layers += [nn.Conv2d(widths[-1], code, 4, bias=False), nn.ReLU()]
        layers += [nn.ConvTranspose2d(code, widths[-1], 4, bias=False), nn.ReLU()]
        layers += [nn.Conv2d(widths[-1], widths[-1], 3, padding=1, bias=False), nn.ReLU()]
        for channels, fewer in zip(widths[::-1], widths[-2::-1]):
            layers += [nn.ConvTranspose2d(channels, fewer, 4, 2, 1, bias=False), *_normalised(fewer, nn.ReLU())]
            layers += [nn.Conv2d(fewer, fewer, 3, padding=1, bias=False), *_normalised(fewer, nn.ReLU())]
        layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        layers += [nn.Conv2d(first, first, 3, padding=1, bias=False), *_normalised(first, nn.ReLU())]
        layers += [nn.Conv2d(first, first, 5, padding=2, bias=False), *_normalised(first, nn.ReLU())]
        layers += [nn.Conv2d(first, outputs, 5, padding=2, bias=False)]
        self.network = nn.Sequential(*layers, *([nn.Tanh()] if squash else []))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, outputs, S, S)."""
        return self.network(images)


class PictureToVector(nn.Module):
    """Encoder for the view (6 numbers) or the light (4 numbers), in [-1, 1]."""

    def __init__(self, size: int, outputs: int, *, width: int | None = None) -> None:
        super().__init__()
        first = width or official_width(size)
        widths = [first * 2**level for level in range(halvings(size))]
        layers: list[nn.Module] = []
        for inputs, channels in zip([3, *widths], widths):
            layers += [nn.Conv2d(inputs, channels, 4, 2, 1, bias=False), nn.ReLU()]
        layers += [nn.Conv2d(widths[-1], widths[-1], 4, bias=False), nn.ReLU()]
        layers += [nn.Conv2d(widths[-1], outputs, 1, bias=False), nn.Tanh()]
        self.network = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, outputs)."""
        return self.network(images).flatten(1)


class _HalvingBlock(nn.Module):
    """Residual block of two convolutions. The shortcut starts after the first ReLU, as in the published weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.conv_sc = nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        positive = functional.relu(features)
        shortcut = self.conv_sc(functional.avg_pool2d(positive, 2))
        return self.conv2(functional.relu(self.conv1(positive))) + shortcut


class ResidualEncoder(nn.Module):
    """A residual encoder for latent codes (Pan et al., ICLR 2021, supplement)."""

    def __init__(self, size: int, outputs: int, *, width: int = 32) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(halvings(size))]
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1, bias=False)]
        layers += [_HalvingBlock(inputs, channels) for inputs, channels in pairwise(widths)]
        layers += [nn.ReLU(), nn.Conv2d(widths[-1], 2 * widths[-1], 4, bias=False), nn.ReLU()]
        self.network = nn.Sequential(*layers, nn.Conv2d(2 * widths[-1], outputs, 1, bias=False))

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, outputs)."""
        return self.network(images).flatten(1)
