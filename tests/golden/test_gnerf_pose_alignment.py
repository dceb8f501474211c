"""Alignment and errors of camera poses against rpg_trajectory_evaluation, as GNeRF is scored."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.pose_alignment import align_cameras, transform_poses
from deep3dmap.methods.gnerf.pose_prior import PosePrior
from deep3dmap.metrics.camera_poses import chance_level, pose_errors, summarise_pose_errors

Load = Callable[[str], Any]
STATISTICS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda errors: errors.square().mean().sqrt(),
    torch.mean,
    lambda errors: torch.quantile(errors, 0.5),
    lambda errors: errors.std(correction=0),
    torch.min,
    torch.max,
)


def poses_of(part: Any, name: str) -> Tensor:
    return torch.cat([part.tensor(f"{name}_R"), part.tensor(f"{name}_centers")[..., None]], -1)


def test_alignment_and_errors(load_part: Load) -> None:
    part = load_part("gnerf/pose_alignment")
    estimated, truth = poses_of(part, "est"), poses_of(part, "gt")
    alignment = align_cameras(estimated, truth)
    assert alignment.scale == pytest.approx(float(part.arrays["s"][0]), rel=1e-6)
    np.testing.assert_allclose(alignment.rotation, part.arrays["R"], atol=1e-6)
    np.testing.assert_allclose(alignment.translation, part.arrays["t"], atol=1e-6)
    moved = transform_poses(alignment, estimated)
    np.testing.assert_allclose(moved[:, :3, 3], part.arrays["aligned_centers"], atol=1e-6)
    np.testing.assert_allclose(moved[:, :3, :3], part.arrays["aligned_R"], atol=1e-6)
    errors = pose_errors(estimated, truth, alignment)
    np.testing.assert_allclose(errors.translation, part.arrays["e_trans"], atol=1e-6)
    np.testing.assert_allclose(errors.rotation, part.arrays["e_rot_deg"], atol=1e-6)
    for values, name in ((errors.translation, "stats_trans"), (errors.rotation, "stats_rot")):
        np.testing.assert_allclose([float(statistic(values)) for statistic in STATISTICS], part.arrays[name], rtol=1e-6)
    assert summarise_pose_errors(errors)["rotation_deg"] == pytest.approx(part.arrays["stats_rot"][1])


def test_rigid_alignment(load_part: Load) -> None:
    part = load_part("gnerf/pose_alignment")
    estimated, truth = poses_of(part, "est"), poses_of(part, "gt")
    alignment = align_cameras(estimated, truth, scale=False)
    np.testing.assert_allclose(alignment.rotation, part.arrays["se3_R"], atol=1e-6)
    np.testing.assert_allclose(alignment.translation, part.arrays["se3_t"], atol=1e-6)
    np.testing.assert_allclose(pose_errors(estimated, truth, alignment).translation, part.arrays["se3_e_trans"], atol=1e-6)


def test_what_was_mirrored_cannot_be_aligned(load_part: Load) -> None:
    part = load_part("gnerf/pose_alignment")
    estimated, truth = poses_of(part, "est"), poses_of(part, "gt")
    estimated[:, 2, 3] *= -1
    alignment = align_cameras(estimated, truth)
    errors = pose_errors(estimated, truth, alignment)
    assert alignment.scale == pytest.approx(float(part.arrays["mirrored_s"][0]), rel=1e-6)
    np.testing.assert_allclose(alignment.rotation, part.arrays["mirrored_R"], atol=1e-6)
    np.testing.assert_allclose(errors.translation, part.arrays["mirrored_e_trans"], atol=1e-6)
    np.testing.assert_allclose(errors.rotation, part.arrays["mirrored_e_rot_deg"], atol=1e-6)


def test_chance_level_of_the_prior(load_part: Load) -> None:
    part = load_part("gnerf/pose_alignment")
    reference = part.arrays["prior_mean_errors"]
    found = chance_level(poses_of(part, "gt"), PosePrior().sample, align_cameras, trials=len(reference))
    # Two simulations with other random numbers: their means differ by their standard errors.
    for name, column in (("translation", 0), ("rotation_deg", 1)):
        tolerance = 4 * np.sqrt(2) * reference[:, column].std() / np.sqrt(len(reference))
        assert found[name] == pytest.approx(reference[:, column].mean(), abs=tolerance)
