"""Exact closest points on a triangle mesh (on a face, an edge or a vertex). Float64 on the CPU."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

INITIAL_CANDIDATES = 8  # nearby triangles compared first, to bound the search
MAX_PAIRS = 1 << 20  # point-triangle pairs compared at a time
Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class Closest(NamedTuple):
    """The closest surface points of N points. distance: (N,) float64. point: (N, 3) float64. face: (N,) int64."""

    distance: Tensor
    point: Tensor
    face: Tensor


class ClosestPoints:
    """Closest-point queries on a mesh, which may be open and contain degenerate triangles (treated as segments or points).

    Each triangle has a bounding sphere. The distance to a few nearby triangles bounds the search, and only triangles whose
    sphere reaches within that bound are compared, so the result is exact. Spheres are grouped by size, so that a few large
    triangles do not widen the search among the small ones.
    """

    def __init__(self, vertices: Any, faces: Any) -> None:
        """vertices: (V, 3). faces: (F, 3). Raises ValueError for wrong shapes or ids, no faces, or non-finite corners."""
        vertices, faces = np.asarray(vertices, np.float64), np.asarray(faces, np.int64)
        if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
            raise ValueError(f"vertices must be (V, 3) and faces (F, 3), got {vertices.shape} and {faces.shape}")
        if len(faces) == 0:
            raise ValueError("the mesh has no faces, so it has no closest points")
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise ValueError(f"faces index vertices {faces.min()}..{faces.max()}, but there are {len(vertices)}")
        self.corners = vertices[faces]
        if not np.isfinite(self.corners).all():
            raise ValueError("the mesh has non-finite corners")
        centres = (self.corners.min(1) + self.corners.max(1)) / 2
        radii = np.linalg.norm(self.corners - centres[:, None], axis=2).max(1)
        self._centres, self._radii = centres, radii
        self._tree = cKDTree(centres)
        self._by_size = _by_size(centres, radii)

    def __call__(self, points: Any) -> Closest:
        """Find the surface points closest to points (N, 3); raises ValueError for other shapes and non-finite points."""
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 3:
            raise ValueError(f"points must be (N, 3), got {points.shape}")
        if not np.isfinite(points).all():
            raise ValueError("points must be finite")
        distance = np.full(len(points), np.inf)
        closest, face = np.zeros((len(points), 3)), np.zeros(len(points), np.int64)
        _, first = self._tree.query(points, min(INITIAL_CANDIDATES, len(self.corners)))
        first = first.reshape(len(points), min(INITIAL_CANDIDATES, len(self.corners)))
        point_ids = np.repeat(np.arange(len(points)), first.shape[1])
        self._compare(points, point_ids, first.ravel(), distance, closest, face)
        for faces, radius, tree in self._by_size:
            near = tree.query_ball_point(points, distance + radius)
            counts = np.array([len(one) for one in near], np.int64)
            face_ids = np.concatenate([np.asarray(one, np.int64) for one in near]) if counts.any() else np.zeros(0, np.int64)
            self._compare(points, np.repeat(np.arange(len(points)), counts), faces[face_ids], distance, closest, face)
        return Closest(torch.from_numpy(distance), torch.from_numpy(closest), torch.from_numpy(face))

    def _compare(
        self, points: Floats, point_ids: Indices, face_ids: Indices, distance: Floats, closest: Floats, face: Indices
    ) -> None:
        """Update the results of points `point_ids` where faces `face_ids` are closer; pairs are sorted by point."""
        for begin in range(0, len(point_ids), MAX_PAIRS):
            point, candidate = point_ids[begin : begin + MAX_PAIRS], face_ids[begin : begin + MAX_PAIRS]
            gap = np.linalg.norm(points[point] - self._centres[candidate], axis=1) - self._radii[candidate]
            reached = gap <= distance[point]
            point, candidate = point[reached], candidate[reached]
            found = closest_on_triangles(points[point], self.corners[candidate])
            length = np.linalg.norm(found - points[point], axis=1)
            order = np.lexsort((candidate, length, point))
            best = order[np.unique(point[order], return_index=True)[1]]
            best = best[length[best] < distance[point[best]]]
            distance[point[best]], closest[point[best]], face[point[best]] = length[best], found[best], candidate[best]


def closest_on_triangles(points: Floats, corners: Floats) -> Floats:
    """Return the closest point (N, 3) of each triangle in corners (N, 3, 3) to the corresponding point (N, 3).

    This is the orthogonal projection if it is inside the triangle, otherwise the closest point on one of the three sides.
    """
    a, b, c = corners.transpose(1, 0, 2)
    best, least = _on_segment(points, a, b)
    for start, end in ((b, c), (c, a)):
        other, distance = _on_segment(points, start, end)
        closer = distance < least
        best, least = np.where(closer[:, None], other, best), np.where(closer, distance, least)
    normal = np.cross(b - a, c - a)
    squared = (normal**2).sum(1)
    safe = np.where(squared > 0, squared, 1.0)
    weights = [(np.cross(end - start, points - start) * normal).sum(1) for start, end in ((b, c), (c, a), (a, b))]
    inside = (np.min(weights, axis=0) >= 0) & (squared > 0)
    foot = points - (((points - a) * normal).sum(1) / safe)[:, None] * normal
    return np.where(inside[:, None], foot, best)


def _on_segment(points: Floats, start: Floats, end: Floats) -> tuple[Floats, Floats]:
    along = end - start
    squared = (along**2).sum(1)
    share = ((points - start) * along).sum(1) / np.where(squared > 0, squared, 1.0)
    found = start + share.clip(0, 1)[:, None] * along
    return found, ((points - found) ** 2).sum(1)


def _by_size(centres: Floats, radii: Floats) -> list[tuple[Indices, float, cKDTree]]:
    """Group faces whose bounding spheres differ by less than a factor of four: ids, largest radius, tree of centres."""
    classes = np.floor(np.log2(np.maximum(radii, np.finfo(float).tiny)) / 2).astype(int)
    # Separate groups for faces much smaller than the median would not narrow the search.
    classes = np.maximum(classes, int(np.floor(np.log2(max(np.median(radii), np.finfo(float).tiny)) / 2)))
    groups = [np.flatnonzero(classes == one) for one in np.unique(classes)]
    return [(group, float(radii[group].max()), cKDTree(centres[group])) for group in groups]
