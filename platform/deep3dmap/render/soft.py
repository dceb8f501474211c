"""SoftRas: faces have soft edges, so that images and silhouettes are differentiable in the mesh."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from deep3dmap.ops.rasterize_soft import Order, SoftFragments, rasterize_soft
from deep3dmap.render import blending
from deep3dmap.render.projection import eye_of, to_camera, to_pixels
from deep3dmap.render.renderer import DAYLIGHT, Color, Lights, Output, Renderer, Rendering, Surface, View
from deep3dmap.render.shading import Shading, face_normals, shade
from deep3dmap.render.surface_checks import replace_invalid_vertices

MIN_COVERAGE = 1e-4


@dataclass(frozen=True)
class SoftRenderer(Renderer):
    """Liu et al., Soft Rasterizer, ICCV 2019, with the K nearest faces as in facebookresearch/pytorch3d.

    sigma: softness of edges in squared NDC, where the shorter image side spans 2. gamma: softness in depth, relative to
    gamma_range: `surface` is the surface's own depth range, which makes it independent of the unit; `field` is the range 1 to
    100 of SoftRas and PyTorch3D, which makes gamma equivalent to theirs. blur_radius: reach of a face, in squared NDC; by
    default to a coverage of 1e-4.
    silhouette_faces: number of faces used for the silhouette, those that cover the pixel most; pixels in the interior, farther
    from any border than faces reach, are set to 1. 0 uses the nearest faces, as for the image, and no interior, as pytorch3d
    does; a mesh of small triangles is then partly transparent, because no single triangle covers a pixel well.
    Faces with a corner nearer than the view's `near` are skipped.
    """

    sigma: float = 1e-4
    gamma: float = 1e-4
    blur_radius: float | None = None
    faces_per_pixel: int = 8
    shading: Shading = "phong"
    silhouette_faces: int = 12
    gamma_range: blending.GammaRange = "surface"

    name: ClassVar[str] = "soft"
    differentiable: ClassVar[frozenset[Output]] = frozenset(("image", "depth", "normals", "silhouette"))
    reference: ClassVar[str] = "Liu et al., Soft Rasterizer: A Differentiable Renderer for Image-based 3D Reasoning, ICCV 2019"

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.gamma <= 0:
            raise ValueError(f"sigma and gamma must be positive, got {self.sigma} and {self.gamma}")
        if self.gamma_range not in ("surface", "field"):
            raise ValueError(f"gamma_range must be surface or field, not '{self.gamma_range}'")

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Render a surface from a view; depth and normals are averaged over the faces at a pixel with the colour weights."""
        surface = replace_invalid_vertices(surface)
        camera = to_camera(surface.vertices, view)
        pixels = to_pixels(camera, view)
        seen = self._rasterize(pixels, surface.faces, view, self.faces_per_pixel, "depth")
        hit = seen.face_id >= 0
        colors = seen.barycentrics.new_zeros(*hit.shape, 3)
        ids = seen.face_id[hit]
        eye = eye_of(view).to(camera)
        colors[hit] = shade(surface, ids, seen.barycentrics[hit], lights, eye, self.shading)
        normals = torch.zeros_like(colors)
        normals[hit] = face_normals(camera, surface.faces).index_select(0, ids)
        depths = blending.FIELD_DEPTHS if self.gamma_range == "field" else _depth_range(camera[:, 2], view.near)
        blend = blending.Blend(self.sigma, self.gamma, depths)
        image = blending.softmax_blend(colors, seen, blend, background)
        weights, behind = blending.softmax_weights(seen, blend)
        share = weights / (1 - behind)[..., None].clamp(min=MIN_COVERAGE)
        covered = (1 - behind) > MIN_COVERAGE
        mean_normal = torch.nn.functional.normalize((share[..., None] * normals).sum(-2), dim=-1)
        return Rendering(
            image=image.permute(2, 0, 1),
            depth=torch.where(covered, (share * seen.depth).sum(-1), 0.0),
            normals=torch.where(covered[..., None], mean_normal, 0.0).permute(2, 0, 1),
            silhouette=self._silhouette(pixels, surface.faces, view, seen),
            face_id=_nearest_covering(seen),
        )

    def _rasterize(self, pixels: Tensor, faces: Tensor, view: View, count: int, order: Order) -> SoftFragments:
        return rasterize_soft(
            pixels, faces, view.height, view.width, faces_per_pixel=count, blur_radius=self._blur_pixels(view),
            perspective=view.projection == "perspective", order=order,
        )  # fmt: skip

    def _silhouette(self, pixels: Tensor, faces: Tensor, view: View, seen: SoftFragments) -> Tensor:
        if not self.silhouette_faces:
            return blending.silhouette(seen, self.sigma)
        covering = self._rasterize(pixels, faces, view, self.silhouette_faces, "distance")
        soft = blending.silhouette(covering, self.sigma)
        covered = (covering.face_id[..., 0] >= 0) & (covering.distance[..., 0] < 0)
        return torch.where(_interior(covered, math.ceil(self._blur_pixels(view))), 1.0, soft)

    def _blur_pixels(self, view: View) -> float:
        blur = math.log(1 / 1e-4 - 1) * self.sigma if self.blur_radius is None else self.blur_radius
        return math.sqrt(blur) * min(view.height, view.width) / 2


def _depth_range(depth: Tensor, near: float) -> tuple[float, float]:
    finite = depth.detach()[depth.detach().isfinite()]
    if len(finite) == 0:
        return 1.0, 2.0
    low, high = float(finite.min()), float(finite.max())
    room = 0.1 * (high - low) + 1e-6
    return low - room, high + room


def _interior(covered: Tensor, reach: int) -> Tensor:
    """Return a mask (H, W) of pixels whose neighbours within `reach` are all covered."""
    uncovered = torch.nn.functional.pad((~covered).float()[None, None], (reach,) * 4, value=1.0)
    return torch.nn.functional.max_pool2d(uncovered, 2 * reach + 1, stride=1)[0, 0] == 0


def _nearest_covering(seen: SoftFragments) -> Tensor:
    covers = (seen.face_id >= 0) & (seen.distance < 0)
    first = covers.int().argmax(-1, keepdim=True)
    return torch.where(covers.any(-1), seen.face_id.gather(-1, first)[..., 0], -1)
