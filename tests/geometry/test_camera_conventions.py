"""Cameras of other programs: round trips, closed forms, and unsupported cameras."""

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.camera_conventions import (
    Pinhole,
    from_neural_renderer,
    from_pytorch3d,
    from_weak_perspective,
    opengl_pose,
    opengl_projection,
    orbit,
    to_neural_renderer,
    to_pytorch3d,
    to_weak_perspective,
)
from deep3dmap.geometry.cameras import invert, look_at, project
from deep3dmap.geometry.face_pose import HeadPose
from deep3dmap.geometry.rotations import matrix_of_axis_angle

HEIGHT, WIDTH = 48, 64
INTRINSICS = torch.tensor([[70.0, 0, 30], [0, 72, 25], [0, 0, 1]], dtype=torch.float64)
WORLD_FROM_CAMERA = look_at((1.0, -2.0, 0.7), (0.1, 0.2, 0.0))
POINTS = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.3


def pixels() -> Tensor:
    return project(POINTS, INTRINSICS, invert(WORLD_FROM_CAMERA))[0]


def same(ours: Pinhole) -> None:
    torch.testing.assert_close(ours.intrinsics, INTRINSICS)
    torch.testing.assert_close(ours.camera_from_world, invert(WORLD_FROM_CAMERA))


def test_round_trips() -> None:
    camera = INTRINSICS, invert(WORLD_FROM_CAMERA), HEIGHT, WIDTH
    same(from_pytorch3d(to_pytorch3d(*camera), HEIGHT, WIDTH))
    same(from_neural_renderer(to_neural_renderer(*camera), HEIGHT, WIDTH))
    torch.testing.assert_close(opengl_pose(opengl_pose(WORLD_FROM_CAMERA)), WORLD_FROM_CAMERA)


def test_neural_renderer_sees_the_same_pixels_upside_down() -> None:
    theirs = to_neural_renderer(INTRINSICS, invert(WORLD_FROM_CAMERA), HEIGHT, WIDTH)
    assert torch.linalg.det(theirs.rotation) == pytest.approx(-1)
    view = POINTS @ theirs.rotation.T + theirs.translation
    normalised = theirs.scale * view[:, :2] / view[:, 2:] + theirs.offset
    # (2 i + 1 - S) / S is the centre of pixel i; rows are counted from the bottom.
    expected = 2 * pixels() / torch.tensor([WIDTH, HEIGHT]) - 1
    torch.testing.assert_close(normalised, expected * torch.tensor([1.0, -1.0]))


def test_the_clip_matrix_of_opengl_sees_the_same_pixels() -> None:
    clip = opengl_projection(INTRINSICS, HEIGHT, WIDTH, 0.5, 10.0)
    view = invert(opengl_pose(WORLD_FROM_CAMERA)) @ torch.cat([POINTS, torch.ones(20, 1)], 1).T
    device = (clip @ view / (clip @ view)[3]).T
    expected = (2 * pixels() / torch.tensor([WIDTH, HEIGHT]) - 1) * torch.tensor([1.0, -1.0])
    torch.testing.assert_close(device[:, :2], expected)
    for depth, value in ((0.5, -1.0), (10.0, 1.0)):
        at = clip @ torch.tensor([0, 0, -depth, 1], dtype=torch.float64)
        assert at[2] / at[3] == pytest.approx(value)


def test_weak_perspective_is_face3d_s() -> None:
    rotation = matrix_of_axis_angle((0.2, -0.5, 0.1))
    camera = from_weak_perspective(3.0, rotation, (20.0, 11.0, 5.0), HEIGHT, 100.0)
    fit = 3.0 * POINTS @ rotation.T + torch.tensor([20.0, 11.0, 5.0])
    view = POINTS @ camera.camera_from_world[:3, :3].T + camera.camera_from_world[:3, 3]
    ours = (torch.cat([view[:, :2], torch.ones(20, 1)], 1) @ camera.intrinsics.T)[:, :2]
    # face3d: image y = height - y - 1, pixel centres at integers.
    torch.testing.assert_close(ours, torch.stack([fit[:, 0] + 0.5, HEIGHT - fit[:, 1] - 1 + 0.5], 1))
    torch.testing.assert_close(view[:, 2], 100 - (fit[:, 2] - 5) / 3, msg="nearer to the viewer is larger there")
    pose = HeadPose(np.zeros(3), np.array([20.0, 11.0, 5.0]), 3.0)
    upright = from_weak_perspective(3.0, np.eye(3), (20.0, 11.0), HEIGHT, 100.0)
    middle = pose.image(np.zeros((1, 3)), HEIGHT, one_based=False)[0, :2]
    np.testing.assert_allclose(upright.intrinsics[:2, 2], middle)
    scale, back, translation = to_weak_perspective(camera, HEIGHT)
    assert scale == pytest.approx(3)
    torch.testing.assert_close(back, rotation)
    assert translation.tolist() == pytest.approx([20, 11, 0])


def test_azimuth_zero_looks_along_minus_z() -> None:
    theirs = to_pytorch3d(np.eye(3), orbit(2.0, 0.0, 0.0), HEIGHT, WIDTH)
    torch.testing.assert_close(theirs.rotation, torch.diag(torch.tensor([-1.0, 1.0, -1.0])).double())
    assert theirs.translation.tolist() == pytest.approx([0, 0, 2])


def test_gradients_pass_through() -> None:
    pose = invert(WORLD_FROM_CAMERA).requires_grad_()
    focal = torch.tensor([70.0, 72.0], dtype=torch.float64, requires_grad=True)

    def convert(focal: Tensor, pose: Tensor) -> tuple[Tensor, ...]:
        intrinsics = torch.diag(torch.cat([focal, focal.new_ones(1)]))
        return tuple(to_pytorch3d(intrinsics, pose, HEIGHT, WIDTH))

    assert torch.autograd.gradcheck(convert, (focal, pose))


def test_what_cannot_be_expressed_is_refused() -> None:
    skewed = INTRINSICS.clone()
    skewed[0, 1] = 3
    for convert in (to_pytorch3d, to_neural_renderer):
        with pytest.raises(ValueError, match="skew"):
            convert(skewed, WORLD_FROM_CAMERA, HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="one scale"):
        to_weak_perspective(Pinhole(INTRINSICS, WORLD_FROM_CAMERA), HEIGHT)
    with pytest.raises(ValueError, match="near and far"):
        opengl_projection(INTRINSICS, HEIGHT, WIDTH, 1.0, 0.5)
    with pytest.raises(ValueError, match="up"):
        orbit(1.0, 90.0, 0.0)
