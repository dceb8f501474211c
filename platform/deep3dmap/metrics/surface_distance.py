"""Distance of a reconstructed mesh from a scan of the same subject: point to triangle, not between vertices.

After the NoW evaluation (S. Sanyal et al., RingNet, CVPR 2019): every scan point is compared with the closest point on the
mesh surface. Distances are in the unit of the meshes; all computations are in float64 on the CPU.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deep3dmap.geometry.alignment import Similarity3D, umeyama
from deep3dmap.geometry.closest_points import ClosestPoints


class SurfacePoints(NamedTuple):
    """Points on a mesh. points: (N, 3) float64. face: (N,) int64, the face of each point."""

    points: Tensor
    face: Tensor


def sample_surface(vertices: Any, faces: Any, count: int, seed: int = 0, chosen: Any = None) -> SurfacePoints:
    """Sample `count` points uniformly over the area of a mesh, or of the faces where `chosen` (F,) is true.

    vertices: (V, 3). faces: (F, 3). Deterministic for a given seed. Raises ValueError for a mesh without area.
    """
    corners = np.asarray(vertices, np.float64)[np.asarray(faces, np.int64)]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if chosen is not None:
        area = np.where(np.asarray(chosen), area, 0.0)
    total = area.sum()
    if not total > 0:
        raise ValueError("the surface has no area to sample points from")
    generator = np.random.default_rng(seed)
    # Stratified sampling: one point in each of `count` equal parts of the area.
    where = (np.arange(count) + generator.random(count)) / count * total
    face = np.searchsorted(np.cumsum(area), where, side="right").clip(max=np.flatnonzero(area)[-1])
    first, second = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - first, first * (1 - second), first * second], 1)
    return SurfacePoints(torch.from_numpy((weights[:, :, None] * corners[face]).sum(1)), torch.from_numpy(face))


def distance_summary(distances: Tensor) -> dict[str, float]:
    """Return mean, median and (population) standard deviation of distances (N,), as in NoW's tables.

    The median of an even number of distances is the mean of the middle two. Raises ValueError if there are none.
    """
    values = distances.double().numpy()
    if values.size == 0:
        raise ValueError("there are no distances to summarise")
    return {"mean": float(values.mean()), "median": float(np.median(values)), "std": float(values.std())}


def normal_angles(first: Tensor, second: Tensor) -> Tensor:
    """Return the angles in degrees, (N,), between directions (N, 3) that need not have unit length."""
    first, second = first.double(), second.double()
    across = torch.linalg.vector_norm(torch.linalg.cross(first, second), dim=1)
    return torch.rad2deg(torch.atan2(across, (first * second).sum(1)))


def face_directions(vertices: Any, faces: Any) -> Tensor:
    """Return face normals (F, 3) of length twice the face area, pointing to the counter-clockwise side."""
    corners = torch.as_tensor(np.asarray(vertices, np.float64)[np.asarray(faces, np.int64)])
    return torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def align_to_surface(
    points: Any,
    surface: ClosestPoints,
    initial: Similarity3D | None = None,
    *,
    scale: bool = False,
    iterations: int = 30,
    tolerance: float = 1e-4,
) -> Similarity3D:
    """Refine the motion from points (N, 3) to a surface by ICP with closest surface points (Besl and McKay, 1992).

    initial: starting transform, the identity by default; corresponding points, if available, give a better start
    (`geometry.alignment.umeyama`). scale: fit a similarity instead of a rigid motion, which may shrink the points onto a flat
    part of a wrong surface. tolerance: relative decrease of the mean distance below which to stop. Returns the best motion
    found, so the mean distance never increases. Raises ValueError for fewer than three points.
    """
    points = torch.as_tensor(points).double()
    current = best = initial or Similarity3D.identity()
    least = float("inf")
    for _ in range(iterations + 1):
        closest = surface(current.apply(points))
        mean = float(closest.distance.mean())
        if mean < least:
            best = current
        if mean >= least * (1 - tolerance):
            break
        least = mean
        start = points if scale else points * current.scale
        found = umeyama(start, closest.point, scale=scale)
        current = found if scale else found._replace(scale=current.scale)
    return best


def vertex_error(predicted: Any, truth: Any, *, align: bool = False) -> float:
    """Return the mean distance between corresponding vertices (V, 3); align: after the best rigid motion.

    Raises ValueError if the numbers of vertices differ.
    """
    predicted, truth = torch.as_tensor(predicted).double(), torch.as_tensor(truth).double()
    if predicted.shape != truth.shape:
        raise ValueError(
            f"corresponding vertices need meshes of one topology, got {tuple(predicted.shape)} and {tuple(truth.shape)}"
        )
    if align:
        predicted = umeyama(predicted, truth, scale=False).apply(predicted)
    return float(torch.linalg.vector_norm(predicted - truth, dim=1).mean())


def f_score(to_truth: Tensor, to_predicted: Tensor, threshold: float) -> dict[str, float]:
    """Return precision and recall, the fractions of predicted and true points closer than `threshold`, and their F-score."""
    precision, recall = (float((distances < threshold).double().mean()) for distances in (to_truth, to_predicted))
    both = precision + recall
    return {"precision": precision, "recall": recall, "f_score": 2 * precision * recall / both if both > 0 else 0.0}


def box_diagonal(points: Any) -> float:
    """Return the diagonal of the bounding box of points (N, 3), used as the error of a missing surface."""
    values = np.asarray(points, np.float64)
    return math.sqrt(float(((values.max(0) - values.min(0)) ** 2).sum()))
