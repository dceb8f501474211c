"""A radiance field on a multiresolution hash grid with two small networks (Mueller et al., Instant-NGP, SIGGRAPH 2022)."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.nn.radiance.encodings import SphericalHarmonics
from deep3dmap.nn.radiance.scene_box import SceneBox
from deep3dmap.ops.hash_grid import HashGridLevels, hash_grid
from deep3dmap.render.renderer import FieldSamples

LARGEST_EXPONENT = 15.0


class HashGridEncoding(nn.Module):
    """Features of positions in [0, 1]^3 from learnt grids of several resolutions: (N, 3) to (N, levels * features).

    coarsest, finest: cells along each side of the first and last level. log2_size: base-2 logarithm of the maximum number of
    entries per level.
    """

    def __init__(
        self, coarsest: int = 16, finest: int = 2048, levels: int = 16, log2_size: int = 19, features: int = 2
    ) -> None:
        super().__init__()
        self.levels = HashGridLevels.between(coarsest, finest, levels, log2_size)
        self.channels = levels * features
        self.table = nn.Parameter(torch.empty(self.levels.entries, features).uniform_(-1e-4, 1e-4))

    def forward(self, places: Tensor) -> Tensor:
        """Interpolate and concatenate the features of all levels."""
        return hash_grid(places, self.table, self.levels)


class HashGridField(nn.Module):
    """Maps positions (N, 3) and unit directions (N, 3) in world coordinates to density and colour.

    encoding: of positions in the box's cube. hidden: width of both networks. features: number of features that the density
    network passes to the colour network.
    """

    def __init__(self, box: SceneBox, encoding: HashGridEncoding, hidden: int = 64, features: int = 15) -> None:
        super().__init__()
        self.box, self.encoding, self.harmonics = box, encoding, SphericalHarmonics()
        self.density_net = nn.Sequential(nn.Linear(encoding.channels, hidden), nn.ReLU(), nn.Linear(hidden, 1 + features))
        self.color_net = nn.Sequential(
            nn.Linear(features + self.harmonics.channels, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, 3),
            nn.Sigmoid(),
        )

    def forward(self, positions: Tensor, directions: Tensor) -> FieldSamples:
        """Return density (N,) per world unit and colour (N, 3) in [0, 1]."""
        hidden = self._hidden(positions)
        color = self.color_net(torch.cat([hidden[:, 1:], self.harmonics(directions)], 1))
        return FieldSamples(self._density(hidden), color)

    def density(self, positions: Tensor) -> Tensor:
        """Return the density (N,) only."""
        return self._density(self._hidden(positions))

    def _hidden(self, positions: Tensor) -> Tensor:
        return self.density_net(self.encoding(self.box.to_cube(positions)))

    def _density(self, hidden: Tensor) -> Tensor:
        # Relative to the box size, so that the initial field does not depend on the world unit.
        return truncated_exp(hidden[:, 0]) / self.box.half_sides.mean()


def truncated_exp(values: Tensor) -> Tensor:
    """Return exp(x) with a bounded gradient: that of exp(clamp(x, -15, 15))."""
    return _TruncatedExp.apply(values)


class _TruncatedExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        # exp overflows float32 at 88; a density that large is opaque in any case.
        return torch.exp(values.clamp(max=math.log(1e30)))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        return gradient * torch.exp(values.clamp(-LARGEST_EXPONENT, LARGEST_EXPONENT))
