"""Bounds of camera frusta and depth maps, against boxes computed by hand."""

import math

import numpy as np
import pytest
import torch

from deep3dmap.geometry import frusta
from deep3dmap.geometry.cameras import look_at

# A field of view of 90 degrees: at depth d the image spans from -d to d.
INTRINSICS = np.array([[50.0, 0.0, 50.0], [0.0, 50.0, 50.0], [0.0, 0.0, 1.0]])


def test_bounds_of_one_wide_view_that_starts_at_the_camera() -> None:
    lower, upper = frusta.bounds([INTRINSICS], [np.eye(4)], 100, 60, 0.0, 2.0)
    # The principal point is 50 rows down, the image 60 rows high.
    assert lower.tolist() == pytest.approx([-2.0, -2.0, 0.0])
    assert upper.tolist() == pytest.approx([2.0, 0.4, 2.0])


def test_bounds_of_two_opposite_cameras() -> None:
    poses = np.stack([look_at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)), look_at((1.0, 0.0, 0.0), (0.0, 0.0, 0.0))])
    lower, upper = frusta.bounds([INTRINSICS, INTRINSICS], poses, 100, 100, 0.5, 3.0)
    assert lower.tolist() == pytest.approx([-2.0, -3.0, -3.0])
    assert upper.tolist() == pytest.approx([3.0, 3.0, 3.0])


@pytest.mark.parametrize(("near", "far", "count"), [(1.0, 1.0, 1), (-1.0, 2.0, 1), (0.1, 2.0, 0)])
def test_senseless_limits_are_refused(near: float, far: float, count: int) -> None:
    with pytest.raises(ValueError, match="near < far"):
        frusta.bounds([INTRINSICS] * count, [np.eye(4)] * count, 100, 100, near, far)


def test_bounds_of_depths_hold_only_valid_pixels() -> None:
    depth = torch.zeros(100, 100)
    depth[0, 0], depth[99, 99], depth[50, 50] = 2.0, 1.0, 9.0
    depth[3, 3] = math.nan
    lower, upper = frusta.bounds_of_depths(
        [depth.numpy(), torch.zeros(100, 100)], [INTRINSICS] * 2, [np.eye(4)] * 2, 5.0, stride=1
    )
    assert lower.tolist() == pytest.approx([-1.98, -1.98, 1.0])
    assert upper.tolist() == pytest.approx([0.99, 0.99, 2.0])


def test_a_stride_looks_at_every_nth_pixel() -> None:
    depth = torch.zeros(8, 8)
    depth[4, 4], depth[5, 5] = 1.0, 3.0
    lower, upper = frusta.bounds_of_depths([depth], [INTRINSICS], [np.eye(4)], math.inf, stride=4)
    assert lower[2] == upper[2] == 1.0


def test_nothing_seen_has_no_bounds() -> None:
    assert frusta.bounds_of_depths([torch.zeros(4, 4)], [INTRINSICS], [np.eye(4)], math.inf) is None
