"""The soft rasteriser and blending of facebookresearch/pytorch3d (optional) behind the common interface."""

import math
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.camera_conventions import to_pytorch3d
from deep3dmap.ops.rasterize import corner_values
from deep3dmap.ops.rasterize_soft import SoftFragments
from deep3dmap.render import blending
from deep3dmap.render.projection import eye_of, to_camera
from deep3dmap.render.renderer import DAYLIGHT, Color, Lights, Output, Renderer, Rendering, Surface, View
from deep3dmap.render.shading import Shading, face_normals, shade
from deep3dmap.render.surface_checks import replace_invalid_vertices


@dataclass(frozen=True)
class Pytorch3dRenderer(Renderer):
    """Ravi et al., Accelerating 3D Deep Learning with PyTorch3D, 2020: its rasteriser and soft blending with our lights.

    Equivalent to `SoftRenderer(silhouette_faces=0)` with the same sigma, gamma, blur_radius and faces_per_pixel. PyTorch3D must
    be built from source; this code follows its documented interface but has not been run against the package.
    See `SoftRenderer` for the settings. Faces with a corner nearer than the view's `near` are skipped.
    """

    sigma: float = 1e-4
    gamma: float = 1e-4
    blur_radius: float | None = None
    faces_per_pixel: int = 8
    shading: Shading = "phong"
    gamma_range: blending.GammaRange = "surface"

    name: ClassVar[str] = "pytorch3d"
    differentiable: ClassVar[frozenset[Output]] = frozenset(("image", "depth", "normals", "silhouette"))
    reference: ClassVar[str] = "Ravi et al., Accelerating 3D Deep Learning with PyTorch3D, arXiv 2007.08501, 2020"

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.gamma <= 0:
            raise ValueError(f"sigma and gamma must be positive, got {self.sigma} and {self.gamma}")

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    @staticmethod
    def absent() -> str | None:
        """Return the reason why pytorch3d cannot be used on this machine, or None if it can."""
        return _unavailable_reason()

    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Render a surface; raises UserError if pytorch3d is not installed, ValueError for skew and face ids out of range."""
        surface = replace_invalid_vertices(surface)
        camera = to_camera(surface.vertices, view)
        kept = _find_drawable_faces(camera.detach(), surface.faces, view)
        if not kept.any():
            return _empty(camera, view, background)
        seen, fragments = self._rasterize(surface, kept, view)
        hit = seen.face_id >= 0
        ids = seen.face_id[hit]
        colors, normals = (seen.barycentrics.new_zeros(*hit.shape, 3) for _ in range(2))
        colors[hit] = shade(surface, ids, seen.barycentrics[hit], lights, eye_of(view).to(camera), self.shading)
        normals[hit] = face_normals(camera, surface.faces).index_select(0, ids)
        own = self.gamma_range == "surface"
        depth_range = (
            _depth_range(corner_values(camera.detach(), surface.faces[kept])[..., 2]) if own else blending.FIELD_DEPTHS
        )
        image, silhouette = self._blend(colors, fragments, depth_range, background)
        blend = blending.Blend(self.sigma, self.gamma, depth_range)
        weights, behind = blending.softmax_weights(seen, blend)
        share = weights / (1 - behind)[..., None].clamp(min=1e-4)
        covered = (1 - behind) > 1e-4
        mean_normal = normalize((share[..., None] * normals).sum(-2), dim=-1)
        return Rendering(
            image=image,
            depth=torch.where(covered, (share * seen.depth).sum(-1), 0.0),
            normals=torch.where(covered[..., None], mean_normal, 0.0).permute(2, 0, 1),
            silhouette=silhouette,
            face_id=torch.where(seen.distance[..., 0] < 0, seen.face_id[..., 0], -1),
        )

    def _rasterize(self, surface: Surface, kept: Tensor, view: View) -> tuple[SoftFragments, Any]:
        """Return the faces at each pixel, with distances in squared pixels, and pytorch3d's own fragments."""
        library = _import_renderer()
        blur = math.log(1 / 1e-4 - 1) * self.sigma if self.blur_radius is None else self.blur_radius
        settings = library.RasterizationSettings(
            image_size=(view.height, view.width), blur_radius=blur, faces_per_pixel=self.faces_per_pixel,
            perspective_correct=view.projection == "perspective", clip_barycentric_coords=True, cull_backfaces=False,
        )  # fmt: skip
        # Vertices that no kept face uses may be invalid and must not be passed to pytorch3d.
        used, local = surface.faces[kept].unique(return_inverse=True)
        meshes = _import_structures().Meshes(verts=[surface.vertices.index_select(0, used).float()], faces=[local])
        fragments = library.MeshRasterizer(_camera(library, view, surface.vertices), settings)(meshes)
        face_id = fragments.pix_to_face[0]
        face_id = torch.where(face_id >= 0, kept.nonzero()[:, 0][face_id.clamp(min=0)], -1)
        hit = face_id >= 0
        pixel = min(view.height, view.width) / 2
        seen = SoftFragments(
            face_id,
            torch.where(hit, fragments.zbuf[0], 0.0),
            torch.where(hit[..., None], fragments.bary_coords[0], 0.0),
            torch.where(hit, fragments.dists[0] * pixel**2, 0.0),
        )
        return seen, fragments

    def _blend(
        self, colors: Tensor, fragments: Any, depth_range: tuple[float, float], background: Color
    ) -> tuple[Tensor, Tensor]:
        blend = _import_blending()
        given = blend.BlendParams(self.sigma, self.gamma, background)
        near, far = depth_range
        rgba = blend.softmax_rgb_blend(colors[None], fragments, given, znear=near, zfar=far)[0].permute(2, 0, 1)
        return rgba[:3], rgba[3]


def _camera(library: Any, view: View, like: Tensor) -> Any:
    camera = to_pytorch3d(view.intrinsics, view.camera_from_world, view.height, view.width)
    make = library.PerspectiveCameras if view.projection == "perspective" else library.OrthographicCameras
    rotation, translation, focal, principal = (value.to(like.device).float()[None] for value in camera)
    return make(
        focal_length=focal, principal_point=principal, R=rotation, T=translation, in_ndc=True, device=like.device,
        image_size=((view.height, view.width),),
    )  # fmt: skip


def _find_drawable_faces(camera: Tensor, faces: Tensor, view: View) -> Tensor:
    """Return a mask (F,) of faces that are not degenerate and lie in front of the camera."""
    # Invalid faces are represented by three times the same vertex.
    whole = faces.amin(1) < faces.amax(1)
    return whole & (camera[faces][..., 2].amin(1) >= view.near) if view.projection == "perspective" else whole


def _depth_range(depth: Tensor) -> tuple[float, float]:
    low, high = float(depth.min()), float(depth.max())
    room = 0.1 * (high - low) + 1e-6
    return low - room, high + room


def _empty(like: Tensor, view: View, background: Color) -> Rendering:
    blank = like.new_zeros(view.height, view.width)
    image = like.new_tensor(background)[:, None, None].expand(3, view.height, view.width).clone()
    return Rendering(image, blank, blank.expand(3, -1, -1).clone(), blank.clone(), torch.full_like(blank, -1).long())


def _import_renderer() -> Any:
    return _import("pytorch3d.renderer")


def _import_structures() -> Any:
    return _import("pytorch3d.structures")


def _import_blending() -> Any:
    return _import("pytorch3d.renderer.blending")


def _import(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except Exception as error:  # a build for another torch version can raise OSError and others
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"pytorch3d cannot be imported ({reason}); build it from source: github.com/facebookresearch/pytorch3d"
        ) from error


@cache
def _unavailable_reason() -> str | None:
    try:
        for import_module in (_import_renderer, _import_structures, _import_blending):
            import_module()
    except UserError as error:
        return str(error)
    return None
