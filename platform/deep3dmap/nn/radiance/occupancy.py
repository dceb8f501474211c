"""Occupancy grid of a scene, updated from the field during training."""

from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.nn.radiance.scene_box import SceneBox
from deep3dmap.ops.march_rays import PackedSamples, march_rays
from deep3dmap.render.volume import Rays

DECAY = 0.95
MIN_THICKNESS = 0.01  # optical thickness per step below which a cell counts as empty (Instant-NGP, appendix E.2)


class OccupancyGrid(nn.Module):
    """Decaying maximum of the optical thickness per step in each of G^3 cells of a scene's cube; initially all occupied.

    step: length of a marching step, in world units. cone: step length as a fraction of the distance, at least `step`; 0 for
    constant steps.
    """

    density: Tensor
    occupied: Tensor
    seen: Tensor

    def __init__(self, box: SceneBox, resolution: int, step: float, cone: float = 0.0) -> None:
        super().__init__()
        self.box, self.step, self.cone = box, step, cone
        self.register_buffer("density", torch.zeros(resolution, resolution, resolution))
        self.register_buffer("occupied", torch.ones(resolution, resolution, resolution, dtype=torch.bool))
        self.register_buffer("seen", torch.ones(resolution, resolution, resolution, dtype=torch.bool))

    @property
    def resolution(self) -> int:
        """Number of cells along each side."""
        return len(self.density)

    def march(self, rays: Rays, near: float, far: float, generator: torch.Generator | None = None) -> PackedSamples:
        """Sample rays (R, 3) with unit directions in the occupied cells; a generator jitters the start of each ray."""
        enter, leave = self.box.interval(rays, near, far)
        jitter = None if generator is None else torch.rand(len(enter), generator=generator, device=generator.device)
        return march_rays(
            self.box.to_unit(rays.origins), rays.directions / self.box.half_sides, enter, leave, self.occupied, self.step,
            cone=self.cone, contracted=self.box.contracted, jitter=jitter,
        )  # fmt: skip

    @torch.no_grad()
    def update(self, density_of: Callable[[Tensor], Tensor], generator: torch.Generator, share: float = 1.0) -> None:
        """Evaluate the field at one random point in each of a random fraction `share` of the cells; update which are occupied.

        density_of: maps world points (N, 3) to density (N,). Each cell stores the maximum of its decayed and new optical
        thickness per step, and is occupied if that exceeds `MIN_THICKNESS` or the mean over the seen cells, whichever is less.
        """
        cells = self._select_cells(generator, share)
        places = self.box.from_cube((self._corner(cells) + self._random_uniform(len(cells), 3, generator)) / self.resolution)
        found = density_of(places) * self._step_at(places)
        flat = self.density.view(-1)
        flat[cells] = torch.maximum(flat[cells] * DECAY, found)
        threshold = min(MIN_THICKNESS, float(self.density[self.seen].mean())) if self.seen.any() else 0.0
        self.occupied = (self.density > threshold) & self.seen

    @torch.no_grad()
    def drop_unseen(self, intrinsics: Any, camera_from_world: Any, height: int, width: int) -> None:
        """Permanently exclude the cells that no camera sees, because training would never clear them.

        intrinsics: (V, 3, 3) pixels. camera_from_world: (V, 4, 4), OpenCV axes. A cell is seen by a camera if its bounding
        sphere intersects the camera's view frustum.
        """
        centres, radius = self._bounding_spheres()
        visible = torch.zeros_like(radius, dtype=torch.bool)
        for matrix, pose in zip(intrinsics, camera_from_world):
            matrix, pose = matrix.to(centres), pose.to(centres)
            points = centres @ pose[:3, :3].T + pose[:3, 3]
            # The four frustum planes through the camera centre and the image borders, pointing inwards, and the plane z = 0.
            planes = torch.stack(
                [matrix[0], width * matrix[2] - matrix[0], matrix[1], height * matrix[2] - matrix[1], matrix[2]]
            )
            inside = points @ (planes / planes.norm(dim=1, keepdim=True)).T
            visible |= (inside > -radius[:, None]).all(1)
        self.seen = visible.view_as(self.seen)
        self.occupied = self.occupied & self.seen

    def _bounding_spheres(self) -> tuple[Tensor, Tensor]:
        """Return the centres (G^3, 3) of the cells in world coordinates, and the radii (G^3,) of their bounding spheres."""
        corners = self._corner(torch.arange(self.seen.numel(), device=self.seen.device))
        centres = self.box.from_cube((corners + 0.5) / self.resolution)
        radius = torch.zeros_like(centres[:, 0])
        for offset in product((0.0, 1.0), repeat=3):
            # With contraction the outermost cells extend to infinity; only their inner halves are considered.
            places = corners + corners.new_tensor(offset)
            if self.box.contracted:
                places = places.clamp(0.5, self.resolution - 0.5)
            radius = torch.maximum(radius, (self.box.from_cube(places / self.resolution) - centres).norm(dim=1))
        return centres, radius

    def _select_cells(self, generator: torch.Generator, share: float) -> Tensor:
        seen = self.seen.view(-1).nonzero()[:, 0]
        if share >= 1:
            return seen
        return seen[self._random_uniform(len(seen), 1, generator)[:, 0] < share]

    def _random_uniform(self, rows: int, columns: int, generator: torch.Generator) -> Tensor:
        return torch.rand(rows, columns, generator=generator, device=generator.device).to(self.density.device)

    def _corner(self, cells: Tensor) -> Tensor:
        side = self.resolution
        return torch.stack([cells // side**2, cells // side % side, cells % side], 1).float()

    def _step_at(self, places: Tensor) -> Tensor:
        if self.cone == 0:
            return torch.full_like(places[:, 0], self.step)
        return (self.cone * (places - self.box.centre).norm(dim=1)).clamp(min=self.step)
