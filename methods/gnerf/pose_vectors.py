"""Pose vectors of networks and tables: a position, or a position and a 6D rotation.

Poses are camera-to-world (..., 3, 4) with x right, y up, z backward (OpenGL), as in the official code (quan-meng/gnerf);
`opencv_pose` converts them to the package's convention. The world is z up.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

PoseMode = Literal["3d", "6d"]
LENGTHS: dict[PoseMode, int] = {"3d": 3, "6d": 9}


def look_at(positions: Tensor, targets: Tensor | float = 0.0) -> Tensor:
    """Return rotations (..., 3, 3), axes as columns, of cameras at positions (..., 3) that look at targets, with z upwards.

    Differentiable. Straight above or below the target the rotation is undefined; the x and y axes are zero there.
    """
    backward = normalize(positions - targets, dim=-1, eps=1e-5)
    up = torch.zeros_like(backward)
    up[..., 2] = 1
    right = normalize(torch.linalg.cross(up, backward), dim=-1, eps=1e-5)
    return torch.stack([right, normalize(torch.linalg.cross(backward, right), dim=-1, eps=1e-5), backward], -1)


def look_at_poses(positions: Tensor, targets: Tensor | float = 0.0) -> Tensor:
    """Return the poses (..., 3, 4) of `look_at`."""
    return torch.cat([look_at(positions, targets), positions[..., None]], -1)


def rotation_of_rows(six: Tensor) -> Tensor:
    """Convert (..., 6), approximations of the first two ROWS of a rotation, to (..., 3, 3) by Gram-Schmidt orthonormalisation.

    Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019, which uses columns instead.
    """
    first = normalize(six[..., :3], dim=-1)
    second = six[..., 3:] - (first * six[..., 3:]).sum(-1, keepdim=True) * first
    second = normalize(second, dim=-1)
    return torch.stack([first, second, torch.linalg.cross(first, second)], -2)


def vectors_of_poses(poses: Tensor, mode: PoseMode) -> Tensor:
    """Convert poses (..., 3, 4) to vectors: the position (..., 3), with "6d" followed by the first two rows of the rotation."""
    positions = poses[..., 3]
    return positions if mode == "3d" else torch.cat([positions, poses[..., :2, :3].flatten(-2)], -1)


def poses_of_vectors(vectors: Tensor, mode: PoseMode) -> Tensor:
    """Convert vectors (..., 3) or (..., 9) to poses (..., 3, 4); with "3d" the cameras look at the origin."""
    if mode == "3d":
        return look_at_poses(vectors)
    return torch.cat([rotation_of_rows(vectors[..., 3:]), vectors[..., :3, None]], -1)


def opencv_pose(poses: Tensor) -> Tensor:
    """Convert poses (..., 3, 4) between OpenGL and OpenCV camera axes; its own inverse, differentiable."""
    return poses * poses.new_tensor([1.0, -1.0, -1.0, 1.0])
