"""The scaled orthographic camera p = s R x + t of face models: Euler angles, projection, and its fit to landmarks.

R. Hartley and A. Zisserman, Multiple View Geometry, 2nd edition, algorithm 7.2: the gold standard affine camera.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

# Nose tip, outer corners of the eyes, corners of the mouth: what MultiPIE's poses were made from.
FIVE_LANDMARKS = (30, 36, 45, 48, 54)


class WeakPerspective(NamedTuple):
    """p = scale * rotation @ x + translation. scale: () pixels per unit. rotation: (3, 3). translation: (2,) pixels."""

    scale: Tensor
    rotation: Tensor
    translation: Tensor


def rotation_of_euler_xyz(angles: Tensor) -> Tensor:
    """(..., 3) radians to (..., 3, 3) Rx(a) Ry(b) Rz(c) of right-handed matrices, as pytorch3d's "XYZ"; differentiable.

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
    """The inverse of `rotation_of_euler_xyz`, with the middle angle within 90 degrees."""
    first = torch.atan2(-rotation[..., 1, 2], rotation[..., 2, 2])
    third = torch.atan2(-rotation[..., 0, 1], rotation[..., 0, 0])
    return torch.stack([first, torch.asin(rotation[..., 0, 2].clamp(-1, 1)), third], -1)


def project_weak_perspective(points: Tensor, scale: Tensor, rotation: Tensor, translation: Tensor) -> Tensor:
    """Project points (..., N, 3) with scale (...), rotation (..., 3, 3), translation (..., 3); z is kept; differentiable."""
    return scale[..., None, None] * points @ rotation.transpose(-1, -2) + translation[..., None, :]


def fit_affine_camera(points: Any, pixels: Any) -> Tensor:
    """Fit the affine camera (2, 4) float64 that takes points (N, 3) to pixels (N, 2) with least squared error.

    Raises ValueError for fewer than four points, or points that lie in one plane.
    """
    points, pixels = torch.as_tensor(points).double(), torch.as_tensor(pixels).double()
    if points.dim() != 2 or points.shape[1] != 3 or pixels.shape != (len(points), 2) or len(points) < 4:
        raise ValueError(f"points are (N, 3) and pixels (N, 2), N >= 4, got {tuple(points.shape)}, {tuple(pixels.shape)}")
    centre, middle = points.mean(0), pixels.mean(0)
    spread = points - centre
    extents = torch.linalg.svdvals(spread)
    if extents[2] <= 1e-9 * extents[0]:
        raise ValueError("the points lie in one plane, so the camera's view of the third axis is unknown")
    linear = torch.linalg.lstsq(spread, pixels - middle).solution.T
    return torch.cat([linear, (middle - linear @ centre)[:, None]], 1)


def split_affine_camera(affine: Tensor) -> WeakPerspective:
    """Split an affine camera (2, 4) into scale, rotation and translation.

    The two rows of a fit are neither of one length nor at right angles. Scaled to one length, they are replaced by the nearest
    pair at right angles, which turns both alike; the third row is their cross product. The scale is the mean length of the
    rows. Raises ValueError for a camera whose rows are parallel.
    """
    lengths = torch.linalg.vector_norm(affine[:, :3], dim=1)
    u, values, vt = torch.linalg.svd(affine[:, :3] / lengths.clamp(min=1e-300)[:, None], full_matrices=False)
    if values[1] < 1e-6:
        raise ValueError("the camera's two rows are parallel: the pixels lie on one line")
    first, second = u @ vt
    rotation = torch.stack([first, second, torch.linalg.cross(first, second)])
    return WeakPerspective(lengths.mean(), rotation, affine[:, 3])


def pose_from_landmarks(points: Any, pixels: Any) -> WeakPerspective:
    """Pose of a model from landmarks (N, 3) on it and where they are in the image, (N, 2): `fit_affine_camera`, split.

    The pixels may have y up or down; the rotation takes the model to those axes. With y down and z towards the viewer they are
    left-handed, and what this returns is then a rotation to x right, y down, z AWAY from the viewer.
    """
    return split_affine_camera(fit_affine_camera(points, pixels))


def pose_from_5_landmarks(template: Any, landmarks: Any) -> WeakPerspective:
    """`pose_from_landmarks` of `FIVE_LANDMARKS` among 68: template (68, 3), landmarks (68, 2) in pixels."""
    chosen = list(FIVE_LANDMARKS)
    return pose_from_landmarks(torch.as_tensor(template)[chosen], torch.as_tensor(landmarks)[chosen, :2])
