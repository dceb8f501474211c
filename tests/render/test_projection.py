"""Projection from the world to pixels and back along rays, and ray-box intersection."""

from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.geometry.cameras import invert, look_at, project
from deep3dmap.render.camera_orbit import mean_up
from deep3dmap.render.projection import eye_of, pixel_rays, to_camera, to_pixels
from deep3dmap.render.renderer import View
from deep3dmap.render.volume import box_interval, camera_rays

INTRINSICS = torch.tensor([[20.0, 0, 9], [0, 25, 7], [0, 0, 1]], dtype=torch.float64)
POSE = look_at((2.0, -3.0, 1.5), (0.1, 0.2, 0.3))
POINTS = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (40, 3)))


def view(projection: Any = "perspective", near: float = 0.01) -> View:
    return View(INTRINSICS, invert(POSE), 14, 18, projection, near)


def test_points_are_projected_as_a_pinhole_does() -> None:
    seen = to_pixels(to_camera(POINTS, view()), view())
    pixels, depth = project(POINTS, INTRINSICS, invert(POSE))
    torch.testing.assert_close(seen[:, :2], pixels)
    torch.testing.assert_close(seen[:, 2], depth)
    torch.testing.assert_close(eye_of(view()), POSE[:3, 3])


def test_an_orthographic_view_does_not_shrink_with_depth() -> None:
    camera = to_camera(POINTS, view())
    seen = to_pixels(camera, view("orthographic"))
    torch.testing.assert_close(seen[:, 0], 20 * camera[:, 0] + 9)
    torch.testing.assert_close(seen[:, 1], 25 * camera[:, 1] + 7)
    behind = to_pixels(camera - torch.tensor([0.0, 0.0, 9.0]), view("orthographic"))
    torch.testing.assert_close(behind[:, :2], seen[:, :2])


def test_what_is_too_near_is_never_drawn_and_gives_finite_gradients() -> None:
    camera = torch.tensor([[0.1, 0.2, 0.5], [0.1, 0.2, 0.0], [0.1, 0.2, -1.0], [0.1, 0.2, 0.3]], requires_grad=True)
    seen = to_pixels(camera, view(near=0.4))
    assert seen[:, 2].tolist() == pytest.approx([0.5, -1, -1, -1])
    assert (seen[1:, :2] == 0).all()
    seen.sum().backward()
    assert camera.grad is not None
    assert torch.isfinite(camera.grad).all()


def test_rays_go_through_the_centres_of_their_pixels() -> None:
    rays = pixel_rays(view(), POINTS)
    assert rays.shape == (14, 18, 3)
    back = rays.reshape(-1, 3) @ INTRINSICS.T
    rows, columns = torch.meshgrid(torch.arange(14) + 0.5, torch.arange(18) + 0.5, indexing="ij")
    torch.testing.assert_close(back[:, 0], columns.double().flatten())
    torch.testing.assert_close(back[:, 1], rows.double().flatten())


@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_points_on_a_ray_land_on_its_pixel(projection: Any) -> None:
    rays = camera_rays(view(projection), POINTS)
    for distance in (0.5, 2.0):
        seen = to_pixels(to_camera(rays.origins + distance * rays.directions, view(projection)), view(projection))
        rows, columns = torch.meshgrid(torch.arange(14) + 0.5, torch.arange(18) + 0.5, indexing="ij")
        torch.testing.assert_close(seen[:, :2], torch.stack([columns, rows], -1).reshape(-1, 2).double())


def test_rays_meet_a_box_where_a_march_along_them_does() -> None:
    rays = camera_rays(view(), POINTS)
    bounds = torch.tensor([[-0.5, -0.4, 0.0], [0.6, 0.5, 0.7]], dtype=torch.float64)
    enter, leave = box_interval(rays, bounds)
    steps = torch.linspace(0, 8, 4001, dtype=torch.float64)
    points = rays.origins[:, None] + steps[:, None] * rays.directions[:, None]
    inside = ((points >= bounds[0]) & (points <= bounds[1])).all(-1)
    hit = inside.any(1)
    assert 0 < hit.sum() < len(hit)
    assert ((leave > enter + 0.004) <= hit).all(), "a chord longer than two steps is not missed"
    assert (leave > enter)[hit].all()
    first = steps[inside[hit].double().argmax(1)]
    length = inside[hit].sum(1).double() * 0.002
    torch.testing.assert_close(enter[hit], first, atol=0.003, rtol=0)
    torch.testing.assert_close((leave - enter)[hit], length, atol=0.005, rtol=0)


def test_up_is_against_the_pictures_y_axis() -> None:
    poses = np.stack([look_at((3.0 * np.cos(a), 3.0 * np.sin(a), 0.0), (0.0, 0.0, 0.0)).numpy() for a in (0.0, 1.0, 4.0)])
    np.testing.assert_allclose(mean_up(poses), [0, 0, 1], atol=1e-12)
    rolled = poses @ np.diag([-1.0, -1.0, 1.0, 1.0])
    np.testing.assert_allclose(mean_up(rolled), [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(mean_up(np.concatenate([poses, rolled])), [0, 0, 1], atol=1e-12)
