"""Scans of two cameras: position of the colour camera, its depth, and lazy reading."""

import numpy as np
import pytest

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.rgbd_scan import RgbdCameras, make_scan, pinhole

INTRINSICS = pinhole([20, 20, 15.5, 11.5], "a test")
ASIDE = np.eye(4)
ASIDE[0, 3] = -0.1  # the depth camera is 10 cm to the left of the colour camera


def poses() -> np.ndarray:
    turned = np.eye(4)
    turned[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    turned[:3, 3] = (1, 2, 3)
    return np.stack([np.eye(4), turned])


def depths() -> list[np.ndarray]:
    return [np.full((24, 32), 2.0, np.float32), np.full((24, 32), 4.0, np.float32)]


def images() -> list[np.ndarray]:
    return [np.zeros((3, 24, 32), np.float32)] * 2


def test_one_camera_gives_its_depth_as_it_is() -> None:
    cameras = RgbdCameras(INTRINSICS, INTRINSICS.copy(), np.eye(4))
    assert cameras.alike
    given = depths()
    scan = make_scan(images(), given, cameras, poses(), (24, 32))
    assert scan.depths is given
    assert scan.true_depths is given
    np.testing.assert_array_equal(scan.world_from_camera, poses())
    assert scan.intrinsics.shape == scan.depth_intrinsics.shape == (2, 3, 3)


def test_the_colour_camera_stands_beside_the_depth_camera() -> None:
    """A point seen by the depth camera has the same world position when computed from either camera."""
    cameras = RgbdCameras(pinhole([25, 25, 15.5, 11.5], "a test"), INTRINSICS, ASIDE)
    assert not cameras.alike
    scan = make_scan(images(), depths(), cameras, poses(), (24, 32))
    point = np.array([0.3, -0.2, 2.0, 1.0])  # in the depth camera
    for world_from_depth, world_from_color in zip(poses(), scan.world_from_camera):
        np.testing.assert_allclose(world_from_color @ (ASIDE @ point), world_from_depth @ point, atol=1e-12)


def test_depth_moves_with_the_distance_between_the_cameras() -> None:
    """At depth z, the image shifts by f b / z: 1 pixel at 2 m and half a pixel at 4 m for f = 20 and b = 0.1."""
    rows = np.arange(24)[:, None] * np.ones(32)
    ramp = [np.where(rows < 12, 2.0, 1.0).astype(np.float32)]
    scan = make_scan(images()[:1], ramp, RgbdCameras(INTRINSICS, INTRINSICS, ASIDE), poses()[:1], (24, 32))
    seen = scan.depths[0]
    np.testing.assert_allclose(seen[:12, :31], 2.0)
    np.testing.assert_allclose(seen[12:, :30], 1.0)
    assert (seen[:12, 31:] == 0).all(), "beyond the sensor's view"
    assert (seen[12:, 30:] == 0).all()
    assert scan.true_depths is scan.depths
    assert scan.sensor_depths is ramp


def test_depth_is_registered_when_it_is_asked_for() -> None:
    class Counted(list):  # type: ignore[type-arg]
        asked = 0

        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            Counted.asked += 1
            return super().__getitem__(index)

    exact = depths()
    scan = make_scan(images(), Counted(depths()), RgbdCameras(INTRINSICS, INTRINSICS, ASIDE), poses(), (24, 32), exact)
    assert Counted.asked == 0
    assert scan.depths[1].max() == 4.0
    assert Counted.asked == 1
    assert scan.true_depths is exact


@pytest.mark.parametrize("values", [[20, 20, 15], [0, 20, 15, 11], [20, -1, 15, 11], [20, 20, np.nan, 11]])
def test_cameras_that_cannot_be_are_named(values: list[float]) -> None:
    with pytest.raises(UserError, match=r"^dataset\.color_camera: must be fx, fy, cx, cy in pixels"):
        pinhole(values, "dataset.color_camera")


def test_integer_centres_become_halves() -> None:
    assert pinhole([525, 520, 319.5, 239.5], "x").tolist() == [[525, 0, 320], [0, 520, 240], [0, 0, 1]]
