"""Head pose against the values of 3DDFA and face3d."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.geometry import face_pose
from deep3dmap.geometry.face_pose import HeadPose


@pytest.fixture(scope="module")
def vectors(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "prnet" / "pose_3ddfa" / "io.npz") as arrays:
        return dict(arrays)


def test_rotation_and_projection_equal_the_official_ones(vectors: dict[str, np.ndarray]) -> None:
    height = int(vectors["image_h"])
    for i, angles in enumerate(vectors["angles_rad"]):
        pose = HeadPose(angles, vectors["t3d"][i], float(vectors["scale"][i]))
        np.testing.assert_allclose(pose.rotation, vectors["R_3ddfa"][i], atol=1e-6)
        np.testing.assert_allclose(pose.fit(vectors["vertices"]), vectors["camera_vertices"][i], atol=1e-3)
        official = vectors["image_vertices"][i] + (0.5, 0.5, 0)
        np.testing.assert_allclose(pose.image(vectors["vertices"], height, one_based=False), official, atol=1e-3)


def test_angles_return() -> None:
    for angles in np.random.default_rng(0).uniform(-1.5, 1.5, (20, 3)):
        np.testing.assert_allclose(face_pose.angles_of_rotation(face_pose.rotation_of_angles(angles)), angles, atol=1e-9)
    upright = face_pose.rotation_of_angles(np.array([0.3, np.pi / 2, 0.2]))
    again = face_pose.rotation_of_angles(face_pose.angles_of_rotation(upright))
    np.testing.assert_allclose(again, upright, atol=1e-6)


def test_signs() -> None:
    nose = np.array([[0, 0, 100.0]])
    turned = {
        name: HeadPose(np.array(angles), np.array([200.0, 200, 0]), 1.0).image(nose, 400)[0]
        for name, angles in (("still", (0, 0, 0)), ("yaw", (0, 0.5, 0)), ("pitch", (0.5, 0, 0)))
    }
    assert turned["yaw"][0] < turned["still"][0] - 40
    assert turned["pitch"][1] < turned["still"][1] - 40


def test_matlab_counts_from_one() -> None:
    pose = HeadPose(np.zeros(3), np.zeros(3), 1.0)
    # The centre of the upper left pixel of an image 100 pixels high is (1, 100), one-based with y up.
    np.testing.assert_allclose(pose.image(np.array([[1, 100, 5.0]]), 100), [[0.5, 0.5, 5]])
    # Zero-based, as in face3d, this pixel is (0, 99).
    np.testing.assert_allclose(pose.image(np.array([[0, 99, 5.0]]), 100, one_based=False), [[0.5, 0.5, 5]])


def test_parameters_round_trip() -> None:
    stored = np.array([[-0.1, 0.7, 0.05, 183.5, 189.5, -81.7, 1.3e-3]], np.float32)
    again = HeadPose.from_parameters(stored).parameters()
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, stored)
    with pytest.raises(ValueError, match="got 6 numbers"):
        HeadPose.from_parameters(np.zeros(6))
