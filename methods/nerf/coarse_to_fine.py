"""The paper's two networks: the coarse one guides the samples of the fine one (Mildenhall et al., ECCV 2020, section 5.2)."""

import torch
from torch import Tensor, nn

from deep3dmap.methods.nerf.options import NeRFConfig
from deep3dmap.methods.nerf.space import RenderedRays, SceneBounds
from deep3dmap.nn.radiance.nerf_mlp import NeRFMLP
from deep3dmap.nn.radiance.sampling import importance_distances, stratified_distances
from deep3dmap.nn.radiance.volume_rendering import RayColors, interval_lengths, render_rays
from deep3dmap.ops.march_rays_reference import contract
from deep3dmap.render.volume import Rays


class CoarseToFine(nn.Module):
    """Two networks whose input positions are scaled so that the bounds are [-1, 1]^3."""

    def __init__(self, space: SceneBounds, config: NeRFConfig) -> None:
        super().__init__()
        self.space, self._counts, self._rays = space, (config.coarse, config.fine), config.rays
        # The paper feeds the encoded position in again after layer 5 of 8; a trunk of two layers has no such layer.
        skip = config.depth // 2 + 1
        self.coarse, self.fine = (NeRFMLP(config.width, config.depth, (skip,)) for _ in range(2))

    def begin(self, views: object) -> None:
        """Do nothing; the networks do not depend on the views."""

    def rays_per_step(self) -> int:
        """Return the number of rays per step."""
        return self._rays

    def refresh(self, step: int, generator: torch.Generator) -> None:
        """Do nothing; no state is kept between steps."""

    def render_for_training(self, rays: Rays, generator: torch.Generator | None) -> list[RenderedRays]:
        """Return the renderings of the coarse and the fine network, differentiable."""
        near, far = self.space.interval(rays)
        zeros, ones = torch.zeros_like(near), torch.ones_like(near)
        shares = stratified_distances(zeros, ones, self._counts[0], generator)
        coarse = self._render_network(self.coarse, rays, shares, near, far)
        fine_shares = importance_distances(shares, coarse.weights, self._counts[1], generator)
        fine = self._render_network(self.fine, rays, fine_shares, near, far)
        return [RenderedRays(one.color, one.depth, one.opacity) for one in (coarse, fine)]

    def render(self, rays: Rays) -> RenderedRays:
        """Return the rendering of the fine network."""
        return self.render_for_training(rays, None)[-1]

    def density(self, positions: Tensor) -> Tensor:
        """Return the fine network's density (N,) per world unit."""
        return self.fine.density(self._to_network_space(positions)) / self._unit

    def color(self, positions: Tensor, directions: Tensor) -> Tensor:
        """Return the fine network's colour (N, 3) seen along unit directions (N, 3)."""
        return self.fine(self._to_network_space(positions), directions).color

    def _render_network(self, network: NeRFMLP, rays: Rays, shares: Tensor, near: Tensor, far: Tensor) -> RayColors:
        distances = self.space.distances(shares, near, far)
        # In unbounded space, everything beyond `far` is represented by the last sample.
        lengths = interval_lengths(distances, None if self.space.box.contracted else far) / self._unit
        positions = rays.origins[:, None] + distances[..., None] * rays.directions[:, None]
        directions = rays.directions[:, None].expand_as(positions)
        found = network(self._to_network_space(positions.reshape(-1, 3)), directions.reshape(-1, 3))
        return render_rays(found.density.view_as(shares), found.color.view(*shares.shape, 3), distances, lengths)

    def _to_network_space(self, positions: Tensor) -> Tensor:
        inner = self.space.box.to_unit(positions)
        return contract(inner) if self.space.box.contracted else inner

    @property
    def _unit(self) -> Tensor:
        return self.space.box.half_sides.mean()
