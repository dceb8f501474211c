"""Resampling of position maps and image colours: bilinear functions are reproduced exactly."""

import numpy as np
import pytest
import torch

from deep3dmap.geometry.joint_limits import beyond_limits, pose_limits, pose_sigma
from deep3dmap.geometry.position_maps import colors_at, resample, sample
from deep3dmap.geometry.uv_atlas import nearest_inside


def bilinear(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.stack([2 * u - v, 3 * u * v, 1 + 0 * u])


def map_of(size: int) -> np.ndarray:
    u, v = np.meshgrid(np.linspace(0, 1, size), np.linspace(1, 0, size))
    return bilinear(u, v)


@pytest.mark.parametrize("size", [5, 9, 17])
def test_a_bilinear_map_is_the_same_at_every_size_and_place(size: int) -> None:
    np.testing.assert_allclose(resample(map_of(9), size), map_of(size), atol=1e-6)
    uv = np.random.default_rng(0).random((30, 2))
    np.testing.assert_allclose(sample(map_of(size), uv), bilinear(*uv.T).T, atol=1e-6)
    corners = np.array([(0.0, 0), (1, 0), (0, 1), (1, 1), (-0.5, 0), (1.5, 2)])
    np.testing.assert_allclose(sample(map_of(size), corners)[:4], bilinear(*corners[:4].T).T, atol=1e-6)
    np.testing.assert_allclose(sample(map_of(size), corners)[4:], bilinear(*corners[[0, 3]].T).T, atol=1e-6)


def test_a_map_of_the_wanted_size_is_only_converted() -> None:
    given = np.random.default_rng(0).random((3, 8, 8))
    np.testing.assert_array_equal(resample(given, 8), given.astype(np.float32))


def test_colours_are_read_at_the_centres_of_pixels() -> None:
    picture = np.random.default_rng(0).random((3, 4, 6)).astype(np.float32)
    columns, rows = np.meshgrid(np.arange(6) + 0.5, np.arange(4) + 0.5)
    places = np.stack([columns.ravel(), rows.ravel(), np.full(24, 7.0)], 1)
    np.testing.assert_allclose(colors_at(picture, places), picture.reshape(3, -1).T, atol=1e-6)
    between = np.array([[2.0, 1.5], [-3.0, 0.5], [99.0, 99.0]])
    expected = [(picture[:, 1, 1] + picture[:, 1, 2]) / 2, picture[:, 0, 0], picture[:, 3, 5]]
    np.testing.assert_allclose(colors_at(picture, between), expected, atol=1e-6)


def test_texels_outside_move_to_the_nearest_inside() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((12, 12)) < 0.3
    texels = rng.integers(0, 12, (60, 2))
    moved = nearest_inside(mask, texels)
    assert mask[tuple(moved.T)].all()
    inside = np.argwhere(mask)
    for before, after in zip(texels, moved):
        assert ((after - before) ** 2).sum() == ((inside - before) ** 2).sum(1).min()


def test_limits_of_joints_are_mirrored_and_hold_the_rest_pose() -> None:
    low, high = pose_limits(torch.zeros(1, dtype=torch.float64))
    assert low.shape == high.shape == (63,)
    assert (low <= 0).all()
    assert (high >= 0).all()
    limits = torch.stack([low.view(21, 3), high.view(21, 3)])
    for left, right in ((0, 1), (3, 4), (6, 7), (9, 10), (12, 13), (15, 16), (17, 18), (19, 20)):
        torch.testing.assert_close(limits[:, right, 0], limits[:, left, 0])
        torch.testing.assert_close(limits[:, right, 1:], -limits[:, left, 1:].flip(0))
    assert (pose_sigma(low) > 0).all()
    assert (pose_sigma(low) <= 0.4 * torch.maximum(-low, high)).all()


def test_only_what_leaves_the_limits_costs() -> None:
    low, high = pose_limits(torch.zeros(1, dtype=torch.float64))
    inside = low + torch.rand(5, 63, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * (high - low)
    assert (beyond_limits(inside) == 0).all()
    past = high.repeat(2, 1)
    past[0, 7] += 0.3
    past[1, :2] = low[:2] - torch.tensor([0.1, 0.2])
    torch.testing.assert_close(beyond_limits(past), torch.tensor([0.09, 0.05], dtype=torch.float64))
    past.requires_grad_()
    beyond_limits(past).sum().backward()
    assert past.grad is not None
    assert past.grad[0].nonzero().tolist() == [[7]]
