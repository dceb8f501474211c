"""The photo-geometric renderer without golden vectors: identity views, rotated planes, gradients, shading."""

import math

import pytest
import torch

from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.render.photo_geometric import PhotoGeometricRenderer, look_up
from deep3dmap.render.relief_shading import apply_light, decode_light, diffuse_term

RENDERER = PhotoGeometricRenderer(ReliefCamera(24))


def test_the_front_shows_the_canonical_picture() -> None:
    depth = torch.full((2, 24, 24), 1.0)
    texture = torch.rand(2, 3, 24, 24)
    seen = RENDERER.render(texture, depth, torch.zeros(2, 6))
    # The last row and column are partially covered, as in the published renderer.
    assert torch.equal(seen.valid[:, 0, :-1, :-1], torch.ones(2, 23, 23))
    assert not seen.valid[:, 0, -1].any()
    torch.testing.assert_close(seen.depth[:, :-1, :-1], depth[:, :-1, :-1])
    torch.testing.assert_close(seen.image[..., :-1, :-1], texture[..., :-1, :-1], atol=1e-4, rtol=0)


def test_a_turned_plane_is_nearer_on_one_side() -> None:
    views = torch.zeros(1, 6)
    views[0, 1] = 0.3
    seen = RENDERER.view_depth(torch.ones(1, 24, 24), views)[0]
    middle = seen[12, 3:21]
    # A positive rotation about the downward axis moves the right side, x > 0, towards z < 1.
    assert (middle.diff() < 0).all()
    slope = -math.tan(0.3)
    rays = RENDERER.camera.lift(torch.ones(1, 24, 24))[0, 12, :, 0]
    half = (rays[4:22] + rays[3:21]) / 2
    torch.testing.assert_close(middle, 1 / (1 - slope * half), atol=1e-4, rtol=0)


def test_shifts_move_the_picture() -> None:
    spacing = float(
        RENDERER.camera.lift(torch.ones(1, 24, 24))[0, 0, 1, 0] - RENDERER.camera.lift(torch.ones(1, 24, 24))[0, 0, 0, 0]
    )
    views = torch.tensor([[0, 0, 0, 3 * spacing, -2 * spacing, 0.0]])
    texture = torch.rand(1, 3, 24, 24)
    seen = RENDERER.render(texture, torch.ones(1, 24, 24), views)
    torch.testing.assert_close(seen.image[..., :-3, 3:-1], texture[..., 2:-1, :-4], atol=1e-3, rtol=0)
    assert not seen.valid[0, 0, :, :2].any()


def test_gradients_agree_with_differences() -> None:
    torch.manual_seed(0)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 24), torch.linspace(-1, 1, 24), indexing="ij")
    depth = (1 - 0.02 * torch.exp(-4 * (rows**2 + columns**2)))[None].requires_grad_()
    views = torch.tensor([[0.02, 0.1, 0.03, 0.001, -0.002, 0.0]], requires_grad=True)
    weight = torch.zeros(1, 24, 24)
    weight[:, 8:16, 8:16] = torch.rand(1, 8, 8)

    def loss(depth: torch.Tensor, views: torch.Tensor) -> torch.Tensor:
        return (RENDERER.view_depth(depth, views) * weight).sum()

    of_depth, of_view = torch.autograd.grad(loss(depth, views), (depth, views))
    with torch.no_grad():
        for given, gradient, step in ((views, of_view, 1e-3), (depth, of_depth, 1e-3)):
            direction = torch.randn_like(given) * (weight > 0 if given is depth else 1)
            up, down = (
                loss(*(value + sign * step * direction if value is given else value for value in (depth, views)))
                for sign in (1, -1)
            )
            assert float((gradient * direction).sum()) == pytest.approx(float(up - down) / (2 * step), rel=0.05, abs=0.02)


def test_the_mesh_and_the_look_up_agree() -> None:
    texture = torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4), size=(24, 24), mode="bicubic", align_corners=True)
    depth = 1 - 0.01 * torch.nn.functional.interpolate(torch.rand(1, 1, 4, 4), size=(24, 24), mode="bicubic")[:, 0]
    views = torch.tensor([[0.0, 0.2, 0, 0, 0, 0]])
    seen, drawn = RENDERER.render(texture, depth, views), RENDERER.draw_mesh(texture, depth, views)
    valid = seen.valid.bool()
    error = (seen.image - drawn).abs().amax(1, keepdim=True)[valid]
    # The mesh is offset by half a pixel from the lookup.
    assert float(error.median()) < 0.1
    background = RENDERER.draw_mesh(texture, depth, torch.tensor([[0, 0, 0, 1.0, 0, 0]]), background=0.25)
    assert torch.equal(background, torch.full_like(background, 0.25))


def test_light() -> None:
    light = decode_light(torch.tensor([[-1.0, 1.0, 0.0, 0.0], [1.0, -1.0, 3.0, 0.0]]))
    assert light.ambient.tolist() == [0.0, 1.0]
    assert light.diffuse.tolist() == [1.0, 0.0]
    torch.testing.assert_close(light.direction, torch.tensor([[0.0, 0, 1], [3 / 10**0.5, 0, 1 / 10**0.5]]))
    normals = torch.tensor([0.0, 0, 1]).expand(2, 2, 2, 3)
    term = diffuse_term(normals, light.direction)
    torch.testing.assert_close(term[:, 0, 0, 0], torch.tensor([1.0, 1 / 10**0.5]))
    texture = apply_light(torch.zeros(2, 3, 2, 2), term, light.ambient, light.diffuse)
    torch.testing.assert_close(texture, torch.zeros(2, 3, 2, 2))
    assert float(diffuse_term(-normals, light.direction).max()) == 0


def test_looking_up_outside_gives_nothing() -> None:
    grid = torch.full((1, 2, 2, 2), 3.0)
    assert not look_up(torch.ones(1, 1, 4, 4), grid, "nearest").any()
