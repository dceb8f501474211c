"""Camera pose errors for known motions, and the chance level against its closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from deep3dmap.geometry.pose_alignment import align_cameras
from deep3dmap.metrics.camera_poses import (
    chance_level,
    pose_errors,
    summarise_pose_errors,
)


def uniform_poses(count: int, generator: torch.Generator) -> torch.Tensor:
    rng = np.random.default_rng(int(torch.randint(2**31, (), generator=generator)))
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    return torch.from_numpy(poses)


def test_known_errors() -> None:
    truth = uniform_poses(4, torch.Generator().manual_seed(0))
    estimated = truth.clone()
    degrees = [0.0, 3.0, 10.0, 170.0]
    turns = Rotation.from_rotvec(np.radians(degrees)[:, None] * np.array([[0.6, 0, 0.8]])).as_matrix()
    estimated[:, :3, :3] = torch.from_numpy(turns) @ truth[:, :3, :3]
    estimated[:, 0, 3] += torch.tensor([0.0, 0.1, 0.2, 0.9], dtype=torch.float64)
    errors = pose_errors(estimated, truth)
    np.testing.assert_allclose(errors.rotation, degrees, atol=1e-6)
    found = summarise_pose_errors(errors)
    assert found["within_5_deg"] == 0.5
    assert found["within_15_deg"] == 0.75
    assert found["rotation_deg"] == pytest.approx(183 / 4)
    assert found["translation"] == pytest.approx(0.3)


def chance_within(degrees: float) -> float:
    """The probability that a uniformly random rotation has a smaller error: Miles, On random rotations in R^3, 1965."""
    angle = math.radians(degrees)
    return (angle - math.sin(angle)) / math.pi


def test_chance_of_random_rotations_equals_its_simulation() -> None:
    truth = uniform_poses(400, torch.Generator().manual_seed(1))
    found = chance_level(truth, uniform_poses, align=None, trials=100)
    assert found["rotation_deg"] == pytest.approx(math.degrees(math.pi / 2 + 2 / math.pi), abs=1)
    # 40000 draws: standard errors of 0.0002 and below.
    assert found["within_15_deg"] == pytest.approx(chance_within(15), abs=5e-4)
    assert found == chance_level(truth, uniform_poses, align=None, trials=100)


def test_alignment_is_part_of_chance() -> None:
    truth = uniform_poses(10, torch.Generator().manual_seed(1))
    raw = chance_level(truth, uniform_poses, align=None, trials=50)
    aligned = chance_level(truth, uniform_poses, align=align_cameras, trials=50)
    assert aligned["translation"] < raw["translation"]


def test_wrong_arguments() -> None:
    truth = uniform_poses(3, torch.Generator())
    with pytest.raises(ValueError, match="3 and 2"):
        pose_errors(truth, truth[:2])
