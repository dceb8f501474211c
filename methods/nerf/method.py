"""NeRF: a field of density and colour fitted to the photographs of one scene with known cameras."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Camera, MethodCard, Reconstruction, Step, Views
from deep3dmap.frameworks import CustomFramework, TrainLoop
from deep3dmap.methods.nerf.coarse_to_fine import CoarseToFine
from deep3dmap.methods.nerf.given_views import GivenViews, RayBatch
from deep3dmap.methods.nerf.occupied_grid import OccupiedGrid
from deep3dmap.methods.nerf.options import NeRFConfig, adam, check
from deep3dmap.methods.nerf.space import RenderedRays, SceneBounds
from deep3dmap.methods.nerf.surface import extract_surface, seen_part
from deep3dmap.nn.radiance.rays import axial_depth, camera_image_rays
from deep3dmap.render.volume import Rays

FIELD = "field"
MIN_OPACITY = 0.5  # minimum opacity of a pixel with a depth
HIDDEN = 2.0  # cells; a vertex at most this far behind the visible surface still counts as seen


class NeRF(CustomFramework):
    """Renders rays through random pixels and compares them with the photographs, over random backgrounds where masks allow it.

    field=mlp uses the paper's pair of networks. field=grid evaluates a hash grid only in occupied cells of an occupancy grid,
    so its memory grows with the number of samples that are kept.
    """

    card = MethodCard(
        title="NeRF",
        authors="Ben Mildenhall, Pratul Srinivasan, Matthew Tancik et al.; grids after Thomas Mueller et al.",
        year=2020,
        paper="NeRF: Representing Scenes as Neural Radiance Fields, ECCV 2020, arXiv:2003.08934; Instant-NGP, SIGGRAPH 2022",
        tasks=("object", "outdoor"),
        consumes=("images", "intrinsics", "world_from_camera", "bounds"),
        optional=("masks", "background"),
        produces=("mesh", "views"),
        licence="MIT",
        frame="world",
        gauge="metric",
        tried_on=("objects", "terrain"),
        least_views=2,
    )
    config_type = NeRFConfig
    config: NeRFConfig
    background: Tensor

    def __init__(self, config: NeRFConfig) -> None:
        super().__init__(config)
        check(config)
        self.space = SceneBounds(config.near, config.far)
        self.model: OccupiedGrid | CoarseToFine
        self.model = OccupiedGrid(self.space, config) if config.field == "grid" else CoarseToFine(self.space, config)
        self.register_buffer("background", torch.zeros(3))

    def fit_steps(self, given: dict[str, Any], loop: TrainLoop) -> Iterator[Step]:
        """Fit the field to one scene. Raises UserError for unusable views, see `GivenViews`."""
        views = self._place(given)
        loop.planned_steps = self.config.steps
        loop.prepare(self)
        total = max(1, loop.total_steps)
        optimizer = adam(self.config)
        loop.optimizer(FIELD, self.model.parameters(), optimizer, lambda step: self.config.final_rate ** (step / total))
        if loop.step == 0:
            self.model.begin(views)
        while loop.step < self.config.steps:
            yield self._step(views, loop)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return the surface within the bounds of the scene, in the frame and unit of its cameras; may be empty."""
        views = self._place(given)
        c = self.config
        mesh = extract_surface(self.model.density, self.model.color, self.space.box.bounds, c.mesh_resolution, c.mesh_opacity)
        if c.mesh_seen:
            edge = float((self.space.box.bounds[1] - self.space.box.bounds[0]).max()) / c.mesh_resolution
            mesh = seen_part(mesh, views.intrinsics, views.poses, views.height, views.width, HIDDEN * edge)
        notes = {"field": c.field, "unbounded": self.space.box.contracted}
        return Reconstruction("world", "metre", mesh=mesh, notes=notes)

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Render the last reconstructed scene; depth is along the optical axis, 0 where opacity is low."""
        drawn = [self._render(camera) for camera in cameras]
        return Views(np.stack([image for image, _ in drawn]), np.stack([depth for _, depth in drawn]))

    def _place(self, given: dict[str, Any]) -> GivenViews:
        """Read the views and set the state that depends only on them, so that a resumed fit uses the same."""
        views = GivenViews(given, self.device)
        unbounded = not views.masked if self.config.space == "auto" else self.config.space == "unbounded"
        self.space.place(views.bounds, torch.from_numpy(views.poses[:, :3, 3]).float(), unbounded)
        if isinstance(self.model, OccupiedGrid):
            self.model.place()
        behind = torch.zeros(3) if views.masked else views.mean_light()
        self.background.copy_(behind if views.background is None else views.background)
        return views

    def _step(self, views: GivenViews, loop: TrainLoop) -> Step:
        # The loop reseeds torch for each step.
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, (1,))))
        self.model.refresh(loop.step, generator)
        batch = views.draw(self.model.rays_per_step(), generator)
        background = self._backgrounds(views, batch, generator)
        with loop.micro_batch(FIELD):
            drawn = self.model.render_for_training(batch.rays, generator)
            wanted = batch.light + (1 - batch.alpha)[:, None] * background
            errors = [(_composite_over(one, background) - wanted).square().mean() for one in drawn]
            spread = [self.config.distortion * one.spread.mean() for one in drawn if one.spread is not None]
            loop.backward(torch.stack([*errors, *spread]).sum())
        loop.update(FIELD)
        psnr = -10 * errors[-1].detach().clamp(min=1e-10).log10()
        return Step(torch.stack(errors).sum().detach(), {"psnr": psnr, "rays": float(len(batch.alpha))})

    def _backgrounds(self, views: GivenViews, batch: RayBatch, generator: torch.Generator) -> Tensor:
        """Return the backgrounds of the rays (R, 3): random colours per ray, so that the field cannot learn them."""
        if views.background is not None and not views.masked:
            return self.background.expand(len(batch.alpha), 3)
        return torch.rand(len(batch.alpha), 3, generator=generator).to(self.device)

    def _render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        rays = camera_image_rays(camera.height, camera.width, camera.intrinsics, camera.world_from_camera)
        images, depths = [], []
        for origins, directions in zip(rays.origins.split(self.config.chunk), rays.directions.split(self.config.chunk)):
            seen = self.model.render(Rays(origins.to(self.device), directions.to(self.device)))
            distance = seen.depth / seen.opacity.clamp(min=MIN_OPACITY)
            depth = axial_depth(distance, directions.to(self.device), camera.world_from_camera)
            images.append(_composite_over(seen, self.background).clamp(0, 1).cpu())
            depths.append(torch.where(seen.opacity >= MIN_OPACITY, depth, 0.0).cpu())
        shape = camera.height, camera.width
        return torch.cat(images).T.reshape(3, *shape).numpy(), torch.cat(depths).reshape(shape).numpy()


def _composite_over(seen: RenderedRays, background: Tensor) -> Tensor:
    return seen.color + (1 - seen.opacity)[:, None] * background
