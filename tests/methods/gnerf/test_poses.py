"""GNeRF's poses: prior, tables and representations, in cases without golden vectors."""

import numpy as np
import pytest
import torch

from deep3dmap.geometry import cameras
from deep3dmap.methods.gnerf.pose_prior import PosePrior
from deep3dmap.methods.gnerf.pose_table import PoseTable
from deep3dmap.methods.gnerf.pose_vectors import (
    look_at_poses,
    opencv_pose,
    poses_of_vectors,
    rotation_of_rows,
    vectors_of_poses,
)


def test_a_camera_that_looks_at_the_origin_is_the_packages_own() -> None:
    position = torch.tensor([1.0, -2.0, 1.5])
    ours = opencv_pose(look_at_poses(position[None]))[0]
    torch.testing.assert_close(ours.double(), cameras.look_at(position, (0, 0, 0))[:3], atol=1e-6, rtol=0)


def test_the_prior_fills_its_ranges() -> None:
    prior = PosePrior((30, 60), (10, 40), (2, 3))
    poses = prior.sample(2000, torch.Generator().manual_seed(0))
    assert torch.equal(poses, prior.sample(2000, torch.Generator().manual_seed(0)))
    positions = poses[..., 3]
    radius = positions.norm(dim=-1)
    azimuth = torch.rad2deg(torch.atan2(positions[:, 1], positions[:, 0]))
    elevation = torch.rad2deg(torch.asin(positions[:, 2] / radius))
    for values, low, high in ((azimuth, 30, 60), (elevation, 10, 40), (radius, 2, 3)):
        assert low - 1e-3 <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high + 1e-3
        # Uniform in the angle, so the mean is the middle of the range.
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))


def test_an_even_prior_has_as_many_cameras_wherever_the_sphere_is_as_large() -> None:
    prior = PosePrior(elevation=(-10, 80), even=True)
    heights = prior.sample(4000, torch.Generator().manual_seed(0))[:, 2, 3] / 4
    low, high = np.sin(np.radians([-10, 80]))
    # Zones of equal height have equal areas.
    counts = torch.histc(heights, 5, float(low), float(high))
    assert counts.sum() == 4000
    assert ((counts - 800).abs() < 100).all()


def test_a_spread_prior_does_not_look_at_the_origin() -> None:
    poses = PosePrior(spread=0.1).sample(500, torch.Generator().manual_seed(0))
    # Intersections of the optical axes with the ground.
    step = poses[:, 2, 3] / poses[:, 2, 2]
    meets = poses[:, :2, 3] - step[:, None] * poses[:, :2, 2]
    assert meets.std(0).tolist() == pytest.approx([0.4, 0.4], rel=0.15)


def test_six_numbers_give_a_rotation_whatever_they_are() -> None:
    rotation = rotation_of_rows(torch.randn(50, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3, dtype=torch.float64).expand(50, 3, 3))
    np.testing.assert_allclose(torch.linalg.det(rotation), 1)


@pytest.mark.parametrize("mode", ["3d", "6d"])
def test_a_table_learns_poses(mode: str) -> None:
    prior, rng = PosePrior((0, 120), (20, 60)), torch.Generator().manual_seed(0)
    truth, start = prior.sample(5, rng), prior.sample(5, rng)
    table = PoseTable(vectors_of_poses(start, mode), mode)  # type: ignore[arg-type]
    torch.testing.assert_close(table(), start)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (table() - truth).square().sum().backward()
        optimizer.step()
    torch.testing.assert_close(table(torch.tensor([3])), truth[3:4], atol=1e-2, rtol=0)
    torch.testing.assert_close(poses_of_vectors(table.vectors(), mode), table())  # type: ignore[arg-type]


def test_a_table_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match="mode 6d must be"):
        PoseTable(torch.zeros(4, 3), "6d")
