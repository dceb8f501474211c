"""Metrics of depth known up to scale: closed forms and invariances."""

import math

import pytest
import torch

from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.metrics.relief_depth import (
    common_pixels,
    mean_absolute_error,
    mean_angle_deviation,
    mean_squared_error,
    scale_invariant_error,
)

CAMERA = ReliefCamera(17)


def plane(slope: float) -> torch.Tensor:
    """A plane through (0, 0, 1) whose depth increases with x."""
    rays = CAMERA.lift(torch.ones(1, 17, 17, dtype=torch.float64))[..., 0]
    return 1 / (1 - slope * rays)


def test_scale_invariant_error() -> None:
    truth = plane(0.5)
    mask = torch.ones_like(truth)
    assert float(scale_invariant_error(1.3 * truth, truth, mask)) == pytest.approx(0, abs=1e-9)
    halves = truth.clone()
    halves[:, :, :8] *= math.e
    mask[:, :, 16] = 0
    # Half of the pixels are off by 1 in log depth: a standard deviation of 0.5.
    assert float(scale_invariant_error(halves, truth, mask)) == pytest.approx(0.5)


def test_mean_angle_deviation() -> None:
    truth, tilted = plane(0.0), plane(math.tan(math.radians(30)))
    mask = common_pixels(truth, torch.ones_like(truth), background=2.0)
    assert float(mean_angle_deviation(truth, truth, mask, CAMERA, exact=True)) == pytest.approx(0, abs=1e-3)
    assert float(mean_angle_deviation(tilted, truth, mask, CAMERA, exact=True)) == pytest.approx(30, abs=1e-3)
    # With the published definition, equal maps do not have a deviation of 0.
    assert 1 < float(mean_angle_deviation(truth, truth, mask, CAMERA)) < 2


def test_plain_errors() -> None:
    truth = plane(0.2)
    mask = torch.zeros_like(truth)
    mask[:, 3:5, 3:5] = 1
    predicted = truth + 0.5
    predicted[:, 0] = 9
    assert float(mean_absolute_error(predicted, truth, mask)) == pytest.approx(0.5)
    assert float(mean_squared_error(predicted, truth, mask)) == pytest.approx(0.25)


def test_common_pixels_lose_a_ring() -> None:
    truth = torch.ones(2, 9, 9)
    truth[0, 0] = 2
    truth[1, :, 6:] = 3
    valid = torch.ones(2, 9, 9)
    valid[0, 8, 4] = 0
    mask = common_pixels(truth, valid)
    assert mask[0, 2:7, 1:8].all()
    assert mask[0].sum() == 5 * 7 + 4
    assert mask[0, 7].tolist() == [0, 1, 1, 0, 0, 0, 1, 1, 0]
    assert mask[1].sum() == 7 * 4
    # A common background for both maps, which no depth of the first one reaches.
    assert common_pixels(truth, valid, background=3.0)[0, 1].sum() == 7


def test_an_empty_mask_is_not_a_good_result() -> None:
    truth = plane(0.1)
    nothing = torch.zeros_like(truth)
    assert scale_invariant_error(truth, truth, nothing).isnan().all()
    assert mean_angle_deviation(truth, truth, nothing, CAMERA).isnan().all()
