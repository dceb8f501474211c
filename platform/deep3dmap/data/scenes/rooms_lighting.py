"""Lighting of procedural rooms: point lights with shadows, Lambertian shading and ambient light, independent of the view.

Points and normals are stored as planes, (3, N).
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.data.scenes.rooms_layout import Room
from deep3dmap.data.scenes.rooms_shapes import triangles
from deep3dmap.data.scenes.rooms_textures import Material, SolidTextures
from deep3dmap.ops.cube_light import CubeLight, add_cube_light
from deep3dmap.ops.rasterize import rasterize_camera
from deep3dmap.ops.solid_texture import solid_shade

_RESOLUTION = 256  # pixels per edge of a shadow cube
_OFFSET = 0.03  # offset of shaded points from their surface in metres, to avoid self-shadowing
_AMBIENT = 0.32
_BATCH_SIZE = 1 << 16  # points shaded per batch, small enough for intermediate results to stay in the CPU cache


class Lighting:
    """The lights of a room with their shadow cubes, and shading of arbitrary surface points."""

    def __init__(self, room: Room) -> None:
        self._room, self._textures = room, _LitTextures(room.materials)
        vertices = room.quads.corners.reshape(-1, 3)
        faces = torch.from_numpy(triangles(room.quads))
        self._lights = [
            CubeLight(torch.tensor(place, dtype=torch.float32), float(power), _shadow_cube(vertices, faces, place), _OFFSET)
            for place, power in zip(room.lights, room.powers)
        ]

    def shade(self, local: Tensor, material: Tensor, received: Tensor) -> Tensor:
        """Return (3, N) RGB in [0, 1] of surface points from texture coordinates (3, N), materials and irradiance (N,)."""
        return self._textures.shade(material, local, received)

    def irradiance(self, points: Tensor, normals: Tensor) -> Tensor:
        """Return the irradiance (N,) of surface points with unit normals, where 1 renders a white surface as white."""
        received = torch.empty(points.shape[1])
        for part in _batches(len(received)):
            received[part] = self._received(points[:, part].contiguous(), normals[:, part].contiguous())
        return received

    def _received(self, points: Tensor, normals: Tensor) -> Tensor:
        # Surfaces that face up receive more of the light scattered by ceiling and walls.
        total = (_AMBIENT + 0.25 * _AMBIENT * normals[2]).mul_(self._openness(points))
        for light in self._lights:
            add_cube_light(total, points, normals, light)
        return total

    def _openness(self, points: Tensor) -> Tensor:
        """Return the fraction of ambient light that reaches each point; corners of the room are darker."""
        size = torch.tensor(self._room.size, dtype=torch.float32)[:, None]
        distance = torch.minimum(points, size - points).clamp_(min=0)
        return (1 - 0.22 / (1 + 12 * distance)).prod(0)


class _LitTextures(SolidTextures):
    """Materials that may emit light."""

    def __init__(self, materials: Sequence[Material]) -> None:
        super().__init__(materials)
        self._glow = torch.tensor([m.glow for m in materials])

    def shade(self, index: Tensor, points: Tensor, received: Tensor) -> Tensor:
        """Return the display colours (3, N) of `points` (3, N) with materials `index` (N,) and received light (N,)."""
        return solid_shade(points, index, self._materials, received, self._glow)


def _shadow_cube(vertices: NDArray[np.float64], faces: Tensor, light: NDArray[np.float64]) -> Tensor:
    """Return the largest lit depth (infinite if unobstructed), seen from the light along the axes of `_axes`.

    Each side is padded by replicating its outermost pixels.
    """
    half = _RESOLUTION / 2
    intrinsics = torch.tensor([[half, 0, half], [0, half, half], [0, 0, 1]], dtype=torch.float64)
    sides = []
    for axes in _axes():
        seen = torch.from_numpy(((vertices - light) @ axes.T).astype(np.float32))
        sides.append(rasterize_camera(seen, faces, intrinsics, _RESOLUTION, _RESOLUTION, near=0.02).depth)
    depth = torch.nn.functional.pad(torch.stack(sides), (1, 1, 1, 1), mode="replicate")
    return torch.where(depth > 0, depth * 1.01 + 0.01, torch.inf)


def _batches(count: int) -> list[slice]:
    return [slice(begin, begin + _BATCH_SIZE) for begin in range(0, count, _BATCH_SIZE)]


def _axes() -> NDArray[np.float32]:
    """Return the axes (6, 3, 3), as rows x, y, z, of six cameras that look along -x, +x, -y, +y, -z, +z."""
    frames = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            forward, right = np.zeros(3), np.zeros(3)
            forward[axis], right[(axis + 1) % 3] = sign, 1.0
            frames.append(np.stack([right, np.cross(forward, right), forward]))
    return np.array(frames, np.float32)
