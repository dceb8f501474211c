"""Errors of estimated camera poses, and the chance level of these errors."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.alignment import Similarity3D
from deep3dmap.geometry.pose_alignment import transform_poses
from deep3dmap.geometry.rotations import angle_between

Alignment = Callable[[Tensor, Tensor], Similarity3D]


class PoseErrors(NamedTuple):
    """Errors of N cameras. rotation: (N,) degrees. translation: (N,) distance of the centres in units of the truth."""

    rotation: Tensor
    translation: Tensor


def pose_errors(estimated: Any, truth: Any, alignment: Similarity3D | None = None) -> PoseErrors:
    """Compare poses (N, 3 or 4, 4), world from camera, after transforming the estimated ones by `alignment`.

    The absolute errors of rpg_trajectory_evaluation (Zhang and Scaramuzza, IROS 2018), per camera. Raises ValueError for
    different numbers of poses, or none.
    """
    moved = transform_poses(alignment or Similarity3D.identity(), estimated)
    truth = torch.as_tensor(truth).double()
    if len(truth) != len(moved) or not len(truth):
        raise ValueError(
            f"there must be equally many estimated and true poses, and at least one, got {len(moved)} and {len(truth)}"
        )
    angles = torch.rad2deg(angle_between(moved[:, :3, :3], truth[:, :3, :3]))
    return PoseErrors(angles, (moved[:, :3, 3] - truth[:, :3, 3]).norm(dim=1))


def summarise_pose_errors(errors: PoseErrors) -> dict[str, float]:
    """Return means and medians, and the fractions of cameras with rotation errors below 5 and 15 degrees."""
    rotation, translation = errors
    return {
        "rotation_deg": rotation.mean().item(),
        "rotation_median_deg": rotation.median().item(),
        "translation": translation.mean().item(),
        "translation_median": translation.median().item(),
        "within_5_deg": (rotation < 5).double().mean().item(),
        "within_15_deg": (rotation < 15).double().mean().item(),
    }


def chance_level(
    truth: Any, draw: Callable[[int, torch.Generator], Tensor], align: Alignment | None, trials: int = 200, seed: int = 0
) -> dict[str, float]:
    """Return the average of `summarise_pose_errors` over random poses.

    draw(N, generator): returns N random poses (N, 3 or 4, 4), usually from the prior given to the method. align(estimated,
    truth): the alignment of the protocol, or None. As alignment also fits random poses, the result differs from the error of
    random rotations and depends on the number of cameras. Simulated with `trials` draws; deterministic for a given seed.
    """
    generator = torch.Generator().manual_seed(seed)
    truth = torch.as_tensor(truth)
    summaries = []
    for _ in range(trials):
        random_poses = draw(len(truth), generator)
        summaries.append(summarise_pose_errors(pose_errors(random_poses, truth, align(random_poses, truth) if align else None)))
    return {name: sum(summary[name] for summary in summaries) / trials for name in summaries[0]}
