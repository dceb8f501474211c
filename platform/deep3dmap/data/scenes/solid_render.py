"""Rendering of textured quadrilaterals under sun and sky, with highlights, and tracking of the quads seen."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.scenes.rooms_shapes import Quads, triangles
from deep3dmap.data.scenes.rooms_textures import Material, SolidTextures
from deep3dmap.data.scenes.solid_shapes import mesh_of
from deep3dmap.data.scenes.view_render import drawn_layers
from deep3dmap.geometry.cameras import scale_intrinsics, transform
from deep3dmap.ops.rasterize import Fragments, rasterize_camera

SHARPNESS = 24.0  # exponent of highlights (Blinn, SIGGRAPH 1977)


@dataclass(frozen=True)
class Daylight:
    """Sun and sky light.

    sun: (3,) direction towards the sun, any length. direct, sky: brightness of a white surface lit by the sun and by the sky
    overhead. ground: light from below as a fraction of the sky's. gloss: strength of highlights.
    """

    sun: tuple[float, float, float] = (0.4, -0.5, 0.75)
    direct: float = 0.65
    sky: float = 0.5
    ground: float = 0.5
    gloss: float = 0.2


class Picture(NamedTuple):
    """image: (3, H, W) RGB in [0, 1], not premultiplied. mask: (H, W) coverage. depth: (H, W), 0 = no surface."""

    image: NDArray[np.float32]
    mask: NDArray[np.float32]
    depth: NDArray[np.float32]


class SolidRenderer:
    """Renders a scene and tracks which of its quads have been seen."""

    def __init__(self, quads: Quads, materials: list[Material], light: Daylight, supersample: int = 2) -> None:
        self._quads, self._textures, self._light, self._fine = quads, SolidTextures(materials), light, supersample
        self._vertices = torch.from_numpy(quads.corners.reshape(-1, 3))
        self._faces = torch.from_numpy(triangles(quads))
        material = np.repeat(quads.material, 4)[:, None]
        rows = [quads.normals.reshape(-1, 3), quads.local.reshape(-1, 3), quads.corners.reshape(-1, 3), material]
        self._attributes = torch.from_numpy(np.concatenate(rows, 1).astype(np.float32))
        self._sun = torch.nn.functional.normalize(torch.tensor(light.sun), dim=0)
        self._seen = np.zeros(len(quads), bool)

    def picture(self, camera: Camera) -> Picture:
        """Render one view; depth is sampled at pixel centres."""
        fine = self._fragments(camera, self._fine)
        quad = fine.face_id.numpy() // 2
        self._seen[np.unique(quad[quad >= 0])] = True
        eye = torch.from_numpy(camera.world_from_camera[:3, 3]).float()
        layers = drawn_layers(fine, self._faces, self._attributes, lambda drawn: self._shade(drawn, eye), self._fine).numpy()
        mask = layers[3]
        image = np.where(mask > 0, layers[:3] / np.maximum(mask, 1e-6), 0).clip(0, 1).astype(np.float32)
        return Picture(image, mask, self._fragments(camera, 1).depth.numpy())

    def visible_mesh(self) -> Mesh:
        """Return the quads with at least one visible sample, with shaded colours but no highlights."""
        chosen = np.flatnonzero(self._seen)
        quads = Quads(*(getattr(self._quads, name)[chosen] for name in ("corners", "normals", "material", "local")))
        corners = (4 * chosen[:, None] + np.arange(4)).reshape(-1)
        colors = self._shade(self._attributes[corners].T[:, None], None)[:, 0].T.numpy()
        return mesh_of(quads, colors)

    def _fragments(self, camera: Camera, factor: int) -> Fragments:
        points = transform(self._vertices, camera.camera_from_world).float().contiguous()
        intrinsics = scale_intrinsics(camera.intrinsics, factor, factor)
        return rasterize_camera(points, self._faces, intrinsics, camera.height * factor, camera.width * factor)

    def _shade(self, drawn: Tensor, eye: Tensor | None) -> Tensor:
        """Return the colour (3, 1, N) of interpolated attributes (10, 1, N)."""
        normals, local, places, material = drawn[:3, 0], drawn[3:6, 0], drawn[6:9, 0], drawn[9, 0].round().long()
        normals = torch.nn.functional.normalize(normals, dim=0)
        light = self._light
        facing = (self._sun @ normals).clamp(min=0)
        overhead = light.sky * (light.ground + (1 - light.ground) * (0.5 + 0.5 * normals[2]))
        color = self._textures.albedo(material, local.contiguous()) * (light.direct * facing + overhead)
        if eye is not None and light.gloss:
            towards = torch.nn.functional.normalize(eye[:, None] - places, dim=0)
            half = torch.nn.functional.normalize(towards + self._sun[:, None], dim=0)
            color = color + light.gloss * (normals * half).sum(0).clamp(min=0) ** SHARPNESS * (facing > 0)
        return color.clamp(0, 1)[:, None]
