"""Conditional feature fields, which map a position, a view direction and two latent codes to a density and a feature vector.

Niemeyer and Geiger, "GIRAFFE: Representing Scenes as Compositional Generative Neural Feature Fields", CVPR 2021, section 3.1.
Parameters are named as in the official code (autonomousvision/giraffe), so that its checkpoints can be loaded.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class FieldConfig:
    """Sizes of a field.

    latent: length of the shape code and the appearance code. blocks: layers before the density, including the first one. skips:
    blocks after which the code and the position are fed again. features: length of the output. downscale: divisor of positions
    and directions before encoding.
    """

    latent: int = 256
    hidden: int = 128
    blocks: int = 8
    skips: tuple[int, ...] = (4,)
    features: int = 128
    downscale: float = 2.0
    position_octaves: int = 10
    direction_octaves: int = 4


class FeatureField(nn.Module):
    """The field of objects of one kind, or of the background."""

    def __init__(self, config: FieldConfig) -> None:
        super().__init__()
        self.config = config
        position, direction, hidden = 6 * config.position_octaves, 6 * config.direction_octaves, config.hidden
        self.fc_in = nn.Linear(position, hidden)
        self.fc_z = nn.Linear(config.latent, hidden)
        self.blocks = nn.ModuleList(nn.Linear(hidden, hidden) for _ in range(config.blocks - 1))
        self.fc_z_skips = nn.ModuleList(nn.Linear(config.latent, hidden) for _ in config.skips)
        self.fc_p_skips = nn.ModuleList(nn.Linear(position, hidden) for _ in config.skips)
        self.sigma_out = nn.Linear(hidden, 1)
        self.fc_z_view = nn.Linear(config.latent, hidden)
        self.feat_view = nn.Linear(hidden, hidden)
        self.fc_view = nn.Linear(direction, hidden)
        self.feat_out = nn.Linear(hidden, config.features)

    def forward(
        self,
        points: Tensor,
        directions: Tensor,
        shape: Tensor,
        appearance: Tensor,
        owner: Tensor | None = None,
        ray: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Evaluate N points and return raw density (N,), which may be negative, and features (N, config.features).

        points: (N, 3) in the field's frame. directions: (D, 3) of their rays, of any length. shape, appearance: (F, latent)
        codes of F fields. owner, ray: (N,) int64, index of each point's field and ray; None if each N / F consecutive points
        belong to one field, and each N / D consecutive points to one ray.
        """
        encoded = encode(points / self.config.downscale, self.config.position_octaves)
        hidden = _add(self.fc_in(encoded), self.fc_z(shape), owner).relu()
        entered = 0
        for index, block in enumerate(self.blocks):
            hidden = block(hidden).relu()
            if index + 1 in self.config.skips and index < len(self.blocks) - 1:
                hidden = _add(hidden + self.fc_p_skips[entered](encoded), self.fc_z_skips[entered](shape), owner)
                entered += 1
        seen = _add(_add(self.feat_view(hidden), self.fc_z_view(appearance), owner), self._view(directions), ray)
        return self.sigma_out(hidden)[:, 0], self.feat_out(seen.relu())

    def _view(self, directions: Tensor) -> Tensor:
        unit = directions / directions.norm(dim=-1, keepdim=True)
        view: Tensor = self.fc_view(encode(unit / self.config.downscale, self.config.direction_octaves))
        return view


def _add(values: Tensor, groups: Tensor, index: Tensor | None) -> Tensor:
    """Add to each value (N, H) the row of its group, from groups (F, H)."""
    if index is None:
        return (values.unflatten(0, (len(groups), -1)) + groups[:, None]).flatten(0, 1)
    return values + groups[index]


def encode(values: Tensor, octaves: int) -> Tensor:
    """Encode values (N, C) as (N, 2 C octaves): for each octave i the sines, then the cosines, of 2^i pi x."""
    scaled = values[:, None] * (math.pi * 2.0 ** torch.arange(octaves, dtype=values.dtype, device=values.device))[:, None]
    return torch.cat([scaled.sin(), scaled.cos()], -1).flatten(1)
