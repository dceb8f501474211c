"""Rotations as matrices, axis-angle vectors and quaternions. For head pose angles see `face_pose`."""

from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor


def matrix_of_axis_angle(vectors: Any) -> Tensor:
    """Convert axis-angle vectors (..., 3) in radians to matrices (..., 3, 3) float64."""
    vectors = np.asarray(vectors, np.float64)
    return torch.from_numpy(Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*vectors.shape, 3))


def axis_angle_of_matrix(matrices: Any) -> Tensor:
    """Convert rotations (..., 3, 3) to axis-angle vectors (..., 3) float64 of length at most pi."""
    matrices = _checked(matrices)
    vectors = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec()
    return torch.from_numpy(vectors.reshape(matrices.shape[:-1]))


def matrix_of_quaternion(quaternions: Any) -> Tensor:
    """Convert quaternions (..., 4) w, x, y, z of any non-zero length to matrices (..., 3, 3) float64.

    Raises ValueError for a zero quaternion.
    """
    quaternions = np.asarray(quaternions, np.float64)
    matrices = Rotation.from_quat(quaternions.reshape(-1, 4), scalar_first=True).as_matrix()
    return torch.from_numpy(matrices.reshape(*quaternions.shape[:-1], 3, 3))


def quaternion_of_matrix(matrices: Any) -> Tensor:
    """Convert rotations (..., 3, 3) to unit quaternions (..., 4) float64 w, x, y, z with w >= 0."""
    matrices = _checked(matrices)
    rotations = Rotation.from_matrix(matrices.reshape(-1, 3, 3))
    return torch.from_numpy(rotations.as_quat(canonical=True, scalar_first=True).reshape(*matrices.shape[:-2], 4))


def angle_between(first: Any, second: Any) -> Tensor:
    """Return the geodesic angle, (...) float64 in radians from 0 to pi, between rotations (..., 3, 3)."""
    first, second = np.broadcast_arrays(_checked(first), _checked(second))
    relative = np.swapaxes(first, -1, -2) @ second
    return torch.from_numpy(np.asarray(Rotation.from_matrix(relative.reshape(-1, 3, 3)).magnitude().reshape(first.shape[:-2])))


def _checked(matrices: Any) -> np.ndarray:
    matrices = np.asarray(matrices, np.float64)
    # SciPy would silently replace a reflection or a scaled matrix by the nearest rotation.
    if matrices.shape[-2:] == (3, 3):
        off = np.abs(matrices @ np.swapaxes(matrices, -1, -2) - np.eye(3)).max(initial=0)
        if off < 1e-2 and (np.linalg.det(matrices) > 0).all():
            return matrices
    raise ValueError("a rotation must be (..., 3, 3), orthonormal and without reflection")
