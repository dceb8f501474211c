"""Light in procedural rooms: point lights with shadows, Lambert's law and some ambient light. Nothing depends on the view."""

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.data.scenes.rooms_layout import Room
from deep3dmap.data.scenes.rooms_shapes import triangles
from deep3dmap.data.scenes.rooms_textures import albedo
from deep3dmap.ops.rasterize import rasterize_camera

Points = NDArray[np.float32]
_RESOLUTION = 256  # pixels along an edge of a shadow cube
_OFFSET = 0.03  # metres the shaded point is lifted off its surface, so that a surface does not shade itself
_AMBIENT = 0.32


class Lighting:
    """The lights of a room with their shadow cubes, and the shading of any point of it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        vertices = room.quads.corners.reshape(-1, 3)
        faces = torch.from_numpy(triangles(room.quads))
        self._cubes = [_shadow_cube(vertices, faces, light) for light in room.lights]

    def shade(self, local: Points, material: NDArray[np.int64], received: NDArray[np.float32]) -> Points:
        """Return (N, 3) RGB in [0, 1] of surface points with texture coordinates (N, 3) that receive `irradiance` (N,)."""
        # Squaring and its inverse stand for the display's gamma; both are exact to the last bit on every machine.
        color = np.square(albedo(self._room.materials, material, local))
        glow = np.array([m.glow for m in self._room.materials], np.float32)[material]
        return np.sqrt(np.clip(color * np.maximum(received, glow)[:, None], 0, 1))

    def irradiance(self, points: Points, normals: Points) -> NDArray[np.float32]:
        """Return the light (N,) that surface points (N, 3) with unit normals receive, 1 = a white surface is drawn white."""
        # Surfaces that look up receive more of the light that the ceiling and walls scatter.
        total = np.float32(_AMBIENT) * (1 + np.float32(0.25) * normals[:, 2]) * self._openness(points)
        for light, power, cube in zip(self._room.lights, self._room.powers, self._cubes):
            towards = light.astype(np.float32) - points
            squared = np.einsum("ij,ij->i", towards, towards)
            cosine = np.clip(np.einsum("ij,ij->i", towards, normals) / np.sqrt(squared + np.float32(1e-6)), 0, None)
            strength = np.float32(power) * cosine / (np.float32(0.8) + squared * np.float32(0.45))
            lit = np.flatnonzero(strength > 0)
            strength[lit] *= _visibility(cube, light.astype(np.float32), points[lit] + np.float32(_OFFSET) * normals[lit])
            total += strength
        return total

    def _openness(self, points: Points) -> NDArray[np.float32]:
        """Return how much of the ambient light reaches a point: corners of the room are darker."""
        size = np.asarray(self._room.size, np.float32)
        distance = np.minimum(points, size - points).clip(0)
        x, y, z = (1 - np.float32(0.22) / (1 + 12 * distance)).T
        return x * y * z


def _shadow_cube(vertices: NDArray[np.float64], faces: torch.Tensor, light: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return (6, R, R) depth seen from the light along the axes of `_axes`, 0 where nothing is."""
    half = _RESOLUTION / 2
    intrinsics = torch.tensor([[half, 0, half], [0, half, half], [0, 0, 1]], dtype=torch.float64)
    sides = []
    for axes in _axes():
        seen = torch.from_numpy(((vertices - light) @ axes.T).astype(np.float32))
        sides.append(rasterize_camera(seen, faces, intrinsics, _RESOLUTION, _RESOLUTION, near=0.02).depth.numpy())
    return np.stack(sides)


def _axes() -> NDArray[np.float32]:
    """Return (6, 3, 3) rows x, y, z of six cameras that look along -x, +x, -y, +y, -z, +z."""
    frames = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            forward, right = np.zeros(3), np.zeros(3)
            forward[axis], right[(axis + 1) % 3] = sign, 1.0
            frames.append(np.stack([right, np.cross(forward, right), forward]))
    return np.array(frames, np.float32)


def _visibility(cube: NDArray[np.float32], light: NDArray[np.float32], points: Points) -> NDArray[np.float32]:
    """Return the share of the light, 0 to 1, that reaches each point: four neighbouring shadow pixels, weighted."""
    away = points - light
    axis = np.abs(away).argmax(-1)
    along, right_of, below = (away[np.arange(len(away)), (axis + turn) % 3] for turn in range(3))
    sign = np.sign(along)
    side, depth = 2 * axis + (along > 0), np.abs(along)
    half = np.float32(_RESOLUTION / 2)
    x, y = (half * offset / depth + half - np.float32(0.5) for offset in (right_of, sign * below))
    column, row = np.floor(x), np.floor(y)
    share = np.zeros(len(points), np.float32)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        weight = np.abs(1 - right - (x - column)) * np.abs(1 - down - (y - row))
        at_x = np.clip(column.astype(np.int64) + right, 0, _RESOLUTION - 1)
        at_y = np.clip(row.astype(np.int64) + down, 0, _RESOLUTION - 1)
        blocker = cube[side, at_y, at_x]
        share += weight * ((blocker == 0) | (depth < blocker * np.float32(1.01) + np.float32(0.01)))
    return share
