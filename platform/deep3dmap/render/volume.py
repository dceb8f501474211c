"""Volume rendering of fields of density and colour (Max, 1995; Mildenhall et al., 2020)."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from deep3dmap.render.projection import eye_of, pixel_rays
from deep3dmap.render.quadrature import quadrature, sample_depths
from deep3dmap.render.renderer import DAYLIGHT, Color, FieldSamples, Lights, Output, Renderer, Rendering, Surface, View
from deep3dmap.render.surface_checks import replace_invalid_vertices
from deep3dmap.render.surface_field import SurfaceField

# Maps world points (N, 3) and unit viewing directions (N, 3) to samples.
Field = Callable[[Tensor, Tensor], FieldSamples]
MIN_COVERAGE = 1e-4
NEGLIGIBLE = 1e-6


class Rays(NamedTuple):
    """Rays in world coordinates: the point at depth t is origins + t * directions, both (N, 3)."""

    origins: Tensor
    directions: Tensor


@dataclass(frozen=True)
class VolumeRenderer(Renderer):
    """Integrates density and colour at samples along each pixel's ray. All outputs are differentiable in the field.

    A surface is rendered as the field of its signed distance on a grid, see `SurfaceField`, with edges soft by about a grid
    cell. Gradients flow to colours and texture and, through the density, exactly to the vertices; the dependence of colours on
    the nearest surface point is ignored, so the image gradient is approximate in the vertices. `face_id` is None.

    samples: per ray, evenly spaced between entering and leaving the field's box. stratified: place each sample randomly within
    its interval, with random numbers from `seed`, instead of at the midpoint. rays: number of rays processed at once.
    resolution: number of grid cells along a surface's longest side.
    """

    samples: int = 128
    stratified: bool = False
    seed: int = 0
    rays: int = 16384
    resolution: int = 96

    name: ClassVar[str] = "volume"
    differentiable: ClassVar[frozenset[Output]] = frozenset(("image", "depth", "normals", "silhouette"))
    approximate: ClassVar[frozenset[Output]] = frozenset(("image",))
    reference: ClassVar[str] = "Max, Optical Models for Direct Volume Rendering, TVCG 1995; Mildenhall et al., NeRF, ECCV 2020"

    def __post_init__(self) -> None:
        for name in ("samples", "rays", "resolution"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be an integer of at least 1, got {getattr(self, name)}")

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Render a surface from a view. Lighting is evaluated at the surface point nearest to each grid cell."""
        surface = replace_invalid_vertices(surface)
        field = SurfaceField(surface, lights, eye_of(view).to(surface.vertices), self.resolution)
        return self.render_field(field, field.bounds, view, background)

    def render_field(
        self,
        field: Field,
        bounds: Tensor,
        view: View,
        background: Color = (1.0, 1.0, 1.0),
        generator: torch.Generator | None = None,
    ) -> Rendering:
        """Render a field within the box `bounds`, (2, 3) lowest and highest corner in the world; depth is the expected depth.

        Normals are those of the field, or by default the negative density gradient. generator: for the stratified samples, e.g.
        to vary them between training steps; by default a new one with `seed`.
        Raises ValueError for bounds of a wrong shape.
        """
        if bounds.shape != (2, 3):
            raise ValueError(f"bounds must be (2, 3), got {tuple(bounds.shape)}")
        rays = camera_rays(view, bounds)
        enter, leave = box_interval(rays, bounds)
        if view.projection == "perspective":
            enter = enter.clamp(min=view.near)
        met = (leave > enter).nonzero()[:, 0]
        if self.stratified and generator is None:
            generator = torch.Generator(bounds.device).manual_seed(self.seed)
        parts = [
            self._gather(field, Rays(*(one[some] for one in rays)), enter[some], leave[some], generator)
            for some in met.split(self.rays)
        ]
        flat = bounds.new_zeros(view.height * view.width, 8)
        if parts:
            flat = flat.index_copy(0, met, torch.cat(parts))
        return _rendering(flat.T.unflatten(1, (view.height, view.width)), view, background)

    def _gather(self, field: Field, rays: Rays, enter: Tensor, leave: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return weighted sums (N, 8) over the samples of each ray: colour, normal, depth and opacity."""
        edges = enter[:, None] + (leave - enter)[:, None] * torch.linspace(0, 1, self.samples + 1).to(enter)
        depth = sample_depths(edges, generator)
        points = rays.origins[:, None] + depth[..., None] * rays.directions[:, None]
        towards = normalize(rays.directions, dim=1)[:, None].expand_as(points)
        # t is depth along the optical axis, but step lengths are measured along the ray.
        steps = edges.diff(dim=1) * rays.directions.norm(dim=1, keepdim=True)
        if isinstance(field, SurfaceField):
            # Its density and all gradients vanish outside a thin layer, so colours are only needed there.
            weights = quadrature(field.density(points.reshape(-1, 3)).reshape(depth.shape), steps)
            ray, place = (weights.detach() > NEGLIGIBLE).nonzero().unbind(1)
            samples = field(points[ray, place], towards[ray, place])
            weight = weights[ray, place]
        else:
            samples = _look_up(field, points.reshape(-1, 3), towards.reshape(-1, 3))
            weights = quadrature(samples.density.reshape(depth.shape), steps)
            ray, weight = torch.arange(len(depth), device=depth.device).repeat_interleave(self.samples), weights.reshape(-1)
        normals = torch.zeros_like(samples.color) if samples.normals is None else samples.normals
        sums = depth.new_zeros(len(depth), 6).index_add(0, ray, weight[:, None] * torch.cat([samples.color, normals], 1))
        return torch.cat([sums, (weights * depth).sum(1, keepdim=True), weights.sum(1, keepdim=True)], 1)


def camera_rays(view: View, like: Tensor) -> Rays:
    """Return the world rays (H * W) of the pixel centres, row by row; t is depth along the optical axis."""
    pose = view.camera_from_world.to(like)
    rotation, translation = pose[:3, :3], pose[:3, 3]
    through = pixel_rays(view, like).reshape(-1, 3)
    if view.projection == "perspective":
        return Rays((-translation @ rotation).expand_as(through), through @ rotation)
    forward = through.new_tensor([0.0, 0.0, 1.0])
    return Rays((through - forward - translation) @ rotation, (forward @ rotation).expand_as(through))


def box_interval(rays: Rays, bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Return the t (N,) at which rays enter and leave the box `bounds` (2, 3); for rays that miss it, enter > leave.

    Rays that start inside enter at a negative t.
    """
    safe = torch.where(rays.directions.abs() > 1e-12, rays.directions, 1e-12)
    first, second = ((corner - rays.origins) / safe for corner in bounds)
    return torch.minimum(first, second).amax(1), torch.maximum(first, second).amin(1)


def _look_up(field: Field, points: Tensor, directions: Tensor) -> FieldSamples:
    """Evaluate the field; if it returns no normals, use the direction of decreasing density."""
    given = field(points, directions)
    if given.normals is not None:
        return given
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        there = points if points.requires_grad else points.detach().requires_grad_()
        again = field(there, directions)
        if not again.density.requires_grad:
            return FieldSamples(given.density, given.color, torch.zeros_like(points))
        (slope,) = torch.autograd.grad(again.density.sum(), there, create_graph=keep, allow_unused=True)
    falls = torch.zeros_like(points) if slope is None else normalize(-slope, dim=1)
    return FieldSamples(given.density, given.color, falls if keep else falls.detach())


def _rendering(sums: Tensor, view: View, background: Color) -> Rendering:
    """Convert the weighted sums (8, H, W) of the rays to a rendering."""
    silhouette = sums[7]
    covered = silhouette > MIN_COVERAGE
    image = sums[:3] + (1 - silhouette) * sums.new_tensor(background)[:, None, None]
    depth = torch.where(covered, sums[6] / torch.where(covered, silhouette, 1.0), 0.0)
    rotation = view.camera_from_world[:3, :3].to(sums)
    turned = torch.einsum("ij,jhw->ihw", rotation, sums[3:6])
    normals = torch.where(covered, normalize(torch.where(covered, turned, 1.0), dim=0), 0.0)
    return Rendering(image, depth, normals, silhouette)
