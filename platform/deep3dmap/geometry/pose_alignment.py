"""Bringing estimated cameras into the frame of the true ones.

Cameras that were found without knowing any pose have a frame of their own: what is compared is what is left after the best
similarity.
"""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.geometry.alignment import Similarity3D, umeyama

# Of the longest extent of the centres, below which their second extent counts as none.
COLLINEAR = 1e-6


def align_cameras(estimated: Any, truth: Any, *, scale: bool = True) -> Similarity3D:
    """Return the similarity (rigid with scale=False) that takes the estimated camera centres to the true ones.

    estimated, truth: poses (N, 3 or 4, 4), world from camera; only their centres count, as in rpg_trajectory_evaluation (Zhang
    and Scaramuzza, IROS 2018). Centres near one plane leave a flip by half a turn almost free, and a mirrored solution cannot
    be aligned: look at the rotation errors. Raises ValueError for fewer than three cameras and for centres on one line.
    """
    centres, true_centres = _centres(estimated), _centres(truth)
    if len(centres) >= 3:
        for points, name in ((centres, "estimated"), (true_centres, "true")):
            spread = torch.linalg.svdvals(points - points.mean(0))
            if spread[1] <= COLLINEAR * spread[0]:
                raise ValueError(f"the {name} camera centres lie on one line, so no alignment by them is unique")
    return umeyama(centres, true_centres, scale=scale)


def transform_poses(similarity: Similarity3D, poses: Any) -> Tensor:
    """Move cameras (N, 3 or 4, 4) by a similarity: centres as points, axes turned only. Returns (N, 4, 4) float64."""
    poses = torch.as_tensor(poses).double()
    moved = torch.eye(4, dtype=torch.float64).repeat(len(poses), 1, 1)
    moved[:, :3, :3] = similarity.rotation @ poses[:, :3, :3]
    moved[:, :3, 3] = similarity.apply(poses[:, :3, 3])
    return moved


def inverse_similarity(similarity: Similarity3D) -> Similarity3D:
    """Return the similarity that undoes another; its scale is not 0."""
    turn = similarity.rotation.T
    return Similarity3D(1 / similarity.scale, turn, -turn @ similarity.translation / similarity.scale)


def _centres(poses: Any) -> Tensor:
    poses = torch.as_tensor(poses).detach().double()
    if poses.dim() != 3 or poses.shape[1] not in (3, 4) or poses.shape[2] != 4:
        raise ValueError(f"poses are (N, 3, 4) or (N, 4, 4), got {tuple(poses.shape)}")
    return poses[:, :3, 3]
