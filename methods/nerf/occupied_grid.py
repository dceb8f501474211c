"""A hash grid behind an occupancy grid: only what may hold something is looked up (Mueller et al., Instant-NGP, 2022)."""

from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.methods.nerf.given_views import GivenViews
from deep3dmap.methods.nerf.options import NeRFConfig
from deep3dmap.methods.nerf.space import Drawn, Space
from deep3dmap.nn.radiance.hash_grid_field import HashGridEncoding, HashGridField
from deep3dmap.nn.radiance.occupancy import OccupancyGrid
from deep3dmap.nn.radiance.packed_rendering import RadianceField, march_and_render, render_packed
from deep3dmap.render.renderer import FieldSamples
from deep3dmap.render.volume import Rays

LEAST_RAYS = 32
EVERYWHERE_UNTIL = 48  # steps in which every cell is sampled: what is known of them is chance
ALL_CELLS_UNTIL = 128  # steps; afterwards a share of the cells is looked at
SHARE = 0.25
START = -1.0  # logarithm of the density per half side of the bounds


class OccupiedGrid(nn.Module):
    """The field, its occupancy grid, and how many samples a ray had in the last step, which decides the next one's rays."""

    samples_per_ray: Tensor

    def __init__(self, space: Space, config: NeRFConfig) -> None:
        super().__init__()
        self.space, self._config = space, config
        c = config
        encoding = HashGridEncoding(c.grid_coarsest, c.grid_finest, c.grid_levels, c.grid_log2_size)
        self.field = HashGridField(space.box, encoding, c.width)
        with torch.no_grad():
            # The density's is the first output: thin fog to begin with, through which all of the scene gets light.
            last: Any = self.field.density_net[2]
            last.bias[0] = START
        self.grid = OccupancyGrid(space.box, c.grid_occupancy, step=1.0)
        self.register_buffer("samples_per_ray", torch.tensor(float(c.grid_march)))

    def place(self) -> None:
        """Take the lengths of the space."""
        half = self.space.box.half_sides
        self.grid.step = 2 * float(half.norm()) / self._config.grid_march
        self.grid.cone = self._config.grid_cone if self.space.box.contracted else 0.0

    def begin(self, views: GivenViews) -> None:
        """Leave out for good what no view shows."""
        poses = torch.linalg.inv(torch.from_numpy(views.poses)).float().to(self.grid.density)
        lenses = torch.from_numpy(views.intrinsics).to(poses)
        self.grid.drop_unseen(lenses, poses, views.height, views.width)

    def rays_per_step(self) -> int:
        """How many rays are drawn for one step, so that its samples and with them its memory stay about the same."""
        wanted = self._config.grid_samples / max(1.0, float(self.samples_per_ray))
        return max(LEAST_RAYS, min(self._config.rays, int(wanted)))

    def refresh(self, step: int, generator: torch.Generator) -> None:
        """Decide anew which cells are occupied, every so many steps."""
        if step < EVERYWHERE_UNTIL or step % self._config.grid_every:
            return
        share = 1.0 if step < ALL_CELLS_UNTIL else SHARE
        self.grid.update(self.field.density, generator, share)
        if not self.grid.occupied.any():
            # A field that vanished everywhere could not come back.
            self.grid.occupied = self.grid.seen.clone()

    def learn(self, rays: Rays, generator: torch.Generator | None) -> list[Drawn]:
        """Return what rays see, differentiable."""
        samples = self.grid.march(rays, self.space.near, self.space.far, generator)
        self.samples_per_ray.fill_(len(samples.distances) / max(1, len(rays.origins)))
        seen = render_packed(self._field, rays, samples)
        return [Drawn(seen.color, seen.depth, seen.opacity)]

    def look(self, rays: Rays) -> Drawn:
        """Return what rays see, without gradients."""
        seen = march_and_render(self._field, self.grid, rays, self.space.near, self.space.far)
        return Drawn(seen.color, seen.depth, seen.opacity)

    def density(self, positions: Tensor) -> Tensor:
        """Return the density (N,) per unit of the world, 0 in cells that are empty."""
        cells = (self.space.box.to_cube(positions) * self.grid.resolution).long().clamp(0, self.grid.resolution - 1)
        occupied = self.grid.occupied[cells[:, 0], cells[:, 1], cells[:, 2]]
        density = torch.zeros_like(positions[:, 0])
        density[occupied] = self.field.density(positions[occupied])
        return density

    def color(self, positions: Tensor, directions: Tensor) -> Tensor:
        """Return the colour (N, 3) seen in unit directions (N, 3)."""
        return self._field(positions, directions).color

    @property
    def _field(self) -> RadianceField:
        return self.field if self._config.view_dependent else Undirected(self.field)


class Undirected:
    """A field that looks the same from everywhere."""

    def __init__(self, field: HashGridField) -> None:
        self._field, self.density = field, field.density

    def __call__(self, positions: Tensor, directions: Tensor) -> FieldSamples:
        """Look the field up in one direction, whichever it is seen in."""
        return self._field(positions, torch.zeros_like(directions))
