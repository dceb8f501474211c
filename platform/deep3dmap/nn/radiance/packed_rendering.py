"""Renders a field along rays, evaluating only samples in occupied cells."""

from typing import Protocol

import torch
from torch import Tensor

from deep3dmap.nn.radiance.occupancy import OccupancyGrid
from deep3dmap.ops.composite import TRANSPARENT, Composited, composite
from deep3dmap.ops.march_rays import PackedSamples
from deep3dmap.render.renderer import FieldSamples
from deep3dmap.render.volume import Rays


class RadianceField(Protocol):
    """Returns density (N,) and colour (N, 3) at world points (N, 3) viewed along unit directions (N, 3)."""

    def __call__(self, positions: Tensor, directions: Tensor) -> FieldSamples:
        """Evaluate the field."""
        ...

    def density(self, positions: Tensor) -> Tensor:
        """Evaluate the density (N,) only."""
        ...


def render_packed(field: RadianceField, rays: Rays, samples: PackedSamples, stop: float = TRANSPARENT) -> Composited:
    """Composite a field along rays (R, 3) with unit directions; differentiable in the field."""
    directions = rays.directions[samples.rays]
    found = field(rays.origins[samples.rays] + samples.distances[:, None] * directions, directions)
    return composite(found.density, found.color, samples.distances, samples.lengths, samples.offsets, stop)


@torch.no_grad()
def drop_hidden(field: RadianceField, rays: Rays, samples: PackedSamples, stop: float = TRANSPARENT) -> PackedSamples:
    """Return the samples whose rendering weight exceeds `stop`; needs only their density, which is cheaper than the colour."""
    positions = rays.origins[samples.rays] + samples.distances[:, None] * rays.directions[samples.rays]
    density = field.density(positions)
    nothing = positions.new_zeros(positions.shape)
    weights = composite(density, nothing, samples.distances, samples.lengths, samples.offsets, stop).weights
    kept = weights > stop
    counts = torch.zeros_like(samples.offsets[1:]).index_add(0, samples.rays, kept.long())
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return PackedSamples(offsets, samples.rays[kept], samples.distances[kept], samples.lengths[kept])


def march_and_render(
    field: RadianceField, grid: OccupancyGrid, rays: Rays, near: float, far: float, chunk: int = 16384
) -> Composited:
    """Render rays without gradients, `chunk` at a time; the returned `weights` are empty."""
    parts = []
    with torch.no_grad():
        for origins, directions in zip(rays.origins.split(chunk), rays.directions.split(chunk)):
            some = Rays(origins, directions)
            parts.append(render_packed(field, some, drop_hidden(field, some, grid.march(some, near, far))))
    color, depth, opacity = (torch.cat([part[index] for part in parts]) for index in range(3))
    return Composited(color, depth, opacity, rays.origins.new_empty(0))
