"""Fewer triangles for the same shape, fast and without fuss: vertices in one cell of a grid become one.

After Lindstrom, Out-of-core simplification of large polygonal models (SIGGRAPH 2000): the vertex of a cell is put where it is
closest to the planes of all triangles that have a corner there, so that edges and corners of the surface stay sharp.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.mesh import Mesh

TRIES = 12
ENOUGH = 0.8  # of the triangles that were allowed
# How much a vertex keeps to the mean of its cell where the planes leave it free to slide.
STAY = 1e-3

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def reduced(mesh: Mesh, most: int) -> Mesh:
    """Return a mesh of at most `most` triangles, or a cloud of at most `most` points for one without faces.

    What is small enough is returned as it is, without vertices that no triangle has. Colours are averaged. The same mesh gives
    the same result.
    """
    if len(mesh.faces) == 0:
        kept = np.linspace(0, len(mesh.vertices) - 1, most).round().astype(np.int64)
        few = len(mesh.vertices) <= most
        return mesh if few else Mesh(mesh.vertices[kept], mesh.faces, None if mesh.colors is None else mesh.colors[kept])
    if len(mesh.faces) <= most:
        return _without_loose(mesh)
    vertices = mesh.vertices.astype(np.float64)
    low, high = vertices.min(0), vertices.max(0)
    cell = _first_cell(vertices, mesh.faces, most)
    fine = coarse = 0.0
    best = np.zeros(len(vertices), np.int64), np.zeros((0, 3), np.int64)
    for _ in range(TRIES):
        label, faces = _clustered(vertices, mesh.faces, low, high, cell)
        if len(faces) > most:
            fine = cell
        else:
            best, coarse = (label, faces), cell
            if len(faces) >= ENOUGH * most:
                break
        # Triangles go with the square of the size; between a cell too fine and one too coarse, the middle.
        guess = cell * math.sqrt(len(faces) / (0.9 * most)) if len(faces) else cell / 2
        cell = guess if not (fine and coarse) else math.sqrt(fine * coarse)
    return _placed(mesh, vertices, *best)


def _without_loose(mesh: Mesh) -> Mesh:
    used, corners = np.unique(mesh.faces, return_inverse=True)
    if len(used) == len(mesh.vertices):
        return mesh
    return Mesh(mesh.vertices[used], corners.reshape(-1, 3), None if mesh.colors is None else mesh.colors[used])


def _first_cell(vertices: Floats, faces: Indices, most: int) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    longest = float((vertices.max(0) - vertices.min(0)).max())
    # A cell is crossed by the surface about where two triangles of its own size would lie.
    return max(math.sqrt(2 * area / most), longest * 1e-5, 1e-12)


def _clustered(vertices: Floats, faces: Any, low: Floats, high: Floats, cell: float) -> tuple[Indices, Indices]:
    """Return (V,) the number of each vertex's cell, and the faces (F', 3) between three different cells, each once."""
    place = np.floor((vertices - low) / cell).astype(np.int64)
    sides = np.floor((high - low) / cell).astype(np.int64) + 1
    _, label = np.unique((place[:, 0] * sides[1] + place[:, 1]) * sides[2] + place[:, 2], return_inverse=True)
    label = label.reshape(-1).astype(np.int64)
    corners = label[faces]
    corners = corners[(corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])]
    a, b, c = np.sort(corners, axis=1).T
    count = int(label.max(initial=0)) + 1
    # Two keys, since the third power of the number of cells leaves 64 bits.
    _, pair = np.unique(a * count + b, return_inverse=True)
    _, first = np.unique(pair.reshape(-1) * count + c, return_index=True)
    return label, corners[np.sort(first)]


def _placed(mesh: Mesh, vertices: Floats, label: Indices, faces: Indices) -> Mesh:
    used, corners = np.unique(faces, return_inverse=True)
    count = int(label.max(initial=0)) + 1
    sizes = np.bincount(label, minlength=count)

    def mean(values: Any) -> Floats:
        sums = [np.bincount(label, values[:, column], count) for column in range(values.shape[1])]
        return np.asarray((np.stack(sums, 1) / sizes[:, None])[used], np.float64)

    middle = mean(vertices)
    spread = np.sqrt(np.maximum(mean(vertices**2).sum(1) - (middle**2).sum(1), 0))
    best = _closest_to_planes(vertices, mesh.faces, label, count, used, middle)
    # A vertex leaves the middle of its cell by no more than the cell's own vertices do.
    away = best - middle
    length = np.linalg.norm(away, axis=1)
    limit = np.minimum(1.0, 2 * spread / np.maximum(length, 1e-30))
    colors = None if mesh.colors is None else mean(mesh.colors.astype(np.float64))
    return Mesh(middle + away * limit[:, None], corners.reshape(-1, 3), colors)


def _closest_to_planes(vertices: Floats, faces: Any, label: Indices, count: int, used: Indices, middle: Floats) -> Floats:
    """Return (N, 3) the points with the least sum of squared distances to their cells' planes, weighted by area."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    weight = np.linalg.norm(normal, axis=1)
    normal /= np.maximum(weight, 1e-30)[:, None]
    matrix, right = np.zeros((len(used), 3, 3)), np.zeros((len(used), 3))
    for corner in range(3):
        cell = label[faces[:, corner]]
        # Planes through the vertex itself, so that small numbers are added up.
        offset = (normal * vertices[faces[:, corner]]).sum(1)
        for i in range(3):
            right[:, i] += np.bincount(cell, weight * normal[:, i] * offset, count)[used]
            for j in range(3):
                matrix[:, i, j] += np.bincount(cell, weight * normal[:, i] * normal[:, j], count)[used]
    stay = STAY * np.trace(matrix, axis1=1, axis2=2) + 1e-30
    matrix += stay[:, None, None] * np.eye(3)
    return np.asarray(np.linalg.solve(matrix, (right + stay[:, None] * middle)[..., None])[..., 0], np.float64)
