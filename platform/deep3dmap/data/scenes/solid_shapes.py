"""More quadrilateral surfaces for procedural scenes: rings, terrain, and rotated or scaled parts."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.mesh import Mesh
from deep3dmap.data.scenes.rooms_shapes import Quads, triangles

Array = NDArray[np.float64]


def turned(quads: Quads, axis: int, degrees: float, move: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Quads:
    """Return the quads rotated about a coordinate axis (0 = x, 1 = y, 2 = z), then moved; textures move with the part."""
    angle = np.radians(degrees)
    rotation = np.eye(3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    rotation[first, first] = rotation[second, second] = np.cos(angle)
    rotation[second, first], rotation[first, second] = np.sin(angle), -np.sin(angle)
    return Quads(quads.corners @ rotation.T + np.asarray(move), quads.normals @ rotation.T, quads.material, quads.local)


def stretched(quads: Quads, factors: tuple[float, float, float]) -> Quads:
    """Return the quads scaled along x, y and z by positive factors."""
    scale = np.asarray(factors, float)
    normals = quads.normals / scale
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return Quads(quads.corners * scale, normals, quads.material, quads.local * scale)


def ring(
    radius: float,
    tube: float,
    material: int,
    arc: tuple[float, float] = (0.0, 360.0),
    segments: int = 32,
    around: int = 16,
) -> Quads:
    """Return a torus about the z axis with major radius `radius` and minor radius `tube`.

    arc: range of the circle in degrees from the x axis; its ends are open.
    """
    u = np.radians(np.linspace(*arc, segments + 1))[:, None]
    v = np.linspace(0, 2 * np.pi, around + 1)[None]
    normals = np.stack([np.cos(u) * np.cos(v), np.sin(u) * np.cos(v), np.broadcast_to(np.sin(v), (len(u), v.shape[1]))], -1)
    circle = np.stack([np.cos(u), np.sin(u), np.zeros_like(u)], -1)
    return _sheet(radius * circle + tube * normals, normals, material)


def height_field(
    heights: Callable[[Array, Array], Array], reach: float, cells: int, material: int, growth: float = 1.0
) -> Quads:
    """Return the surface z = heights(x, y) over [-reach, reach]^2; with `growth` above 1, cells grow outwards."""
    line = np.linspace(-1, 1, cells + 1)
    line = reach * np.sign(line) * np.abs(line) ** growth
    x, y = np.meshgrid(line, line, indexing="ij")
    step = 1e-3 * reach
    slope_x = (heights(x + step, y) - heights(x - step, y)) / (2 * step)
    slope_y = (heights(x, y + step) - heights(x, y - step)) / (2 * step)
    normals = np.stack([-slope_x, -slope_y, np.ones_like(x)], -1)
    return _sheet(np.stack([x, y, heights(x, y)], -1), normals / np.linalg.norm(normals, axis=-1, keepdims=True), material)


def mesh_of(quads: Quads, colors: NDArray[np.float32]) -> Mesh:
    """Return the quads as a mesh, merging equal corners of the same material. colors: (4 Q, 3) of the corners."""
    corners = quads.corners.reshape(-1, 3)
    keys = np.column_stack([np.rint(corners * 1e5), np.repeat(quads.material, 4)]).astype(np.int64)
    _, first, owner = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    faces = owner.reshape(-1)[triangles(quads)]
    proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return Mesh(corners[first], faces[proper], colors[first])


def _sheet(points: Array, normals: Array, material: int) -> Quads:
    """Return the cells of a grid of points (U, V, 3), counter-clockwise if u x v points outwards."""

    def cells(grid: Array) -> Array:
        return np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], 2).reshape(-1, 4, 3)

    corners = cells(points)
    return Quads(corners, cells(normals), np.full(len(corners), material), corners.copy())
