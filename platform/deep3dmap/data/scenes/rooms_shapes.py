"""Surfaces of procedural rooms as quadrilaterals: boxes, cylinders, cones, discs and spheres, z up, in metres.

The same description yields two meshes of a surface: a coarse one for rendering and a fine one for evaluation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Quads:
    """Q quadrilaterals with corners counter-clockwise seen from outside; a triangle repeats its last corner.

    corners, normals: (Q, 4, 3), with unit normals for shading. material: (Q,) index into the scene's materials.
    local: (Q, 4, 3) corners in the object's own frame, in which its texture is defined.
    """

    corners: Array
    normals: Array
    material: NDArray[np.int64]
    local: Array

    def __len__(self) -> int:
        return len(self.corners)

    def placed(self, position: Sequence[float], angle: float = 0.0) -> "Quads":
        """Return the quads rotated by `angle` (radians) about z and moved to `position`; textures move with the object."""
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return Quads(self.corners @ turn.T + np.asarray(position), self.normals @ turn.T, self.material, self.local)

    def chosen(self, which: NDArray[Any]) -> "Quads":
        """Return a subset of the quads, given by indices or a boolean mask."""
        return Quads(self.corners[which], self.normals[which], self.material[which], self.local[which])


def joined(parts: Sequence[Quads]) -> Quads:
    """Concatenate the quads of several parts."""
    return Quads(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("corners", "normals", "material", "local"))
    )


def box(low: Sequence[float], high: Sequence[float], material: int, inside: bool = False) -> Quads:
    """Return an axis-aligned box between two corners; with `inside`, its faces point inwards, as for a room's shell."""
    sides = [_box_side(np.asarray(low, float), np.asarray(high, float), axis, upper) for axis in range(3) for upper in (0, 1)]
    corners = np.stack(sides)
    if inside:
        corners = corners[:, ::-1]
    return _flat(corners, material)


def panel(corners: Sequence[Sequence[float]], material: int) -> Quads:
    """Return one flat quad from its four corners, counter-clockwise seen from outside."""
    return _flat(np.asarray([corners], float), material)


def revolved(profile: Sequence[tuple[float, float]], material: int, segments: int = 24, smooth: bool = True) -> Quads:
    """Return the surface of revolution of (radius, z) points, listed from bottom to top, about the z axis.

    A point of radius 0 closes the surface. `smooth` also interpolates normals across bands, as on a sphere.
    """
    points = np.asarray(profile, float)
    angles = np.linspace(0, 2 * np.pi, segments + 1)
    circle = np.stack([np.cos(angles), np.sin(angles)], -1)
    rings = np.concatenate(
        [points[:, None, :1] * circle, np.broadcast_to(points[:, None, 1:], (len(points), segments + 1, 1))], -1
    )
    below, above = rings[:-1], rings[1:]
    corners = np.stack([below[:, :-1], below[:, 1:], above[:, 1:], above[:, :-1]], 2).reshape(-1, 4, 3)
    slopes = _profile_normals(points, smooth)
    directions = [slopes[:, end, None, :1] * circle for end in (0, 1)]
    normals = [
        np.concatenate([d, np.broadcast_to(slopes[:, end, None, 1:], (*d.shape[:2], 1))], -1)
        for end, d in enumerate(directions)
    ]
    shading = np.stack([normals[0][:, :-1], normals[0][:, 1:], normals[1][:, 1:], normals[1][:, :-1]], 2).reshape(-1, 4, 3)
    return Quads(corners, shading, np.full(len(corners), material), corners.copy())


def cylinder(radius: float, low: float, high: float, material: int, segments: int = 16) -> Quads:
    """Return an upright cylinder with both caps."""
    return revolved([(0, low), (radius, low), (radius, high), (0, high)], material, segments, smooth=False)


def sphere(radius: float, centre_z: float, material: int, segments: int = 24) -> Quads:
    """Return a sphere around (0, 0, centre_z)."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, segments // 2 + 1)
    profile = [(float(radius * abs(np.cos(a)) if abs(a) < 1.57 else 0.0), float(centre_z + radius * np.sin(a))) for a in angles]
    return revolved(profile, material, segments)


def refined(quads: Quads, longest_edge: float) -> tuple[Quads, NDArray[np.int64]]:
    """Subdivide every quad into a grid with edges of at most `longest_edge` metres, on the same surface.

    Returns the small quads and, for each, the index of its parent quad.
    """
    values = np.concatenate([quads.corners, quads.normals, quads.local], -1)
    grids = [(chosen, _grid(values[chosen], *cuts)) for chosen, cuts in _cuts(quads, longest_edge)]
    parent = _parents(grids)
    fine, begin = np.empty((len(parent), 4, 9)), 0
    for _, grid in grids:
        end = begin + grid[:, 1:, 1:, 0].size
        for number, corner in enumerate(_corners(grid)):
            fine[begin:end, number] = corner.reshape(-1, 9)
        begin = end
    corners, normals, local = fine[..., :3], fine[..., 3:6], fine[..., 6:]
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return Quads(corners, normals, quads.material[parent], local), parent


def refined_centres(quads: Quads, longest_edge: float) -> tuple[Array, NDArray[np.int64]]:
    """Return the centres (N, 3), as means of the corners, and the parents of the quads that `refined` would return."""
    grids = [(chosen, _grid(quads.corners[chosen], *cuts)) for chosen, cuts in _cuts(quads, longest_edge)]
    centres = [np.add.reduce(_corners(grid)).reshape(-1, 3) / 4 for _, grid in grids]
    return np.concatenate(centres), _parents(grids)


def triangles(quads: Quads) -> NDArray[np.int64]:
    """Return (2Q, 3) faces that index the 4Q corners in order; face i belongs to quad i // 2."""
    first = 4 * np.arange(len(quads))[:, None, None]
    return (first + np.array([(0, 1, 2), (0, 2, 3)])).reshape(-1, 3)


def _box_side(low: Array, high: Array, axis: int, upper: int) -> Array:
    first, second = (axis + 1) % 3, (axis + 2) % 3
    corners = np.empty((4, 3))
    corners[:, axis] = high[axis] if upper else low[axis]
    square = [(0, 0), (1, 0), (1, 1), (0, 1)] if upper else [(0, 0), (0, 1), (1, 1), (1, 0)]
    for row, (a, b) in enumerate(square):
        corners[row, first] = high[first] if a else low[first]
        corners[row, second] = high[second] if b else low[second]
    return corners


def _flat(corners: Array, material: int) -> Quads:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return Quads(corners, np.repeat(normals[:, None], 4, 1), np.full(len(corners), material), corners.copy())


def _profile_normals(points: Array, smooth: bool) -> Array:
    """Return (bands, 2 ends, 2) outward normals in the (radius, z) plane."""
    along = np.diff(points, axis=0)
    normals = np.stack([along[:, 1], -along[:, 0]], -1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    if not smooth:
        return np.repeat(normals[:, None], 2, 1)
    ends = np.concatenate([normals[:1], normals[:-1] + normals[1:], normals[-1:]])
    ends /= np.linalg.norm(ends, axis=-1, keepdims=True)
    return np.stack([ends[:-1], ends[1:]], 1)


def _cuts(quads: Quads, longest_edge: float) -> list[tuple[NDArray[np.int64], tuple[int, int]]]:
    """Return groups of quads with equal subdivision, each with the number of pieces along both sides."""
    size = np.linalg.norm(np.roll(quads.corners, -1, 1) - quads.corners, axis=-1)
    counts = np.stack([np.maximum(size[:, 0], size[:, 2]), np.maximum(size[:, 1], size[:, 3])], -1) / longest_edge
    counts = np.maximum(np.ceil(counts - 1e-9), 1).astype(np.int64)
    alike = np.unique(counts, axis=0)
    return [(np.flatnonzero((counts == cuts).all(1)), (int(cuts[0]), int(cuts[1]))) for cuts in alike]


def _grid(values: Array, across: int, along: int) -> Array:
    """Interpolate values (Q, 4, C) at the corners of quads to the corners (Q, across + 1, along + 1, C) of their pieces."""
    u, v = np.meshgrid(np.linspace(0, 1, across + 1), np.linspace(0, 1, along + 1), indexing="ij")
    weights = np.stack([(1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v], -1)
    spread: Array = np.einsum("uvc,qcd->quvd", weights, values)
    return spread


def _corners(grid: Array) -> list[Array]:
    """Return the values at the first, second, third and fourth corners of the pieces, each (Q, across, along, C)."""
    return [grid[:, :-1, :-1], grid[:, 1:, :-1], grid[:, 1:, 1:], grid[:, :-1, 1:]]


def _parents(grids: Sequence[tuple[NDArray[np.int64], Array]]) -> NDArray[np.int64]:
    parents = [np.repeat(chosen, (grid.shape[1] - 1) * (grid.shape[2] - 1)) for chosen, grid in grids]
    return np.concatenate(parents)
