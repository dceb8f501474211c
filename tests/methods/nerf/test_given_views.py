"""The photographs that a field is fitted to: the rays of pixels, and the scene's own light in a pixel."""

from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.core import UserError
from deep3dmap.geometry.cameras import look_at, project
from deep3dmap.methods.nerf.given_views import GivenViews

HEIGHT, WIDTH, VIEWS = 5, 7, 3
INTRINSICS = np.array([[9.0, 0, 3.2], [0, 8.0, 2.6], [0, 0, 1]])
EYES = ((0.0, -3.0, 1.0), (3.0, 0.5, 0.2), (-2.0, 2.0, 2.0))
CPU = torch.device("cpu")


def given(**changes: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {
        "images": random.random((VIEWS, 3, HEIGHT, WIDTH), np.float32),
        "intrinsics": np.tile(INTRINSICS, (VIEWS, 1, 1)),
        "world_from_camera": np.stack([look_at(eye, (0.0, 0, 0)).numpy() for eye in EYES]),
        "bounds": np.array([[-1.0] * 3, [1.0] * 3]),
    } | changes


def masks() -> np.ndarray:
    return np.random.default_rng(1).random((VIEWS, HEIGHT, WIDTH), np.float32)


def drawn(views: GivenViews, count: int = 400) -> tuple[Any, np.ndarray, np.ndarray]:
    """A batch, with the view and the pixel (row, column) through which each ray was cast, derived from the ray alone."""
    batch = views.draw(count, torch.Generator().manual_seed(0))
    view = np.abs(batch.rays.origins[:, None].numpy() - np.array(EYES)[None]).sum(2).argmin(1)
    places = batch.rays.origins + 2 * batch.rays.directions
    pixels = np.zeros((count, 2))
    for one in range(VIEWS):
        seen, depth = project(places[view == one].double(), INTRINSICS, np.linalg.inv(views.poses[one]))
        assert (depth > 0).all()
        pixels[view == one] = seen
    return batch, view, pixels[:, ::-1]


def test_a_ray_goes_through_the_middle_of_the_pixel_whose_colour_it_has() -> None:
    views = GivenViews(given(), CPU)
    batch, view, pixels = drawn(views)
    np.testing.assert_allclose(pixels % 1, 0.5, atol=1e-4)
    row, column = pixels.astype(int).T
    np.testing.assert_array_equal(batch.light, given()["images"][view, :, row, column])
    assert (batch.alpha == 1).all()
    # Every pixel of every view is sampled at some point.
    assert len({*zip(view.tolist(), row.tolist(), column.tolist())}) > 0.9 * VIEWS * HEIGHT * WIDTH
    torch.testing.assert_close(batch.rays.directions.norm(dim=1), torch.ones(400))


def test_the_same_generator_draws_the_same_pixels() -> None:
    views = GivenViews(given(), CPU)
    first, again, other = (views.draw(50, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.light, again.light)
    assert not torch.equal(first.light, other.light)


def test_a_known_background_is_taken_off_again() -> None:
    behind = np.array([0.2, 0.5, 1.0], np.float32)
    objects, alpha = given()["images"], masks()
    laid = objects * alpha[:, None] + (1 - alpha[:, None]) * behind[:, None, None]
    batch, view, pixels = drawn(GivenViews(given(images=laid, masks=alpha, background=behind), CPU))
    row, column = pixels.astype(int).T
    expected = objects[view, :, row, column] * alpha[view, row, column, None]
    np.testing.assert_allclose(batch.light, expected, atol=1e-6)
    np.testing.assert_array_equal(batch.alpha, alpha[view, row, column])


def test_without_a_background_a_mask_blackens_what_is_not_the_scenes() -> None:
    alpha = masks()
    views = GivenViews(given(masks=alpha), CPU)
    batch, view, pixels = drawn(views)
    row, column = pixels.astype(int).T
    np.testing.assert_allclose(batch.light, given()["images"][view, :, row, column] * alpha[view, row, column, None], atol=1e-6)
    wanted = (given()["images"] * alpha[:, None]).mean((0, 2, 3))
    np.testing.assert_allclose(views.mean_light(), wanted, atol=1e-6)


def test_a_background_without_masks_changes_no_pixel() -> None:
    views = GivenViews(given(background=np.ones(3, np.float32)), CPU)
    assert not views.masked
    np.testing.assert_allclose(views.mean_light(), given()["images"].mean((0, 2, 3)), atol=1e-6)


def test_a_camera_within_the_bounds_is_fine_where_its_mask_shows_the_way_out() -> None:
    inside = np.stack([look_at(eye, (0.0, 0, 0)).numpy() for eye in ((0.5, 0, 0), *EYES[1:])])
    full = np.ones((VIEWS, HEIGHT, WIDTH), np.float32)
    with pytest.raises(UserError, match="camera 0 is inside the object"):
        GivenViews(given(world_from_camera=inside, masks=full), CPU)
    full[0, 0, 0] = 0
    assert GivenViews(given(world_from_camera=inside, masks=full), CPU).count == VIEWS
    # Without masks the object's extent is unknown, and a room is seen from inside.
    assert GivenViews(given(world_from_camera=inside), CPU).count == VIEWS


def test_one_view_that_meets_the_bounds_is_enough() -> None:
    away = given()["world_from_camera"].copy()
    away[1:, :3, 3] *= 100
    away[1:, :3, :3] = away[1:, :3, :3] @ np.diag([1.0, -1, -1])
    assert GivenViews(given(world_from_camera=away), CPU).count == VIEWS
    away[0] = away[1]
    with pytest.raises(UserError, match=r"no ray of any view meets the bounds \[-1.0, -1.0, -1.0\] to \[1.0, 1.0, 1.0\]"):
        GivenViews(given(world_from_camera=away), CPU)
