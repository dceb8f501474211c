"""The pinhole camera: closed forms for projection, poses and resized images."""

import numpy as np
import pytest
import torch

from deep3dmap.geometry.cameras import invert, look_at, nearest_to_axes, project, scale_intrinsics, transform, unproject

INTRINSICS = np.array([[500.0, 0.0, 320.0], [0.0, 480.0, 240.0], [0.0, 0.0, 1.0]])


def test_a_point_on_the_optical_axis_lands_on_the_principal_point() -> None:
    pixels, depth = project(np.array([[0.0, 0.0, 2.0], [1.0, -0.5, 2.0]]), INTRINSICS, np.eye(4))
    assert torch.allclose(pixels, torch.tensor([[320.0, 240.0], [320.0 + 250.0, 240.0 - 120.0]], dtype=torch.float64))
    assert depth.tolist() == [2.0, 2.0]


def test_points_behind_and_in_the_camera_plane_keep_their_depth() -> None:
    pixels, depth = project(torch.tensor([[0.0, 0.0, -1.0], [1.0, 1.0, 0.0]]), INTRINSICS, np.eye(4))
    assert depth.tolist() == [-1.0, 0.0]
    assert torch.isfinite(pixels).all()


def test_unproject_puts_the_first_pixel_at_its_centre() -> None:
    points = unproject(torch.full((2, 3), 4.0, dtype=torch.float64), INTRINSICS, np.eye(4))
    expected = torch.tensor([(0.5 - 320) / 500 * 4, (0.5 - 240) / 480 * 4, 4.0], dtype=torch.float64)
    assert torch.allclose(points[0, 0], expected)


@pytest.mark.parametrize("skew", [0.0, 7.0])
def test_project_undoes_unproject(skew: float) -> None:
    intrinsics = INTRINSICS.copy()
    intrinsics[0, 1] = skew
    pose = look_at((1.0, 2.0, 3.0), (0.0, 0.5, 0.0))
    depth = torch.rand(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1
    pixels, found = project(unproject(depth, intrinsics, pose).reshape(-1, 3), intrinsics, invert(pose))
    v, u = torch.meshgrid(torch.arange(5) + 0.5, torch.arange(7) + 0.5, indexing="ij")
    assert torch.allclose(pixels, torch.stack([u, v], -1).reshape(-1, 2).double())
    assert torch.allclose(found, depth.reshape(-1))


def test_invalid_depth_unprojects_to_the_camera_centre() -> None:
    pose = look_at((1.0, 2.0, 3.0), (0.0, 0.0, 0.0))
    assert torch.allclose(unproject(torch.zeros(1, 1, dtype=torch.float64), INTRINSICS, pose)[0, 0], pose[:3, 3])


def test_invert_takes_stacks_of_poses() -> None:
    poses = torch.stack([look_at((1.0, 2.0, 3.0), (0.0, 0.0, 0.0)), look_at((4.0, 0.0, 1.0), (0.0, 0.0, 0.0))])
    assert torch.allclose(invert(poses) @ poses, torch.eye(4, dtype=torch.float64).expand(2, 4, 4))


def test_look_at_is_a_rotation_with_up_upwards() -> None:
    pose = look_at((3.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    assert torch.linalg.det(pose[:3, :3]).item() == pytest.approx(1.0)
    camera = transform(torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64), invert(pose))
    # Down is +y of the camera, and from +x looking back, the world's y is to the right.
    assert torch.allclose(camera, torch.tensor([[0.0, 0.0, 3.0], [0.0, -1.0, 3.0], [1.0, 0.0, 3.0]], dtype=torch.float64))


def test_look_at_along_up_is_refused() -> None:
    with pytest.raises(ValueError, match="up"):
        look_at((0.0, 0.0, 2.0), (0.0, 0.0, 0.0))


def test_scaled_intrinsics_see_the_same_rays() -> None:
    half = scale_intrinsics(INTRINSICS, 0.5, 0.25)
    point = np.array([[0.3, -0.2, 1.5]])
    full_pixel, _ = project(point, INTRINSICS, np.eye(4))
    half_pixel, _ = project(point, half, np.eye(4))
    assert torch.allclose(half_pixel, full_pixel * torch.tensor([0.5, 0.25], dtype=torch.float64))


def test_cameras_look_at_the_point_where_their_axes_meet() -> None:
    centre = np.array([1.0, -2.0, 0.5])
    offsets = np.array([(3.0, 0, 1), (0, 3.0, 1), (-3.0, 0, 1), (0, -3.0, 1)])
    poses = np.stack([look_at(centre + offset, centre).numpy() for offset in offsets])
    np.testing.assert_allclose(nearest_to_axes(poses), centre, atol=1e-9)
    parallel = np.tile(np.eye(4), (2, 1, 1))
    parallel[1, 0, 3] = 2.0
    np.testing.assert_allclose(nearest_to_axes(parallel), [1, 0, 1], atol=1e-9)
