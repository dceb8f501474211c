"""Depth maps as reliefs: closed forms of planes and spheres, views, losses, invalid arguments."""

import math

import pytest
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.relief import ReliefCamera, relief_faces, rigid_motion
from deep3dmap.geometry.relief_losses import photometric_loss, smoothness_loss

CAMERA = ReliefCamera(33)


def test_lifting_and_projecting() -> None:
    depth = torch.rand(2, 33, 33, dtype=torch.float64) + 0.5
    points = CAMERA.lift(depth)
    torch.testing.assert_close(points[..., 2], depth)
    rows, columns = torch.meshgrid(torch.arange(33.0), torch.arange(33.0), indexing="ij")
    expected = torch.stack([columns, rows], -1).double().expand(2, -1, -1, -1)
    torch.testing.assert_close(CAMERA.to_pixels(points), expected, atol=1e-9, rtol=0)
    corners = CAMERA.to_grid(points)[0, (0, -1), (0, -1)]
    torch.testing.assert_close(corners, torch.tensor([[-1.0, -1], [1, 1]], dtype=torch.float64))
    # The centres of the outer pixels span the field of view.
    assert float(points[0, 16, 32, 0] / points[0, 16, 32, 2]) == pytest.approx(math.tan(math.radians(5)))


def test_normals_of_a_plane_and_a_sphere() -> None:
    flat = CAMERA.normals(torch.ones(1, 33, 33))
    # The published code divides by a slightly too large length, so normals are slightly shorter than 1.
    torch.testing.assert_close(flat, torch.tensor([0.0, 0, 1]).expand_as(flat), atol=1e-3, rtol=0)
    rays = CAMERA.lift(torch.ones(1, 33, 33, dtype=torch.float64))
    centre, radius = torch.tensor([0.0, 0, 1.3], dtype=torch.float64), 0.3
    a, b = rays.square().sum(-1), rays @ centre
    depth = (b - (b.square() - a * (centre @ centre - radius**2)).sqrt()) / a
    inward = (centre - CAMERA.lift(depth)) / radius
    inner = CAMERA.normals(depth)[:, 1:-1, 1:-1]
    torch.testing.assert_close(inner, inward[:, 1:-1, 1:-1], atol=1e-3, rtol=0)


def test_views() -> None:
    quarter = math.pi / 2
    points = torch.tensor([[[0.0, 0, 2], [0, 1, 1]]]).repeat(3, 1, 1)
    views = torch.tensor([[quarter, 0, 0, 0, 0, 0], [0, quarter, 0, 0, 0, 0], [0, 0, quarter, 1.0, 2, 3]])
    turned = CAMERA.turn(points, views)
    # Rotations about the point at depth 1: a point behind it moves up, moves right, stays; one below it moves back.
    expected = torch.tensor([[[0.0, -1, 1], [0, 0, 2]], [[1.0, 0, 1], [0, 1, 1]], [[1.0, 2, 5], [0, 2, 4]]])
    torch.testing.assert_close(turned, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(CAMERA.turn_back(turned, views), points, atol=1e-6, rtol=0)
    views = torch.randn(4, 6)
    rotation, shift = rigid_motion(views)
    torch.testing.assert_close(rotation @ rotation.transpose(1, 2), torch.eye(3).expand(4, -1, -1), atol=1e-5, rtol=0)
    assert torch.equal(shift, views[:, 3:])
    assert torch.equal(rigid_motion(views[:, :3])[0], rotation)
    assert torch.equal(rigid_motion(views[:, :5])[1][:, 2], torch.zeros(4))
    with pytest.raises(UserError, match="views"):
        rigid_motion(views[:, :4])


def test_faces_cover_the_grid_once() -> None:
    faces = relief_faces(3, 4)
    assert len(faces) == 2 * 2 * 3
    corners = torch.stack([faces % 4, faces // 4], -1).double()
    (ax, ay), (bx, by) = ((corners[:, k] - corners[:, 0]).unbind(1) for k in (1, 2))
    areas = (ax * by - bx * ay) / 2
    # All have the same winding and an area of half a cell.
    assert areas.tolist() == [-0.5] * 12


def test_photometric_loss() -> None:
    one, two = torch.zeros(1, 3, 2, 2), torch.ones(1, 3, 2, 2)
    two[..., 0] = 3
    mask = torch.tensor([[[[0.0, 1], [0, 0.5]]]])
    assert float(photometric_loss(one, two)) == 2
    assert float(photometric_loss(one, two, mask)) == 1
    sigma = torch.full((1, 1, 2, 2), 0.5)
    expected = math.sqrt(2) * 2 / 0.5 + math.log(0.5)
    assert float(photometric_loss(one, two, deviation=sigma)) == pytest.approx(expected, rel=1e-5)
    leaf = one.clone().requires_grad_()
    empty = photometric_loss(leaf, two, torch.zeros_like(mask))
    empty.backward()
    assert empty.item() == 0
    assert leaf.grad is not None
    assert not leaf.grad.any()


def test_smoothness_is_zero_on_planes_only() -> None:
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    assert float(smoothness_loss((2 * rows - columns)[None])) == 0
    # The second difference of x^2 is 2; the mixed difference of x y is 1 and counted twice.
    assert float(smoothness_loss(columns.square()[None])) == 2
    assert float(smoothness_loss((rows * columns)[None])) == 2
