"""Pose and frontalisation of clouds with known results."""

import numpy as np
import pytest

from deep3dmap.geometry.face_pose import HeadPose
from deep3dmap.geometry.frontalise import frontalised, pose_of_cloud

CLOUD = np.random.default_rng(0).normal(0, [60, 80, 30], (200, 3))
IMAGE_AXES = np.array([1, -1, 1])


@pytest.mark.parametrize("angles", [(0.1, 0.5, -0.2), (-0.4, -0.9, 0.3), (0, 0, 0)])
def test_a_projected_model_has_the_pose_it_was_given(angles: tuple[float, float, float]) -> None:
    pose = HeadPose(np.array(angles, float), np.array([60.0, 75, 4]), 0.7)
    found = pose_of_cloud(pose.image(CLOUD, 120), CLOUD * IMAGE_AXES)
    np.testing.assert_allclose(found.angles, angles, atol=1e-6)
    assert found.scale == pytest.approx(0.7)


def test_a_turned_and_stretched_face_comes_back_to_the_front() -> None:
    turned = HeadPose(np.array([0.2, 0.6, 0.1]), np.zeros(3), 2.0).image(CLOUD * (1.1, 1, 0.9), 100)
    np.testing.assert_allclose(frontalised(turned, CLOUD * IMAGE_AXES), CLOUD * IMAGE_AXES, atol=1e-6)
