"""How far a reconstructed mesh lies from a scan of the same subject: between points and triangles, not between vertices.

After the NoW evaluation (S. Sanyal et al., RingNet, CVPR 2019): every point of the scan is compared with the closest point of
the mesh's surface. Distances are in the unit of the meshes; all arithmetic is in float64 on the CPU.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deep3dmap.geometry.alignment import Similarity3D, umeyama
from deep3dmap.geometry.closest_points import ClosestPoints


class SurfacePoints(NamedTuple):
    """Points on a mesh. points: (N, 3) float64. face: (N,) int64, the face each lies on."""

    points: Tensor
    face: Tensor


def sample_surface(vertices: Any, faces: Any, count: int, seed: int = 0, chosen: Any = None) -> SurfacePoints:
    """Return `count` points spread evenly over the area of a mesh, or of the faces where `chosen` (F,) is true.

    vertices: (V, 3). faces: (F, 3). The same seed gives the same points. Raises ValueError for a mesh without area.
    """
    corners = np.asarray(vertices, np.float64)[np.asarray(faces, np.int64)]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if chosen is not None:
        area = np.where(np.asarray(chosen), area, 0.0)
    total = area.sum()
    if not total > 0:
        raise ValueError("the surface has no area to take points from")
    generator = np.random.default_rng(seed)
    # One point in each of `count` equal shares of the area is more even than independent ones.
    where = (np.arange(count) + generator.random(count)) / count * total
    face = np.searchsorted(np.cumsum(area), where, side="right").clip(max=np.flatnonzero(area)[-1])
    first, second = np.sqrt(generator.random(count)), generator.random(count)
    weights = np.stack([1 - first, first * (1 - second), first * second], 1)
    return SurfacePoints(torch.from_numpy((weights[:, :, None] * corners[face]).sum(1)), torch.from_numpy(face))


def distance_summary(distances: Tensor) -> dict[str, float]:
    """Return mean, median and (population) standard deviation of (N,) distances, as NoW's tables give them.

    The median of an even number of distances is the mean of the two in the middle. Raises ValueError for none.
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
    """Return the normals (F, 3) of faces, of twice their area's length, out of where they are counter-clockwise."""
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
    """Refine the motion that lays points (N, 3) onto a surface: closest points and `umeyama` in turn (Besl and McKay, 1992).

    initial: where to start, the identity by default; corresponding points, where there are any, give a better start
    (`geometry.alignment.umeyama`). scale: similarity instead of a rigid motion, which may shrink the points onto a flat
    part of a wrong surface. tolerance: relative fall of the mean distance below which it stops. The best motion met is
    returned, so that the mean distance never grows. Raises ValueError for fewer than three points.
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
    """Return the mean distance of vertices (V, 3) to those of the same index; align: after the best rigid motion.

    Raises ValueError where the numbers of vertices differ.
    """
    predicted, truth = torch.as_tensor(predicted).double(), torch.as_tensor(truth).double()
    if predicted.shape != truth.shape:
        raise ValueError(
            f"vertices correspond in meshes of one topology, got {tuple(predicted.shape)} and {tuple(truth.shape)}"
        )
    if align:
        predicted = umeyama(predicted, truth, scale=False).apply(predicted)
    return float(torch.linalg.vector_norm(predicted - truth, dim=1).mean())


def f_score(to_truth: Tensor, to_predicted: Tensor, threshold: float) -> dict[str, float]:
    """Return precision, recall (shares of distances of predicted and of true points below `threshold`) and their F-score."""
    precision, recall = (float((distances < threshold).double().mean()) for distances in (to_truth, to_predicted))
    both = precision + recall
    return {"precision": precision, "recall": recall, "f_score": 2 * precision * recall / both if both > 0 else 0.0}


def box_diagonal(points: Any) -> float:
    """Return the length of the diagonal of the upright box around points (N, 3): what a missing surface is charged."""
    values = np.asarray(points, np.float64)
    return math.sqrt(float(((values.max(0) - values.min(0)) ** 2).sum()))
