"""Face alignment and reconstruction errors. Positions are in pixels of the photograph: x right, y down, z larger = nearer.

The normalised mean error (NME) and its yaw bins follow cleardusk/3DDFA, benchmark_aflw2000.py; dense and reconstruction errors
follow Feng et al., ECCV 2018, section 4. All results are fractions; multiply by 100 for percent.
"""

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from deep3dmap.geometry.alignment import icp, umeyama
from deep3dmap.geometry.face_pose import angles_of_rotation, rotation_of_angles

YAW_BINS = {"0_30": (0.0, 30.0), "30_60": (30.0, 60.0), "60_90": (60.0, 90.0)}
OUTER_EYE_CORNERS = (36, 45)


def box_size(landmarks: Tensor) -> Tensor:
    """Return sqrt(width * height) (...) of the axis-aligned 2D box of points (..., N, D >= 2), in their unit."""
    points = landmarks[..., :2].double()
    sides = points.amax(-2) - points.amin(-2)
    return sides.prod(-1).sqrt()


def normalized_mean_error(predicted: Tensor, truth: Tensor, size: Tensor | float) -> Tensor:
    """Return the mean distance between points (..., N, D) divided by `size`, (...); D = 2 in the image plane, 3 in space.

    Raises ValueError for different shapes and for a size that is not positive.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"predicted and truth differ in shape: {tuple(predicted.shape)} and {tuple(truth.shape)}")
    size = torch.as_tensor(size, dtype=torch.float64)
    if not (size > 0).all():
        raise ValueError("the normalising size must be positive; are all ground-truth points identical?")
    distance = torch.linalg.vector_norm(predicted.double() - truth.double(), dim=-1)
    return distance.mean(-1) / size


def align_mean_depth(predicted: Tensor, truth: Tensor) -> Tensor:
    """Shift z of points (..., N, 3) to the mean z of `truth`, because the z of a face has an arbitrary offset."""
    shift = (truth[..., 2] - predicted[..., 2]).mean(-1, keepdim=True)
    return torch.cat([predicted[..., :2], (predicted[..., 2] + shift)[..., None]], -1)


def yaw_bin(yaw: float) -> str:
    """Return the bin of a yaw in radians by its absolute value in degrees: "0_30", "30_60", or "60_90" for all larger ones.

    Upper bounds belong to their bin: 30 degrees are in "0_30".
    """
    degrees = math.degrees(abs(yaw))
    return next((name for name, (_, high) in YAW_BINS.items() if degrees <= high), "60_90")


def mean_of_bins(errors: Iterable[tuple[str, float]]) -> tuple[dict[str, float], float]:
    """Group (bin, error) pairs; return the mean of each non-empty bin, and the mean of these means.

    The published "mean" column is the latter, not the mean over all faces. Raises ValueError if there are no pairs.
    """
    grouped: dict[str, list[float]] = {}
    for name, error in errors:
        grouped.setdefault(name, []).append(error)
    if not grouped:
        raise ValueError("there are no faces to average")
    means = {name: sum(values) / len(values) for name, values in grouped.items()}
    return means, sum(means.values()) / len(means)


def interocular_distance(landmarks: Tensor) -> float:
    """Return the 3D distance between the outer eye corners of landmarks (68, 3)."""
    first, second = (landmarks[i].double() for i in OUTER_EYE_CORNERS)
    return float(torch.linalg.vector_norm(first - second))


def pose_error(predicted: Tensor, truth: Tensor, head_pose: NDArray[np.floating]) -> float:
    """Return the mean absolute error of pitch, yaw and roll in degrees, from points (N, 3) and true angles (3,) in radians.

    The predicted pose is the true pose, rotated by the best-fitting rotation from the true to the predicted points. Angles
    follow 300W-LP (`geometry.face_pose`); differences are wrapped to at most 180 degrees.
    """
    # 300W-LP's model space has y up.
    up = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    turned = umeyama(truth.double() * up, predicted.double() * up).rotation.numpy() @ rotation_of_angles(head_pose)
    difference = angles_of_rotation(turned) - np.asarray(head_pose, np.float64)
    return float(np.degrees(np.abs((difference + np.pi) % (2 * np.pi) - np.pi)).mean())


def reconstruction_error(
    predicted: Tensor, truth: Tensor, predicted_landmarks: Tensor, true_landmarks: Tensor, corresponding: int = 500
) -> float:
    """Return the mean distance from true points (M, 3) to the nearest predicted points (N, 3), over the interocular distance.

    The prediction is first aligned by the similarity that fits the landmarks (68, 3); its rotation and translation are then
    refined by ICP with `corresponding` evenly chosen true points. The scale remains that of the landmarks, because ICP would
    shrink the truth onto the flattest part of a wrong prediction. The predicted points should be dense, since gaps between them
    add to the error. Raises ValueError for an empty set.
    """
    if len(predicted) == 0 or len(truth) == 0:
        raise ValueError(f"both surfaces must have points, got {len(predicted)} predicted and {len(truth)} true ones")
    truth, aligned = truth.double(), umeyama(predicted_landmarks, true_landmarks).apply(predicted)
    chosen = truth[:: max(1, len(truth) // corresponding)]
    refined = icp(chosen, aligned, scale=False, iterations=20, tolerance=1e-4)
    distances, _ = cKDTree(aligned.numpy()).query(refined.apply(truth).numpy())
    return float(distances.mean()) / interocular_distance(true_landmarks)


def surface_points(vertices: Tensor, faces: Tensor, at_least: int = 10000) -> Tensor:
    """Return points on a triangle mesh: its vertices (V, 3) and, if they are few, a regular pattern on each face (F, 3).

    at_least: number of vertices from which no points are added. Raises ValueError for a mesh without vertices.
    """
    if len(vertices) == 0:
        raise ValueError("the mesh has no vertices")
    if len(faces) == 0 or len(vertices) >= at_least:
        return vertices
    steps = math.ceil(math.sqrt(2 * at_least / len(faces)))
    inner = [(a, b, steps - a - b) for a in range(steps + 1) for b in range(steps + 1 - a)]
    weights = (torch.tensor(inner, dtype=vertices.dtype) / steps)[None, :, :, None]
    return torch.cat([vertices, (weights * vertices[faces][:, None]).sum(2).reshape(-1, 3)])
