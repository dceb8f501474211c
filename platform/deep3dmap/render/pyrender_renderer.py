"""Headless OpenGL rendering with pyrender: an independent check of our renderers. Not differentiable."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.camera_conventions import opengl_projection
from deep3dmap.ops.rasterize import corner_values
from deep3dmap.render.mesh_renderer import GREY, vertex_normals
from deep3dmap.render.projection import eye_of, to_camera
from deep3dmap.render.pyrender_depth import Platform, import_pyrender, open_renderer
from deep3dmap.render.renderer import DAYLIGHT, Color, Lights, Output, Renderer, Rendering, Surface, View
from deep3dmap.render.shading import face_normals, highlight, irradiance
from deep3dmap.render.surface_checks import replace_invalid_vertices

Array = NDArray[Any]
BLACK = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class PyrenderRenderer(Renderer):
    """Renders with OpenGL through OSMesa (samples pixel centres exactly) or EGL (multisampled), both headless.

    Lighting is computed by us at the vertices and interpolated (Gouraud), so that lights are equivalent in all renderers;
    OpenGL determines visibility, interpolates and samples the texture. Normals are encoded as 8-bit colours, which rounds them
    by up to half a degree. `face_id` is None, because OpenGL does not report it.

    platform: used unless PYOPENGL_PLATFORM is set; it cannot be changed within a process.
    Surfaces that extend behind the camera are clipped at the view's `near`.
    """

    platform: Platform = "osmesa"

    name: ClassVar[str] = "pyrender"
    differentiable: ClassVar[frozenset[Output]] = frozenset()
    reference: ClassVar[str] = "Matl, pyrender, github.com/mmatl/pyrender, 2019 (OpenGL 3.3)"

    def __post_init__(self) -> None:
        if self.platform not in ("osmesa", "egl"):
            raise ValueError(f"platform must be osmesa or egl, not '{self.platform}'")

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    @staticmethod
    def absent() -> str | None:
        """Return the reason why pyrender cannot be used on this machine, or None if it can."""
        return _unavailable_reason()

    @torch.no_grad()
    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Render a surface from a view; raises UserError if pyrender or its OpenGL platform cannot be used."""
        surface = replace_invalid_vertices(surface)
        camera = to_camera(surface.vertices, view)
        corners = corner_values(camera, surface.faces)
        visible = (surface.faces.amin(1) < surface.faces.amax(1)) & (corners[..., 2].amax(1) > _least_depth(view))
        if not visible.any():
            return _empty(view, camera, background)
        visible_faces = surface.faces[visible]
        positions = corners[visible]
        stage = _Stage(import_pyrender(self.platform), view, positions)
        try:
            smooth = vertex_normals(surface.vertices, visible_faces)
            base, uv = _albedo(surface, visible)
            light = corner_values(irradiance(smooth, lights, surface.vertices), visible_faces)
            image, depth = stage.draw(base * light, background, uv, surface.texture)
            shine = highlight(surface.vertices, smooth, lights, eye_of(view).to(camera))
            if shine is not None:
                image = image + stage.draw(corner_values(shine, visible_faces), BLACK)[0]
            sides = face_normals(camera, visible_faces)[:, None].expand(-1, 3, -1)
            normals = stage.draw(sides / 2 + 0.5, BLACK)[0] * 2 - 1
        finally:
            stage.close()
        covered = (depth != 0) if view.projection == "perspective" else depth.isfinite()
        return Rendering(
            image=image.to(camera),
            depth=torch.where(covered, depth, 0.0).to(camera),
            normals=torch.where(covered, normalize(normals, dim=0), 0.0).to(camera),
            silhouette=covered.to(camera),
        )


class _Stage:
    """An OpenGL window, its camera, and the face corners (F, 3, 3) in camera axes."""

    def __init__(self, pyrender: Any, view: View, corners: Tensor) -> None:
        self.pyrender, self.view = pyrender, view
        self.corners = _array(corners.reshape(-1, 3)) * np.array([1, -1, -1], np.float32)
        depth = corners[..., 2].double()
        low, high = float(depth.min()), float(depth.max())
        room = 0.01 * max(high - low, abs(high), 1e-6)
        self.nearest = max(low - room, view.near) if view.projection == "perspective" else low - room
        self.farthest = high + room
        self.window = open_renderer(pyrender, view.width, view.height)

    def draw(
        self, colors: Tensor, background: Color, uv: Tensor | None = None, texture: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the image (3, H, W) for corner colours (F, 3, 3), and the depth (H, W)."""
        scene = self.pyrender.Scene(bg_color=(*background, 1.0))
        scene.add(self.pyrender.Mesh([self._primitive(colors, uv, texture)]))
        scene.add(self._camera(), pose=np.eye(4))
        flags = self.pyrender.RenderFlags.FLAT | self.pyrender.RenderFlags.SKIP_CULL_FACES
        image, depth = self.window.render(scene, flags=flags)
        return torch.from_numpy(image.copy()).permute(2, 0, 1) / 255, self._depth(torch.from_numpy(depth.copy()))

    def close(self) -> None:
        self.window.delete()

    def _primitive(self, colors: Tensor, uv: Tensor | None, texture: Tensor | None) -> Any:
        base_texture = None
        if texture is not None and uv is not None:
            # No mipmaps and no repetition, as in our own renderers.
            linear, clamp = self.pyrender.constants.GLTF.LINEAR, self.pyrender.constants.GLTF.CLAMP_TO_EDGE
            sampler = self.pyrender.Sampler(magFilter=linear, minFilter=linear, wrapS=clamp, wrapT=clamp)
            source = (_array(texture.permute(1, 2, 0)).clip(0, 1) * 255).round().astype(np.uint8)
            base_texture = self.pyrender.Texture(sampler=sampler, source=source, source_channels="RGB")
        material = self.pyrender.MetallicRoughnessMaterial(baseColorTexture=base_texture, doubleSided=True, alphaMode="OPAQUE")
        rgba = np.concatenate([_array(colors.reshape(-1, 3)), np.ones((len(self.corners), 1), np.float32)], 1)
        coordinates = None if uv is None else _array(uv.reshape(-1, 2))
        return self.pyrender.Primitive(positions=self.corners, color_0=rgba, texcoord_0=coordinates, material=material, mode=4)

    def _camera(self) -> Any:
        perspective = self.view.projection == "perspective"
        make = _perspective if perspective else _orthographic
        matrix = make(self.view, self.nearest, self.farthest)

        class GivenCamera(self.pyrender.Camera):  # type: ignore[name-defined]
            def get_projection_matrix(self, width: int | None = None, height: int | None = None) -> Array:
                return matrix

        # pyrender converts the depth buffer to depth with these two values, assuming a perspective camera.
        return GivenCamera(*((self.nearest, self.farthest) if perspective else (1.0, 2.0)))

    def _depth(self, read: Tensor) -> Tensor:
        """Convert the depth read by pyrender; empty pixels are 0 in a perspective view and NaN in an orthographic one."""
        if self.view.projection == "perspective":
            return read
        share = (4 - 4 / read.double()) / 2
        depth = self.nearest + share * (self.farthest - self.nearest)
        return torch.where(read > 0, depth, torch.nan).float()


def _perspective(view: View, near: float, far: float) -> Array:
    return np.asarray(opengl_projection(view.intrinsics.detach(), view.height, view.width, near, far))


def _orthographic(view: View, near: float, far: float) -> Array:
    """Return OpenGL's clip matrix of an orthographic view, where camera x and y map to pixels without division."""
    intrinsics = view.intrinsics.detach().double()
    across, down = (2 * intrinsics[0] / view.width).tolist(), (2 * intrinsics[1] / view.height).tolist()
    depth = [0.0, 0.0, -2 / (far - near), -(far + near) / (far - near)]
    side, height = [across[0], -across[1], 0.0, across[2] - 1], [-down[0], down[1], 0.0, 1 - down[2]]
    return np.array([side, height, depth, [0.0, 0.0, 0.0, 1.0]])


def _albedo(surface: Surface, drawn: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the corner colours (F, 3, 3), and their texture coordinates (F, 3, 2) if there is a texture."""
    faces = surface.faces[drawn]
    white = surface.vertices.new_ones(len(faces), 3, 3)
    if surface.texture is not None and surface.uv is not None:
        in_atlas = faces if surface.faces_uv is None else surface.faces_uv[drawn]
        return white, corner_values(surface.uv, in_atlas)
    if surface.colors is not None:
        return corner_values(surface.colors, faces), None
    return white * GREY, None


def _least_depth(view: View) -> float:
    return view.near if view.projection == "perspective" else -torch.inf


def _empty(view: View, like: Tensor, background: Color) -> Rendering:
    blank = like.new_zeros(view.height, view.width)
    image = like.new_tensor(background)[:, None, None].expand(3, view.height, view.width).clone()
    return Rendering(image, blank, blank.expand(3, -1, -1).clone(), blank.clone())


def _array(values: Tensor) -> Array:
    return np.ascontiguousarray(values.detach().cpu().float().numpy())


@cache
def _unavailable_reason() -> str | None:
    try:
        open_renderer(import_pyrender("osmesa"), 2, 2).delete()
    except UserError as error:
        return str(error)
    return None
