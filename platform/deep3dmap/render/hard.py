"""The z-buffer renderer: one face per pixel. Gradients flow through colours and depth, but not through edges."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from deep3dmap.ops.rasterize import corner_values, rasterize, rasterize_camera
from deep3dmap.render.projection import eye_of, pixel_rays, to_camera, to_pixels
from deep3dmap.render.renderer import DAYLIGHT, Color, Lights, Output, Renderer, Rendering, Surface, View
from deep3dmap.render.shading import Shading, face_normals, shade
from deep3dmap.render.surface_checks import replace_invalid_vertices

# 16 x 16 samples already resolve the 256 levels of an 8-bit image.
MAX_SAMPLES = 16


@dataclass(frozen=True)
class HardRenderer(Renderer):
    """Renders the nearest face at each pixel. Visibility is fixed in gradients, so the silhouette has none.

    supersample: samples per pixel and axis, 1 to 16, averaged to smooth the edges of image and silhouette; depth, normals and
    `face_id` are those at the pixel centre. Time and memory grow quadratically.
    Surfaces that extend behind the camera are clipped at the view's `near`.
    """

    shading: Shading = "phong"
    supersample: int = 1

    name: ClassVar[str] = "hard"
    differentiable: ClassVar[frozenset[Output]] = frozenset(("image", "depth", "normals"))
    reference: ClassVar[str] = "Catmull, A Subdivision Algorithm for Computer Display of Curved Surfaces, 1974 (z-buffer)"

    def __post_init__(self) -> None:
        if not 1 <= self.supersample <= MAX_SAMPLES:
            raise ValueError(f"supersample must be an integer from 1 to {MAX_SAMPLES}, got {self.supersample}")

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Render a surface from a view."""
        surface = replace_invalid_vertices(surface)
        drawn = self._draw(surface, view, lights, background)
        if self.supersample == 1:
            return drawn
        n = self.supersample
        intrinsics = view.intrinsics * view.intrinsics.new_tensor([[n], [n], [1]])
        fine_view = View(intrinsics, view.camera_from_world, view.height * n, view.width * n, view.projection, view.near)
        fine = self._draw(surface, fine_view, lights, background)
        smooth = torch.nn.functional.avg_pool2d(torch.cat([fine.image, fine.silhouette[None]])[None], n)[0]
        return Rendering(smooth[:3], drawn.depth, drawn.normals, smooth[3].detach(), drawn.face_id)

    def _draw(self, surface: Surface, view: View, lights: Lights, background: Color) -> Rendering:
        camera = to_camera(surface.vertices, view)
        face_id = _visible(camera.detach(), surface.faces, view)
        covered = face_id >= 0
        ids = face_id[covered]
        barycentrics, depth = _surface_points(camera, surface.faces[ids], covered, view)
        image = camera.new_tensor(background).expand(*face_id.shape, 3).clone()
        depth_map, normals = camera.new_zeros(face_id.shape), camera.new_zeros(*face_id.shape, 3)
        image[covered] = shade(surface, ids, barycentrics, lights, eye_of(view).to(camera), self.shading)
        depth_map[covered] = depth
        normals[covered] = face_normals(camera, surface.faces).index_select(0, ids)
        return Rendering(image.permute(2, 0, 1), depth_map, normals.permute(2, 0, 1), covered.to(camera), face_id)


def _visible(camera: Tensor, faces: Tensor, view: View) -> Tensor:
    """Return the nearest face at each pixel, (H, W), -1 where empty."""
    points = camera.float().contiguous()
    if view.projection == "orthographic":
        pixels = to_pixels(points, view).contiguous()
        return rasterize(pixels, faces, view.height, view.width, perspective=False).face_id
    intrinsics = view.intrinsics.detach().float()
    return rasterize_camera(points, faces, intrinsics, view.height, view.width, near=view.near).face_id


def _surface_points(camera: Tensor, corners: Tensor, covered: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Return barycentrics (N, 3) and depth (N,) at the intersections of the pixels' rays with their faces, differentiable.

    A ray d intersects the plane of the corners at barycentrics proportional to d . (v_j x v_k), even if corners are behind the
    camera.
    """
    a, b, c = corner_values(camera, corners).unbind(1)
    if view.projection == "orthographic":
        # All rays are parallel: x and y of the rays at depth 1 are their positions.
        through = pixel_rays(view, camera)[covered]
        offset = [corner - through for corner in (a, b, c)]
        weights = torch.stack(
            [_cross_z(offset[1], offset[2]), _cross_z(offset[2], offset[0]), _cross_z(offset[0], offset[1])], 1
        )
    else:
        rays = pixel_rays(view, camera)[covered]
        sides = (torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b))
        weights = torch.stack([(rays * side).sum(1) for side in sides], 1)
    total = weights.sum(1, keepdim=True)
    barycentrics = weights / torch.where(total.abs() > 0, total, 1.0)
    depth = (barycentrics * torch.stack([a[:, 2], b[:, 2], c[:, 2]], 1)).sum(1)
    return barycentrics, depth


def _cross_z(first: Tensor, second: Tensor) -> Tensor:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
