"""Aligns estimated cameras with the ground truth.

Cameras estimated without known poses are in an arbitrary frame, so errors are measured after the best similarity alignment.
"""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.geometry.alignment import Similarity3D, umeyama

# Ratio of the second to the largest singular value below which the centres count as collinear.
COLLINEAR = 1e-6


def align_cameras(estimated: Any, truth: Any, *, scale: bool = True) -> Similarity3D:
    """Return the least-squares similarity (rigid with scale=False) from the estimated camera centres to the true ones.

    estimated, truth: poses (N, 3 or 4, 4), world from camera; only the centres are used, as in rpg_trajectory_evaluation (Zhang
    and Scaramuzza, IROS 2018). For nearly coplanar centres a flip by 180 degrees is almost undetermined, and mirrored solutions
    cannot be aligned, so check the rotation errors. Raises ValueError for fewer than three cameras and for collinear centres.
    """
    centres, true_centres = _centres(estimated), _centres(truth)
    if len(centres) >= 3:
        for points, name in ((centres, "estimated"), (true_centres, "true")):
            spread = torch.linalg.svdvals(points - points.mean(0))
            if spread[1] <= COLLINEAR * spread[0]:
                raise ValueError(f"the {name} camera centres are collinear, so their alignment is not unique")
    return umeyama(centres, true_centres, scale=scale)


def transform_poses(similarity: Similarity3D, poses: Any) -> Tensor:
    """Transform cameras (N, 3 or 4, 4), world from camera: centres by the similarity, axes by its rotation.

    Returns (N, 4, 4) float64.
    """
    poses = torch.as_tensor(poses).double()
    moved = torch.eye(4, dtype=torch.float64).repeat(len(poses), 1, 1)
    moved[:, :3, :3] = similarity.rotation @ poses[:, :3, :3]
    moved[:, :3, 3] = similarity.apply(poses[:, :3, 3])
    return moved


def inverse_similarity(similarity: Similarity3D) -> Similarity3D:
    """Invert a similarity with non-zero scale."""
    turn = similarity.rotation.T
    return Similarity3D(1 / similarity.scale, turn, -turn @ similarity.translation / similarity.scale)


def _centres(poses: Any) -> Tensor:
    poses = torch.as_tensor(poses).detach().double()
    if poses.dim() != 3 or poses.shape[1] not in (3, 4) or poses.shape[2] != 4:
        raise ValueError(f"poses must be (N, 3, 4) or (N, 4, 4), got {tuple(poses.shape)}")
    return poses[:, :3, 3]
