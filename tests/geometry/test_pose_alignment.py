"""Alignment of cameras: known transforms are recovered, and ambiguous problems are rejected."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from deep3dmap.geometry.alignment import Similarity3D
from deep3dmap.geometry.pose_alignment import align_cameras, inverse_similarity, transform_poses
from deep3dmap.geometry.rotations import matrix_of_axis_angle

MOTION = Similarity3D(1.7, matrix_of_axis_angle([0.4, -0.2, 1.1]), torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64))


def random_poses(count: int = 12, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    return torch.from_numpy(poses)


def test_a_similarity_comes_back_and_is_undone() -> None:
    poses = random_poses()
    moved = transform_poses(MOTION, poses)
    found = align_cameras(poses[:, :3], moved)
    assert found.scale == pytest.approx(1.7)
    torch.testing.assert_close(found.rotation, MOTION.rotation)
    torch.testing.assert_close(transform_poses(inverse_similarity(MOTION), moved), poses)
    # Centres transform as points, axes only rotate.
    torch.testing.assert_close(moved[:, :3, 3], MOTION.apply(poses[:, :3, 3]))
    torch.testing.assert_close(torch.linalg.det(moved[:, :3, :3]), torch.ones(12, dtype=torch.float64))


def test_what_has_no_unique_answer_is_refused() -> None:
    poses = random_poses()
    line = poses.clone()
    line[:, :3, 3] = torch.arange(12.0, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
    with pytest.raises(ValueError, match="the estimated camera centres are collinear"):
        align_cameras(line, poses)
    with pytest.raises(ValueError, match="the true camera centres are collinear"):
        align_cameras(poses, line)
    with pytest.raises(ValueError, match="N >= 3"):
        align_cameras(poses[:2], poses[:2])
    with pytest.raises(ValueError, match="poses must be"):
        align_cameras(poses[0], poses[0])
