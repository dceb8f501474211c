"""The network of NeRF: eight layers on the encoded position, one on the direction (Mildenhall et al., 2020, figure 7)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deep3dmap.nn.radiance.encodings import frequency_channels, frequency_encoding
from deep3dmap.render.renderer import FieldSamples


class NeRFMLP(nn.Module):
    """Maps positions (N, 3) and unit directions (N, 3) to density and colour.

    width, depth: of the trunk. skips: zero-based indices of layers whose input is concatenated with the encoded position.
    position_octaves, direction_octaves: of the frequency encodings.
    """

    def __init__(
        self,
        width: int = 256,
        depth: int = 8,
        skips: Sequence[int] = (4,),
        position_octaves: int = 10,
        direction_octaves: int = 4,
    ) -> None:
        super().__init__()
        self._octaves, self._skips = (position_octaves, direction_octaves), frozenset(skips)
        place, towards = (frequency_channels(3, octaves) for octaves in self._octaves)
        sizes = [place] + [width + place * (layer in self._skips) for layer in range(1, depth)]
        self.trunk = nn.ModuleList(nn.Linear(size, width) for size in sizes)
        self.density_head = nn.Linear(width, 1)
        self.feature = nn.Linear(width, width)
        self.color_head = nn.Sequential(
            nn.Linear(width + towards, width // 2), nn.ReLU(), nn.Linear(width // 2, 3), nn.Sigmoid()
        )

    def forward(self, positions: Tensor, directions: Tensor) -> FieldSamples:
        """Return the non-negative density (N,) and the colour (N, 3) in [0, 1]."""
        raw, color = self.raw(positions, directions)
        return FieldSamples(raw.relu(), color)

    def raw(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the density (N,) before its ReLU, to which noise may be added, and the colour (N, 3)."""
        hidden = self._hidden(positions)
        towards = frequency_encoding(directions, self._octaves[1])
        color = self.color_head(torch.cat([self.feature(hidden), towards], -1))
        return self.density_head(hidden)[..., 0], color

    def density(self, positions: Tensor) -> Tensor:
        """Return the non-negative density (N,) without evaluating the colour layers."""
        return self.density_head(self._hidden(positions))[..., 0].relu()

    def _hidden(self, positions: Tensor) -> Tensor:
        encoded = hidden = frequency_encoding(positions, self._octaves[0])
        for index, layer in enumerate(self.trunk):
            given = torch.cat([encoded, hidden], -1) if index in self._skips else hidden
            hidden = layer(given).relu()
        return hidden
