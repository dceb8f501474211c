"""The scaled orthographic camera p = s R x + t of face models: Euler angles, projection and fitting to landmarks.

R. Hartley and A. Zisserman, Multiple View Geometry, 2nd edition, algorithm 7.2: gold standard algorithm for affine cameras.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

# Nose tip, outer corners of the eyes, corners of the mouth: the landmarks used for MultiPIE's poses.
FIVE_LANDMARKS = (30, 36, 45, 48, 54)


class WeakPerspective(NamedTuple):
    """p = scale * rotation @ x + translation. scale: () pixels per unit. rotation: (3, 3). translation: (2,) pixels."""

    scale: Tensor
    rotation: Tensor
    translation: Tensor


def rotation_of_euler_xyz(angles: Tensor) -> Tensor:
    """Return Rx(a) Ry(b) Rz(c) (..., 3, 3), right-handed as in pytorch3d's "XYZ", for radians (..., 3); differentiable.

    The signs are opposite to those of 300W-LP (`face_pose`).
    """
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = [
        (cy * cz, -cy * sz, sy),
        (cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy),
        (sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy),
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def euler_xyz_of_rotation(rotation: Tensor) -> Tensor:
    """Invert `rotation_of_euler_xyz`, with the middle angle within 90 degrees."""
    first = torch.atan2(-rotation[..., 1, 2], rotation[..., 2, 2])
    third = torch.atan2(-rotation[..., 0, 1], rotation[..., 0, 0])
    return torch.stack([first, torch.asin(rotation[..., 0, 2].clamp(-1, 1)), third], -1)


def project_weak_perspective(points: Tensor, scale: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Project points (..., N, 3) with scale (...), rotation (..., 3, 3) and translation (..., 3), differentiably.

    Returns (..., N, 3), with the scaled and translated z.
    """
    return scale[..., None, None] * points @ rotation.transpose(-1, -2) + translation[..., None, :]


def fit_affine_camera(points: Any, pixels: Any) -> Tensor:
    """Fit the least-squares affine camera (2, 4) float64 from points (N, 3) to pixels (N, 2).

    Raises ValueError for wrong shapes, fewer than four points, or coplanar points.
    """
    points, pixels = torch.as_tensor(points).double(), torch.as_tensor(pixels).double()
    if points.dim() != 2 or points.shape[1] != 3 or pixels.shape != (len(points), 2) or len(points) < 4:
        raise ValueError(f"points must be (N, 3) and pixels (N, 2), N >= 4, got {tuple(points.shape)}, {tuple(pixels.shape)}")
    centre, middle = points.mean(0), pixels.mean(0)
    spread = points - centre
    extents = torch.linalg.svdvals(spread)
    if extents[2] <= 1e-9 * extents[0]:
        raise ValueError("the points lie in one plane, so the camera is not determined along the plane's normal")
    linear = torch.linalg.lstsq(spread, pixels - middle).solution.T
    return torch.cat([linear, (middle - linear @ centre)[:, None]], 1)


def split_affine_camera(affine: Tensor) -> WeakPerspective:
    """Split an affine camera (2, 4) into scale, rotation and translation.

    The two rows of a fit generally differ in length and are not orthogonal. They are normalised and replaced by the nearest
    orthogonal pair, which rotates both by the same angle; the third row is their cross product. The scale is the mean length of
    the rows. Raises ValueError for a camera whose rows are parallel.
    """
    lengths = torch.linalg.vector_norm(affine[:, :3], dim=1)
    u, values, vt = torch.linalg.svd(affine[:, :3] / lengths.clamp(min=1e-300)[:, None], full_matrices=False)
    if values[1] < 1e-6:
        raise ValueError("the camera's two rows are parallel: the pixels lie on one line")
    first, second = u @ vt
    rotation = torch.stack([first, second, torch.linalg.cross(first, second)])
    return WeakPerspective(lengths.mean(), rotation, affine[:, 3])


def pose_from_landmarks(points: Any, pixels: Any) -> WeakPerspective:
    """Return the pose of a model from its landmarks (N, 3) and their pixels (N, 2), by splitting `fit_affine_camera`.

    The pixels may have y up or down; the rotation maps the model to these axes. As the result is always a proper rotation, with
    y down it maps to x right, y down, z AWAY from the viewer.
    """
    return split_affine_camera(fit_affine_camera(points, pixels))


def pose_from_5_landmarks(template: Any, landmarks: Any) -> WeakPerspective:
    """Apply `pose_from_landmarks` to `FIVE_LANDMARKS` of 68: template (68, 3), landmarks (68, 2 or more) in pixels."""
    chosen = list(FIVE_LANDMARKS)
    return pose_from_landmarks(torch.as_tensor(template)[chosen], torch.as_tensor(landmarks)[chosen, :2])
