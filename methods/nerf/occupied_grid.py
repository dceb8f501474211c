"""A hash grid with an occupancy grid: only possibly occupied cells are evaluated (Mueller et al., Instant-NGP, 2022)."""

import torch
from torch import Tensor, nn

from deep3dmap.methods.nerf.given_views import GivenViews
from deep3dmap.methods.nerf.options import NeRFConfig
from deep3dmap.methods.nerf.space import RenderedRays, SceneBounds
from deep3dmap.nn.radiance.distortion import distortion
from deep3dmap.nn.radiance.hash_grid_field import HashGridEncoding, HashGridField
from deep3dmap.nn.radiance.occupancy import OccupancyGrid
from deep3dmap.nn.radiance.packed_rendering import march_and_render, render_packed
from deep3dmap.ops.march_rays import PackedSamples
from deep3dmap.render.renderer import FieldSamples
from deep3dmap.render.volume import Rays

MIN_RAYS = 32
WARM_UP_STEPS = 48  # steps in which all cells are sampled, because the estimated densities are still random
FULL_UPDATES_UNTIL = 128  # steps; afterwards only a share of the cells is updated at a time
SHARE = 0.25
START = -1.0  # initial logarithm of the density, per half side of the bounds


class OccupiedGrid(nn.Module):
    """The field, its occupancy grid, and the last step's samples per ray, which determine the next step's number of rays."""

    samples_per_ray: Tensor

    def __init__(self, space: SceneBounds, config: NeRFConfig) -> None:
        super().__init__()
        self.space, self._config = space, config
        c = config
        encoding = HashGridEncoding(c.grid_coarsest, c.grid_finest, c.grid_levels, c.grid_log2_size)
        self.field = HashGridField(space.box, encoding, c.width)
        last = self.field.density_net[2]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            # The first output is the density: start with thin fog, so that light reaches the whole scene.
            last.bias[0] = START
        self.grid = OccupancyGrid(space.box, c.grid_occupancy, step=1.0)
        self.register_buffer("samples_per_ray", torch.tensor(float(c.grid_march)))

    def place(self) -> None:
        """Update the step sizes from the bounds."""
        half = self.space.box.half_sides
        self.grid.step = 2 * float(half.norm()) / self._config.grid_march
        self.grid.cone = self._config.grid_cone if self.space.box.contracted else 0.0

    def begin(self, views: GivenViews) -> None:
        """Permanently exclude cells that no view sees."""
        poses = torch.linalg.inv(torch.from_numpy(views.poses)).float().to(self.grid.density)
        intrinsics = torch.from_numpy(views.intrinsics).to(poses)
        self.grid.drop_unseen(intrinsics, poses, views.height, views.width)

    def rays_per_step(self) -> int:
        """Return the number of rays for one step, chosen to keep the number of samples and thus the memory about constant."""
        wanted = self._config.grid_samples / max(1.0, float(self.samples_per_ray))
        return max(MIN_RAYS, min(self._config.rays, int(wanted)))

    def refresh(self, step: int, generator: torch.Generator) -> None:
        """Update the occupied cells at regular intervals."""
        if step < WARM_UP_STEPS or step % self._config.grid_every:
            return
        share = 1.0 if step < FULL_UPDATES_UNTIL else SHARE
        self.grid.update(self._rendered_field.density, generator, share)
        if not self.grid.occupied.any():
            # A field that vanished everywhere could not recover.
            self.grid.occupied = self.grid.seen.clone()

    def render_for_training(self, rays: Rays, generator: torch.Generator | None) -> list[RenderedRays]:
        """Return the rendering of the rays, differentiable."""
        samples = self.grid.march(rays, self.space.near, self.space.far, generator)
        self.samples_per_ray.fill_(len(samples.distances) / max(1, len(rays.origins)))
        seen = render_packed(self._rendered_field, rays, samples)
        return [RenderedRays(seen.color, seen.depth, seen.opacity, self._spread(seen.weights, samples))]

    def render(self, rays: Rays) -> RenderedRays:
        """Return the rendering of the rays, without gradients."""
        seen = march_and_render(self._rendered_field, self.grid, rays, self.space.near, self.space.far)
        return RenderedRays(seen.color, seen.depth, seen.opacity)

    def density(self, positions: Tensor) -> Tensor:
        """Return the density (N,) per world unit, 0 in empty cells."""
        cells = (self.space.box.to_cube(positions) * self.grid.resolution).long().clamp(0, self.grid.resolution - 1)
        occupied = self.grid.occupied[cells[:, 0], cells[:, 1], cells[:, 2]]
        density = torch.zeros_like(positions[:, 0])
        density[occupied] = self._rendered_field.density(positions[occupied])
        return density

    def color(self, positions: Tensor, directions: Tensor) -> Tensor:
        """Return the colour (N, 3) seen along unit directions (N, 3)."""
        return self._rendered_field(positions, directions).color

    def _spread(self, weights: Tensor, samples: PackedSamples) -> Tensor | None:
        if not (self._config.distortion and self.space.box.contracted):
            return None
        ends = [self.space.shares(samples.distances + side * samples.lengths / 2) for side in (-1, 0, 1)]
        return distortion(weights, ends[1], ends[2] - ends[0], samples.offsets)

    @property
    def _rendered_field(self) -> "RenderedField":
        return RenderedField(self.field, self._config.view_dependent)


class RenderedField:
    """A field as rendered: with reduced density in contracted space, and without view dependence if so configured.

    Density is per length of contracted space. Otherwise the long steps far away would become opaque first, and the scene would
    be painted on a distant shell.
    """

    def __init__(self, field: HashGridField, view_dependent: bool) -> None:
        self._field, self._view_dependent = field, view_dependent

    def __call__(self, positions: Tensor, directions: Tensor) -> FieldSamples:
        """Evaluate the field."""
        found = self._field(positions, directions if self._view_dependent else torch.zeros_like(directions))
        return FieldSamples(found.density * self._density_factor(positions), found.color)

    def density(self, positions: Tensor) -> Tensor:
        """Evaluate only the density (N,)."""
        return self._field.density(positions) * self._density_factor(positions)

    def _density_factor(self, positions: Tensor) -> Tensor:
        if not self._field.box.contracted:
            return torch.ones_like(positions[:, 0])
        return self._field.box.to_unit(positions).abs().amax(1).clamp(min=1) ** -2
