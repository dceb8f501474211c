"""Depth registered to another camera, against renderings of a surface from both cameras."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from deep3dmap.geometry.depth_registration import register_depth
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.ops import rasterize_camera

SENSOR = np.array([[120.0, 0, 80.5], [0, 118, 59.5], [0, 0, 1]])
COLOR = np.array([[95.0, 0, 70.5], [0, 96, 52.5], [0, 0, 1]])
SIZE = (104, 140)


def seen(intrinsics: NDArray[np.float64], size: tuple[int, int], motion: NDArray[np.float64]) -> NDArray[np.float32]:
    """A ball in front of a wall."""
    vertices, triangles = (torch.from_numpy(part) for part in icosphere(4))
    wall = torch.tensor([[-6.0, -6, 4], [6, -6, 4], [6, 6, 4.5], [-6, 6, 4.5]], dtype=torch.float64)
    points = torch.cat([vertices * 0.6 + torch.tensor([0.1, -0.1, 2.0]), wall])
    faces = torch.cat([triangles, torch.tensor([[0, 1, 2], [0, 2, 3]]) + len(vertices)])
    moved = (points @ torch.from_numpy(motion[:3, :3]).T + torch.from_numpy(motion[:3, 3])).float()
    return rasterize_camera(moved, faces, torch.from_numpy(intrinsics), *size).depth.numpy()


def motion(degrees: float, shift: tuple[float, float, float]) -> NDArray[np.float64]:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("y", degrees, degrees=True).as_matrix()
    pose[:3, 3] = shift
    return pose


@pytest.mark.parametrize("offset", [motion(0, (0, 0, 0)), motion(0, (0.025, 0.002, 0)), motion(1.5, (0.04, 0, 0.01))])
def test_registered_depth_is_what_the_color_camera_sees(offset: NDArray[np.float64]) -> None:
    depth = seen(SENSOR, (120, 160), np.eye(4))
    expected = seen(COLOR, SIZE, offset)
    found = register_depth(depth, SENSOR, COLOR, offset, SIZE)
    both = (found > 0) & (expected > 0)
    assert found.shape == SIZE
    assert found.dtype == np.float32
    assert both.mean() > 0.75
    # Depth may differ by half a pixel on slopes, and at the border between ball and wall.
    assert np.median(np.abs(found - expected)[both]) < 0.004
    assert (np.abs(found - expected)[both] < 0.05).mean() > 0.97


def test_one_camera_changes_nothing() -> None:
    depth = seen(SENSOR, (120, 160), np.eye(4))
    np.testing.assert_array_equal(register_depth(depth, SENSOR, SENSOR, np.eye(4), (120, 160)), depth)


def test_what_the_sensor_does_not_see_is_empty() -> None:
    wide = np.array([[40.0, 0, 80.5], [0, 40, 59.5], [0, 0, 1]])
    found = register_depth(np.full((120, 160), 2.0, np.float32), SENSOR, wide, np.eye(4), (120, 160))
    assert (found[0] == 0).all()
    assert found[60, 80] == 2.0
    # Half the sensor's field of view spans 80.5 / 120 of the distance, which is 27 pixels here.
    assert (found[60] > 0).sum() == pytest.approx(2 * 40 * 80 / 120, abs=1)


def test_the_nearest_measurement_stays() -> None:
    depth = np.zeros((120, 160), np.float32)
    depth[60, 80], depth[60, 81] = 3.0, 1.0
    coarse = np.diag([0.05, 0.05, 1]) @ SENSOR
    found = register_depth(depth, SENSOR, coarse, motion(0, (0, 0, 1e-4)), (6, 8))
    assert found.max() == pytest.approx(1.0, abs=1e-3)
    assert (found > 0).sum() == 1
