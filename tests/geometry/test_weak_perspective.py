"""Weak perspective: exact poses are recovered, noisy ones approximately, degenerate ones rejected."""

import pytest
import torch

from deep3dmap.geometry.rotations import angle_between
from deep3dmap.geometry.weak_perspective import (
    euler_xyz_of_rotation,
    fit_affine_camera,
    pose_from_landmarks,
    project_weak_perspective,
    rotation_of_euler_xyz,
    split_affine_camera,
)

ANGLES = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
POINTS = torch.randn(12, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def seen(noise: float = 0.0) -> torch.Tensor:
    translation = torch.tensor([30.0, -4.0, 0.0], dtype=torch.float64)
    pixels = project_weak_perspective(POINTS, torch.tensor(2.5), rotation_of_euler_xyz(ANGLES), translation)[:, :2]
    return pixels + noise * torch.randn(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_an_exact_pose_is_found_again() -> None:
    pose = pose_from_landmarks(POINTS, seen())
    assert float(pose.scale) == pytest.approx(2.5)
    torch.testing.assert_close(pose.rotation, rotation_of_euler_xyz(ANGLES))
    torch.testing.assert_close(euler_xyz_of_rotation(pose.rotation), ANGLES)
    assert pose.translation.tolist() == pytest.approx([30, -4])


def test_a_noisy_pose_is_a_rotation_near_the_true_one() -> None:
    pose = pose_from_landmarks(POINTS, seen(noise=0.05))
    torch.testing.assert_close(pose.rotation @ pose.rotation.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(pose.rotation) == pytest.approx(1)
    assert float(angle_between(pose.rotation, rotation_of_euler_xyz(ANGLES))) < 0.05


def test_gradients_of_the_rotation() -> None:
    assert torch.autograd.gradcheck(rotation_of_euler_xyz, (ANGLES.clone().requires_grad_(),))


def test_degenerate_landmarks_are_refused() -> None:
    flat = POINTS * torch.tensor([1.0, 1.0, 0.0])
    with pytest.raises(ValueError, match="one plane"):
        fit_affine_camera(flat, seen())
    with pytest.raises(ValueError, match="N >= 4"):
        fit_affine_camera(POINTS[:3], seen()[:3])
    for pixels in (seen() * torch.tensor([1.0, 0.0]), seen()[:, :1].expand(12, 2)):
        with pytest.raises(ValueError, match="parallel"):
            split_affine_camera(fit_affine_camera(POINTS, pixels))
