"""The five networks of unsup3d, with the layers of the published checkpoints (Wu et al., CVPR 2020, supplement)."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.nn.official_checkpoints import fill, get_state_dict, read_checkpoint
from deep3dmap.nn.relief_model import ReliefModel
from deep3dmap.nn.relief_networks import PER_GROUP, PictureToPicture, PictureToVector, halvings, official_width

SOURCE = "published in elliottwu/unsup3d"
# Our names and the published ones.
NAMES = {"depth": "netD", "albedo": "netA", "view": "netV", "light": "netL", "confidence": "netC"}
HEADS = {"pixels": "out_net1", "features": "out_net2"}


class Deviations(NamedTuple):
    """Predicted standard deviations (positive): channel 0 for the object, channel 1 for its mirrored copy.

    pixels: (N, 2, S, S). features: (N, 2, S / 4, S / 4), for features at a quarter of the picture's size.
    """

    pixels: Tensor
    features: Tensor


def _normalised(layer: nn.Module, channels: int, activation: nn.Module) -> list[nn.Module]:
    return [layer, nn.GroupNorm(channels // PER_GROUP, channels), activation]


class ConfidenceNetwork(nn.Module):
    """An encoder, and a decoder with outputs at the size of the features and of the picture."""

    def __init__(self, size: int, *, width: int | None = None, code: int = 128) -> None:
        super().__init__()
        first = width or official_width(size)
        widths = [first * 2**level for level in range(halvings(size))]
        layers: list[nn.Module] = []
        for inputs, channels in pairwise([3, *widths[:-1]]):
            layers += _normalised(nn.Conv2d(inputs, channels, 4, 2, 1, bias=False), channels, nn.LeakyReLU(0.2))
        layers += [nn.Conv2d(widths[-2], widths[-1], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(widths[-1], code, 4, bias=False), nn.ReLU()]
        layers += [nn.ConvTranspose2d(code, widths[-1], 4, bias=False), nn.ReLU()]
        for channels, fewer in pairwise(widths[:0:-1]):
            layers += _normalised(nn.ConvTranspose2d(channels, fewer, 4, 2, 1, bias=False), fewer, nn.ReLU())
        self.network = nn.Sequential(*layers)
        self.pixels = nn.Sequential(
            *_normalised(nn.ConvTranspose2d(widths[1], first, 4, 2, 1, bias=False), first, nn.ReLU()),
            *_normalised(nn.ConvTranspose2d(first, first, 4, 2, 1, bias=False), first, nn.ReLU()),
            nn.Conv2d(first, 2, 5, padding=2, bias=False),
            nn.Softplus(),
        )
        self.features = nn.Sequential(nn.Conv2d(widths[1], 2, 3, padding=1, bias=False), nn.Softplus())

    def forward(self, images: Tensor) -> Deviations:
        """Predict the deviations of pictures (N, 3, S, S)."""
        inner = self.network(images)
        return Deviations(self.pixels(inner), self.features(inner))


class DepthNetwork(PictureToPicture):
    """Depth before scaling to its range, added to a constant bulge towards the camera; the published bulge is 0."""

    bulge: Tensor

    def __init__(self, size: int, bulge: float, *, width: int, code: int) -> None:
        super().__init__(size, 1, width=width, code=code)
        places = torch.linspace(-1, 1, size)
        radius = places.square()[:, None] + places.square()
        self.register_buffer("bulge", -bulge * torch.exp(-2 * radius), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, 3, S, S) to (N, 1, S, S)."""
        return super().forward(images) + self.bulge


class Unsup3DNetworks(nn.Module):
    """The networks. width: channels of the first layers, None for the published width; code: length of the bottleneck code."""

    def __init__(self, size: int, *, width: int | None = None, code: int = 256, bulge: float = 0.0) -> None:
        super().__init__()
        first = width or official_width(size)
        self.depth = DepthNetwork(size, bulge, width=first, code=code)
        self.albedo = PictureToPicture(size, 3, width=first, code=code, squash=True)
        self.view = PictureToVector(size, 6, width=first // 2)
        self.light = PictureToVector(size, 4, width=first // 2)
        self.confidence = ConfidenceNetwork(size, width=first, code=code // 2)


Unsup3DModel = ReliefModel[Unsup3DNetworks]


def load_networks(networks: Unsup3DNetworks, file: Path) -> None:
    """Load all five networks from a published checkpoint, ignoring its optimisers.

    Raises UserError naming the file and the network if one is missing or does not fit.
    """
    content = read_checkpoint(file, SOURCE)
    for ours, published in NAMES.items():
        state = get_state_dict(content, published, file)
        for head, name in HEADS.items() if ours == "confidence" else ():
            state = {key.replace(f"{name}.", f"{head}.", 1): value for key, value in state.items()}
        fill(getattr(networks, ours), state, f"{file}: {published}")
