"""Cameras of procedural scenes: closed-form projections and documented ranges."""

import numpy as np
import pytest

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.scenes.orbit_cameras import Orbit, sample_cameras
from deep3dmap.data.scenes.rooms_camera import pinhole
from deep3dmap.data.scenes.sphere_cameras import DISTANCE, FIELD_OF_VIEW, orbiting_cameras, scattered_cameras, square_intrinsics
from deep3dmap.geometry.cameras import nearest_to_axes, project

TARGET = np.array([0.2, 1.1, -0.4])
ORBIT = Orbit(
    views=12, yaws=(-60.0, 60.0), jitter=2.0, pitches=(-10.0, 25.0), field_of_view=(20.0, 35.0), extent=(0.5, 0.8), roll=4.0
)


def angles(camera: Camera) -> tuple[float, float, float]:
    """Return yaw, pitch, roll in degrees, from the camera's position and the direction of the world's y axis in the image."""
    away = camera.world_from_camera[:3, 3] - TARGET
    yaw, pitch = np.arctan2(away[0], away[2]), np.arcsin(away[1] / np.linalg.norm(away))
    up = camera.world_from_camera[:3, :3].T @ (0, 1, 0)
    return tuple(np.degrees([yaw, pitch, np.arctan2(up[0], -up[1])]))  # type: ignore[return-value]


def test_orbiting_cameras_look_at_their_target_from_where_they_were_asked_to() -> None:
    cameras = sample_cameras(np.random.default_rng(0), ORBIT, TARGET, 200)
    wanted = np.linspace(-60, 60, 12)
    for camera, yaw in zip(cameras, wanted, strict=True):
        pixels, depth = project(TARGET[None], camera.intrinsics, camera.camera_from_world)
        np.testing.assert_allclose(pixels[0], camera.intrinsics[:2, 2], atol=1e-9)
        assert np.abs(camera.intrinsics[:2, 2] / 200 - 0.5).max() <= ORBIT.offset
        found_yaw, pitch, roll = angles(camera)
        assert abs(found_yaw - yaw) <= 2.0 + 1e-9
        assert -10 <= pitch <= 25
        assert abs(roll) <= 4 + 1e-9
        focal = camera.intrinsics[0, 0]
        assert 20 <= np.degrees(2 * np.arctan(100 / focal)) <= 35
        assert 0.5 <= float(depth) * 200 / focal <= 0.8, "metres across the picture at the target"


def test_a_full_circle_has_no_camera_twice_and_one_camera_stands_in_the_middle() -> None:
    still = {"jitter": 0.0, "pitches": (0.0, 0.0), "field_of_view": (30.0, 30.0), "extent": (1.0, 1.0), "roll": 0.0}
    circle = sample_cameras(np.random.default_rng(0), Orbit(views=4, yaws=(0.0, 360.0), **still), TARGET, 64)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.mod([angles(camera)[0] for camera in circle], 360), [0, 90, 180, 270], atol=1e-6)
    (one,) = sample_cameras(np.random.default_rng(0), Orbit(views=1, yaws=(10.0, 50.0), **still), TARGET, 64)  # type: ignore[arg-type]
    np.testing.assert_allclose(angles(one), [30, 0, 0], atol=1e-6)


@pytest.mark.parametrize(("lowest", "highest"), [(-10.0, 80.0), (0.0, 30.0)])
def test_scattered_cameras_are_spread_evenly_over_the_sphere(lowest: float, highest: float) -> None:
    """Equal height intervals have equal areas on a sphere (Archimedes), so each contains one camera."""
    count = 50
    cameras = scattered_cameras(count, 64, np.random.default_rng(3), lowest, highest)
    eyes = np.stack([camera.world_from_camera[:3, 3] for camera in cameras])
    np.testing.assert_allclose(np.linalg.norm(eyes, axis=1), DISTANCE)
    low, high = np.sin(np.radians([lowest, highest]))
    share = (eyes[:, 2] / DISTANCE - low) / (high - low)
    assert sorted(np.floor(share * count).astype(int)) == list(range(count))
    np.testing.assert_allclose(nearest_to_axes(np.stack([c.world_from_camera for c in cameras])), 0, atol=1e-9)
    azimuth = np.arctan2(eyes[:, 1], eyes[:, 0])
    assert np.bincount(((azimuth + np.pi) // (np.pi / 4)).astype(int) % 8, minlength=8).min() >= 3


def test_cameras_go_once_around_and_swing_twice() -> None:
    cameras = orbiting_cameras(16, 64, elevation=30.0, swing=12.0)
    eyes = np.stack([camera.world_from_camera[:3, 3] for camera in cameras])
    azimuth = np.degrees(np.unwrap(np.arctan2(eyes[:, 1], eyes[:, 0])))
    np.testing.assert_allclose(azimuth, 22.5 * np.arange(16), atol=1e-9)
    elevation = np.degrees(np.arcsin(eyes[:, 2] / DISTANCE))
    np.testing.assert_allclose(elevation, 30 + 12 * np.sin(np.radians(2 * azimuth)), atol=1e-9)


def test_cameras_see_the_angle_they_are_given() -> None:
    for intrinsics, half in (
        (square_intrinsics(100, FIELD_OF_VIEW), FIELD_OF_VIEW / 2),
        (pinhole(640, 480), np.arctan(0.5 / 0.8)),
    ):
        edge = np.array([[np.tan(half), 0.0, 1.0], [-np.tan(half), 0.0, 1.0], [0.0, 0.0, 1.0]])
        pixels = edge @ intrinsics.T
        width = 2 * intrinsics[0, 2]
        np.testing.assert_allclose(pixels[:, 0], [width, 0, width / 2], atol=1e-9)
        np.testing.assert_allclose(pixels[:, 1], intrinsics[1, 2])
