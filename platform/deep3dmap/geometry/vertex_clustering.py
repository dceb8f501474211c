"""Fast mesh simplification by vertex clustering: all vertices in a grid cell are merged into one.

After Lindstrom, Out-of-core simplification of large polygonal models (SIGGRAPH 2000): the vertex of a cell minimises the
distance to the planes of all triangles with a corner in it, which preserves sharp edges and corners of the surface.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.mesh import Mesh

MAX_ITERATIONS = 12
MIN_FILL = 0.8  # fraction of the allowed triangles at which the search for a cell size stops
# Strength of the pull towards the mean of the cell, in directions that the planes do not constrain.
REGULARISATION = 1e-3

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def simplify_mesh(mesh: Mesh, max_triangles: int) -> Mesh:
    """Return a mesh of at most `max_triangles` triangles, or without faces a cloud of at most `max_triangles` points.

    A mesh that is small enough is returned unchanged, except that unused vertices are removed. Colours are averaged.
    Deterministic.
    """
    if len(mesh.faces) == 0:
        kept = np.linspace(0, len(mesh.vertices) - 1, max_triangles).round().astype(np.int64)
        few = len(mesh.vertices) <= max_triangles
        return mesh if few else Mesh(mesh.vertices[kept], mesh.faces, None if mesh.colors is None else mesh.colors[kept])
    if len(mesh.faces) <= max_triangles:
        return _remove_unused_vertices(mesh)
    vertices = mesh.vertices.astype(np.float64)
    low, high = vertices.min(0), vertices.max(0)
    cell = _initial_cell_size(vertices, mesh.faces, max_triangles)
    fine = coarse = 0.0
    best = np.zeros(len(vertices), np.int64), np.zeros((0, 3), np.int64)
    for _ in range(MAX_ITERATIONS):
        label, faces = _cluster_vertices(vertices, mesh.faces, low, high, cell)
        if len(faces) > max_triangles:
            fine = cell
        else:
            best, coarse = (label, faces), cell
            if len(faces) >= MIN_FILL * max_triangles:
                break
        # The number of triangles is inversely proportional to the squared cell size; once bracketed, bisect geometrically.
        guess = cell * math.sqrt(len(faces) / (0.9 * max_triangles)) if len(faces) else cell / 2
        cell = guess if not (fine and coarse) else math.sqrt(fine * coarse)
    return _build_mesh(mesh, vertices, *best)


def _remove_unused_vertices(mesh: Mesh) -> Mesh:
    used, corners = np.unique(mesh.faces, return_inverse=True)
    if len(used) == len(mesh.vertices):
        return mesh
    return Mesh(mesh.vertices[used], corners.reshape(-1, 3), None if mesh.colors is None else mesh.colors[used])


def _initial_cell_size(vertices: Floats, faces: Indices, max_triangles: int) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    area = float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum()) / 2
    longest = float((vertices.max(0) - vertices.min(0)).max())
    # Each cell that the surface crosses yields about two triangles of the cell's size.
    return max(math.sqrt(2 * area / max_triangles), longest * 1e-5, 1e-12)


def _cluster_vertices(vertices: Floats, faces: Any, low: Floats, high: Floats, cell: float) -> tuple[Indices, Indices]:
    """Return the cell of each vertex, (V,), and the faces (F', 3) between three different cells, without duplicates."""
    place = np.floor((vertices - low) / cell).astype(np.int64)
    sides = np.floor((high - low) / cell).astype(np.int64) + 1
    _, label = np.unique((place[:, 0] * sides[1] + place[:, 1]) * sides[2] + place[:, 2], return_inverse=True)
    label = label.reshape(-1).astype(np.int64)
    corners = label[faces]
    corners = corners[(corners[:, 0] != corners[:, 1]) & (corners[:, 1] != corners[:, 2]) & (corners[:, 2] != corners[:, 0])]
    a, b, c = np.sort(corners, axis=1).T
    count = int(label.max(initial=0)) + 1
    # Two keys, because the cube of the number of cells does not fit into 64 bits.
    _, pair = np.unique(a * count + b, return_inverse=True)
    _, first = np.unique(pair.reshape(-1) * count + c, return_index=True)
    return label, corners[np.sort(first)]


def _build_mesh(mesh: Mesh, vertices: Floats, label: Indices, faces: Indices) -> Mesh:
    used, corners = np.unique(faces, return_inverse=True)
    count = int(label.max(initial=0)) + 1
    sizes = np.bincount(label, minlength=count)

    def mean(values: Any) -> Floats:
        sums = [np.bincount(label, values[:, column], count) for column in range(values.shape[1])]
        return np.asarray((np.stack(sums, 1) / sizes[:, None])[used], np.float64)

    middle = mean(vertices)
    spread = np.sqrt(np.maximum(mean(vertices**2).sum(1) - (middle**2).sum(1), 0))
    best = _closest_to_planes(vertices, mesh.faces, label, count, used, middle)
    # Limit the distance of a vertex from its cell's mean to twice the spread of the cell's vertices.
    offset = best - middle
    length = np.linalg.norm(offset, axis=1)
    limit = np.minimum(1.0, 2 * spread / np.maximum(length, 1e-30))
    colors = None if mesh.colors is None else mean(mesh.colors.astype(np.float64))
    return Mesh(middle + offset * limit[:, None], corners.reshape(-1, 3), colors)


def _closest_to_planes(vertices: Floats, faces: Any, label: Indices, count: int, used: Indices, middle: Floats) -> Floats:
    """Return the points (N, 3) with the least area-weighted sum of squared distances to their cells' planes."""
    a, b, c = vertices[faces].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    weight = np.linalg.norm(normal, axis=1)
    normal /= np.maximum(weight, 1e-30)[:, None]
    matrix, right = np.zeros((len(used), 3, 3)), np.zeros((len(used), 3))
    for corner in range(3):
        cell = label[faces[:, corner]]
        # Offsets of the planes through this corner's vertex.
        offset = (normal * vertices[faces[:, corner]]).sum(1)
        for i in range(3):
            right[:, i] += np.bincount(cell, weight * normal[:, i] * offset, count)[used]
            for j in range(3):
                matrix[:, i, j] += np.bincount(cell, weight * normal[:, i] * normal[:, j], count)[used]
    damping = REGULARISATION * np.trace(matrix, axis1=1, axis2=2) + 1e-30
    matrix += damping[:, None, None] * np.eye(3)
    return np.asarray(np.linalg.solve(matrix, (right + damping[:, None] * middle)[..., None])[..., 0], np.float64)
