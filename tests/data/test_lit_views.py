"""Renderings of lit surfaces in calibrated views: closed-form colours, coverage and visibility."""

import numpy as np
import pytest
import torch

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.scenes.view_render import LitSurface, draw_view, inside, project_points, visible
from deep3dmap.geometry.cameras import look_at

INTRINSICS = np.array([[16.0, 0, 8], [0, 16, 8], [0, 0, 1]])
AHEAD = Camera(INTRINSICS, np.eye(4), 16, 16)
SQUARE = np.array([[0, 1, 2], [0, 2, 3]])


def facing(depth: float, low: float, high: float, light: float = 1.0) -> LitSurface:
    """A square [low, high]^2 facing the camera whose albedo encodes position: red grows with x, green with y."""
    corners = np.array([(low, low, depth), (high, low, depth), (high, high, depth), (low, high, depth)])

    def color_of(place: torch.Tensor) -> torch.Tensor:
        return torch.stack([0.5 + place[0] / 4, 0.5 + place[1] / 4, torch.full_like(place[0], 0.25)])

    return LitSurface(corners, SQUARE, np.full((4, 3), light), corners[:, :2].copy(), color_of)


@pytest.mark.parametrize("gamma", [1.0, 2.2])
def test_a_square_shows_its_albedo_times_its_light(gamma: float) -> None:
    backdrop = np.random.default_rng(0).random((3, 16, 16)).astype(np.float32)
    view = draw_view(facing(2.0, -0.5, 0.5, light=0.8), AHEAD, backdrop, 2, gamma)
    # At depth 2 a unit is 8 pixels: the square covers pixels 4 to 12 exactly.
    expected = np.zeros((16, 16), np.float32)
    expected[4:12, 4:12] = 1
    np.testing.assert_array_equal(view.mask, expected)
    np.testing.assert_allclose(view.depth, 2 * expected.repeat(2, 0).repeat(2, 1), atol=1e-6)
    outside = expected == 0
    np.testing.assert_array_equal(view.image[:, outside], backdrop[:, outside])
    samples = (np.arange(8) + 4.25, np.arange(8) + 4.75)  # the two sample columns of each pixel
    red = np.mean([(0.8 * (0.5 + (s - 8) / 8 / 4)) ** (1 / gamma) for s in samples], 0)
    np.testing.assert_allclose(view.image[0, 8, 4:12], red, atol=1e-5)
    np.testing.assert_allclose(view.image[2, 4:12, 4:12], (0.8 * 0.25) ** (1 / gamma), atol=1e-5)


def test_partly_covered_pixels_are_mixed_with_the_backdrop() -> None:
    backdrop = np.ones((3, 16, 16), np.float32)
    view = draw_view(facing(2.0, -0.53125, 0.5), AHEAD, backdrop, 4, 1.0)
    assert view.mask[8, 3] == pytest.approx(0.25)
    assert view.mask[3, 3] == pytest.approx(0.0625)
    assert view.image[2, 8, 3] == pytest.approx(0.25 * 0.25 + 0.75, abs=1e-5)
    assert view.mask.sum() == pytest.approx(8.25**2)


def test_points_land_where_a_pinhole_puts_them() -> None:
    rng = np.random.default_rng(0)
    pose = look_at((1.0, 2.0, -3.0), (0.2, 0.0, 0.1)).numpy()
    camera = Camera(INTRINSICS, pose, 16, 16)
    points = rng.uniform(-0.5, 0.5, (20, 3))
    pixels, depth = project_points(points, camera)
    for point, pixel, along in zip(points, pixels, depth):
        x, y, z = np.linalg.solve(pose, np.append(point, 1))[:3]
        np.testing.assert_allclose(pixel, [16 * x / z + 8, 16 * y / z + 8], rtol=1e-5)
        assert along == pytest.approx(z)
    edges = np.array([(0, 0), (15.9, 15.9), (16, 3), (3, -0.1)], np.float32)
    assert inside(edges, AHEAD).tolist() == [True, True, False, False]


def test_points_are_seen_unless_they_turn_away_or_something_stands_before_them() -> None:
    backdrop = np.zeros((3, 16, 16), np.float32)
    both = facing(2.0, -0.9, 0.9)
    near = facing(1.0, -0.2, 0.2)
    surface = LitSurface(
        np.concatenate([both.vertices, near.vertices]), np.concatenate([SQUARE, SQUARE + 4]),
        np.ones((8, 3)), np.zeros((8, 2)), both.color_of,
    )  # fmt: skip
    view = draw_view(surface, AHEAD, backdrop, 2, 1.0)
    points = np.array([(0.7, 0.7, 2), (0.0, 0.0, 2), (0.0, 0.0, 1), (0.7, 0.7, 2), (2.0, 0, 2), (0.7, 0.7, 2.1), (0.1, 0, -2)])
    towards, away = (0.0, 0.0, -1.0), (0.0, 0.0, 1.0)
    normals = np.array([towards, towards, towards, away, towards, towards, towards])
    # Visible; behind the small square; on it; facing away; outside the image; behind the surface; behind the camera.
    assert visible(points, normals, view, AHEAD).tolist() == [True, False, True, False, False, False, False]
