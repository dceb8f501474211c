"""The pinhole camera and its conventions.

Right-handed world in metres; OpenCV camera axes (x right, y down, z forward); pixel (row r, column c) has its centre at
(x, y) = (c + 0.5, r + 0.5). Readers convert formats with other conventions, see docs/conventions.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    intrinsics: (3, 3) float64 in pixels. world_from_camera: (4, 4) float64 rigid pose. width, height: in pixels.
    """

    intrinsics: NDArray[np.float64]
    world_from_camera: NDArray[np.float64]
    width: int
    height: int

    @property
    def camera_from_world(self) -> NDArray[Any]:
        """The inverse pose, (4, 4) float64."""
        return np.linalg.inv(self.world_from_camera)


def cameras_of(intrinsics: Any, world_from_camera: Any, height: int, width: int) -> list[Camera]:
    """Return a camera for each of V intrinsics (V, 3, 3) and poses (V, 4, 4), all with the same image size."""
    pairs = zip(np.asarray(intrinsics, np.float64), np.asarray(world_from_camera, np.float64), strict=True)
    return [Camera(matrix, pose, width, height) for matrix, pose in pairs]


def check_pose(pose: NDArray[Any], source: str, tolerance: float = 1e-2) -> NDArray[Any]:
    """Return `pose` as float64 if it is a finite rigid (4, 4) transform; otherwise raises UserError naming `source`.

    `tolerance` bounds the entries of |R R^T - I|: numbers in files are rounded, and trackers return slightly inexact rotations.
    """
    pose = np.asarray(pose, dtype=np.float64)
    if pose.shape != (4, 4):
        raise UserError(f"{source}: a pose must be a 4x4 matrix, got {pose.shape}; check the file")
    if not np.isfinite(pose).all():
        raise UserError(f"{source}: the pose contains NaN or infinity; drop the frame or repair the file")
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > tolerance or np.linalg.det(rotation) < 0:
        raise UserError(f"{source}: the upper left 3x3 is not a rotation; poses are rigid camera-to-world matrices")
    if np.abs(pose[3] - (0, 0, 0, 1)).max() > 1e-6:
        raise UserError(f"{source}: the last row of a pose must be 0 0 0 1, got {pose[3].tolist()}")
    return pose
