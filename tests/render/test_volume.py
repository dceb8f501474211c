"""Volume rendering against closed forms: a homogeneous ball, a slab, a soft wall; and meshes as fields."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.render.projection import eye_of
from deep3dmap.render.quadrature import laplace_density, quadrature, sample_depths
from deep3dmap.render.renderer import DAYLIGHT, FieldSamples, Surface, View
from deep3dmap.render.renderer_comparison import view_of
from deep3dmap.render.surface_field import SurfaceField
from deep3dmap.render.volume import VolumeRenderer, camera_rays

SIGMA = 1.3
CUBE = torch.tensor([[-1.2, -1.2, -1.2], [1.2, 1.2, 1.2]], dtype=torch.float64)
RED = (0.8, 0.2, 0.1)


def ball(sigma: float = SIGMA) -> Callable[[Tensor, Tensor], FieldSamples]:
    def field(points: Tensor, directions: Tensor) -> FieldSamples:
        assert torch.allclose(directions.norm(dim=1), torch.ones(()).to(points))
        inside = (points.norm(dim=1) < 1).to(points)
        return FieldSamples(
            sigma * inside, points.new_tensor(RED).expand_as(points), torch.nn.functional.normalize(points, dim=1)
        )

    return field


def view(projection: Any = "perspective", size: int = 24) -> View:
    found = view_of(CUBE.float(), size, 25, 10, projection=projection)
    return replace(found, intrinsics=found.intrinsics.double(), camera_from_world=found.camera_from_world.double())


def chords(seen: View) -> Tensor:
    """Return the lengths (H, W) of the pixels' rays inside the unit ball."""
    rays = camera_rays(seen, CUBE)
    along = torch.nn.functional.normalize(rays.directions, dim=1)
    nearest = (rays.origins - (rays.origins * along).sum(1, keepdim=True) * along).square().sum(1)
    return 2 * (1 - nearest).clamp(min=0).sqrt().reshape(seen.height, seen.width)


@pytest.mark.parametrize("stratified", [False, True])
@pytest.mark.parametrize("projection", ["perspective", "orthographic"])
def test_a_homogeneous_ball_lets_through_what_lambert_and_beer_say(projection: Any, stratified: bool) -> None:
    seen = view(projection)
    covered = 1 - torch.exp(-SIGMA * chords(seen))
    errors = []
    for samples in (64, 512):
        shown = VolumeRenderer(samples=samples, stratified=stratified).render_field(ball(), CUBE, seen, (0.0, 0.0, 1.0))
        errors.append(float((shown.silhouette - covered).abs().max()))
        expected = covered * torch.tensor(RED)[:, None, None] + (1 - covered) * torch.tensor([0.0, 0, 1])[:, None, None]
        assert float((shown.image - expected).abs().max()) < 1.2 * errors[-1] + 1e-6
        assert shown.face_id is None
    # A chord starts and ends within a step, so the error is at most that of two steps, 2 * SIGMA * 4.2 / samples.
    assert errors[0] < 2 * SIGMA * 4.2 / 64
    assert errors[1] < 2 * SIGMA * 4.2 / 512
    assert covered.max() > 0.9


def test_the_depth_of_a_ball_is_the_mean_of_where_light_comes_from() -> None:
    """Light from depth s within a chord c has density SIGMA exp(-SIGMA s) and mean 1 / SIGMA - c / (exp(SIGMA c) - 1)."""
    seen = view("orthographic")
    shown = VolumeRenderer(samples=1024).render_field(ball(), CUBE, seen)
    c = chords(seen)
    inside = c > 0.5
    rays = camera_rays(seen, CUBE)
    middle = -(rays.origins * rays.directions).sum(1).reshape(c.shape)
    expected = middle - c / 2 + 1 / SIGMA - c / torch.expm1(SIGMA * c)
    assert float((shown.depth - expected).abs()[inside].max()) < 6e-3
    assert not shown.depth[c == 0].any()
    assert not shown.normals[:, c == 0].any()


def test_normals_of_a_dense_ball_point_outward() -> None:
    seen = view()
    shown = VolumeRenderer(samples=512).render_field(ball(300.0), CUBE, seen)
    inside = chords(seen) > 0.8
    rays = camera_rays(seen, CUBE)
    points = (rays.origins + shown.depth.reshape(-1, 1) * rays.directions) @ seen.camera_from_world[:3, :3].T
    agreement = (points.T.reshape(3, 24, 24) * shown.normals).sum(0)[inside]
    assert float(agreement.min()) > 0.99


def test_normals_that_a_field_does_not_give_follow_its_density() -> None:
    def soft(points: Tensor, directions: Tensor) -> FieldSamples:
        return FieldSamples(laplace_density(points.norm(dim=1) - 1, 0.05), points.new_ones(len(points), 3))

    def given(points: Tensor, directions: Tensor) -> FieldSamples:
        return replace(soft(points, directions), normals=torch.nn.functional.normalize(points, dim=1))

    drawn = VolumeRenderer(samples=64)
    found, expected = (drawn.render_field(field, CUBE, view()).normals for field in (soft, given))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    with torch.no_grad():
        assert torch.equal(drawn.render_field(soft, CUBE, view()).normals, found.detach())


def test_the_near_plane_and_the_box_cut() -> None:
    wall = view("perspective")

    def fog(points: Tensor, directions: Tensor) -> FieldSamples:
        return FieldSamples(points.new_full((len(points),), 0.5), points.new_zeros(len(points), 3), torch.zeros_like(points))

    behind = CUBE - 50 * wall.camera_from_world[2, :3]
    assert not VolumeRenderer(samples=8).render_field(fog, behind, wall).silhouette.any()
    eye = eye_of(wall)
    around = torch.stack([eye - 1, eye + 1])
    shown = VolumeRenderer(samples=8).render_field(fog, around, replace(wall, near=0.25))
    straight = torch.argmin((camera_rays(wall, CUBE).directions.norm(dim=1) - 1).abs())
    ray = torch.nn.functional.normalize(camera_rays(wall, CUBE).directions[straight], dim=0)
    length = float((1 / ray.abs()).min()) - 0.25
    assert float(shown.silhouette.reshape(-1)[straight]) == pytest.approx(1 - math.exp(-0.5 * length), abs=1e-3)
    with pytest.raises(ValueError, match="bounds must be"):
        VolumeRenderer().render_field(fog, torch.zeros(3), wall)


def test_weights_are_exact_for_layers() -> None:
    density = torch.tensor([[0.0, 2.0, 0.5, 100.0, 3.0]], dtype=torch.float64)
    steps = torch.tensor([[0.3, 0.1, 0.4, 1.0, 1.0]], dtype=torch.float64)
    weights = quadrature(density, steps)[0]
    expected = [0.0, 1 - math.exp(-0.2), math.exp(-0.2) * (1 - math.exp(-0.2)), math.exp(-0.4), 0.0]
    np.testing.assert_allclose(weights, expected, atol=1e-12)
    assert float(weights.sum()) == pytest.approx(1.0)
    assert float(quadrature(torch.full((1, 7), 1e-9).double(), torch.ones(1, 7).double()).sum()) == pytest.approx(7e-9)


def test_gradients_of_the_sums() -> None:
    generator = torch.Generator().manual_seed(0)
    density, steps = (torch.rand(3, 6, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2))
    colors = torch.rand(3, 6, 3, dtype=torch.float64, generator=generator, requires_grad=True)

    def composite(density: Tensor, steps: Tensor, colors: Tensor) -> Tensor:
        weights = quadrature(density, steps)
        return (weights[..., None] * colors).sum(1) + (1 - weights.sum(1, keepdim=True)) * 0.3

    assert torch.autograd.gradcheck(composite, (density, steps, colors))
    assert torch.autograd.gradgradcheck(composite, (density, steps, colors), atol=1e-4)


def test_the_gradient_is_that_of_the_closed_form() -> None:
    """dC / dsigma_i = step_i (T_{i+1} c_i - sum over j > i of w_j c_j - T_end background)."""
    generator = torch.Generator().manual_seed(1)
    density, steps, colors = (torch.rand(1, 5, dtype=torch.float64, generator=generator) for _ in range(3))
    density.requires_grad_()
    weights = quadrature(density, steps)
    (gradient,) = torch.autograd.grad((weights * colors).sum() + (1 - weights.sum()) * 0.7, density)
    left = torch.exp(-torch.cumsum(density * steps, 1))
    after = (weights * colors).flip(1).cumsum(1).flip(1) - weights * colors
    torch.testing.assert_close(gradient, steps * (left * colors - after - left[:, -1:] * 0.7))


def test_samples_lie_in_their_own_parts_of_the_ray() -> None:
    edges = torch.tensor([[1.0, 2.0, 4.0], [0.0, 0.5, 0.6]])
    assert sample_depths(edges).tolist() == [[1.5, 3.0], [0.25, pytest.approx(0.55)]]
    draws = torch.stack([sample_depths(edges, torch.Generator().manual_seed(seed)) for seed in range(300)])
    assert (draws >= edges[:, :-1]).all()
    assert (draws <= edges[:, 1:]).all()
    torch.testing.assert_close(draws.mean(0), sample_depths(edges), atol=0.1, rtol=0)
    again = VolumeRenderer(samples=16, stratified=True, seed=3)
    pictures = [again.render_field(ball(), CUBE, view()).image for _ in range(2)]
    other = again.render_field(ball(), CUBE, view(), generator=torch.Generator().manual_seed(4)).image
    assert torch.equal(*pictures)
    assert not torch.equal(pictures[0], other)


def test_rays_may_be_worked_on_in_parts() -> None:
    whole, parts = (VolumeRenderer(samples=16, rays=count).render_field(ball(), CUBE, view()) for count in (10_000, 37))
    torch.testing.assert_close(whole.image, parts.image)


def test_density_of_a_signed_distance() -> None:
    beta = 0.1
    distance = torch.tensor([-10.0, 0.0, 0.1, 10.0], dtype=torch.float64)
    expected = torch.tensor([10.0, 5.0, 5.0 / math.e, 0.0], dtype=torch.float64)
    torch.testing.assert_close(laplace_density(distance, beta), expected)
    assert torch.autograd.gradcheck(
        lambda d: laplace_density(d, beta), (torch.tensor([-0.2, 0.03, 0.3]).double().requires_grad_(),)
    )


def sphere_field(resolution: int, level: int = 3) -> SurfaceField:
    vertices, faces = icosphere(level)
    surface = Surface(torch.from_numpy(vertices), torch.from_numpy(faces))
    return SurfaceField(surface, DAYLIGHT, torch.zeros(3, dtype=torch.float64), resolution)


def nodes(field: SurfaceField) -> Tensor:
    axes = [field.low[k] + field.cell * torch.arange(field.shape[k]) for k in range(3)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def test_the_distance_of_a_sphere() -> None:
    field = sphere_field(24)
    expected = nodes(field).norm(dim=-1) - 1
    close = expected.abs() < 2 * field.cell
    # The polyhedron is up to 0.6 % smaller than the sphere.
    assert float((field.grid[0] - expected).abs()[close].max()) < 8e-3
    assert torch.equal((field.grid[0] < 0)[~close], (expected < 0)[~close])


def test_inside_and_outside_of_a_thing_with_a_hole() -> None:
    outer, faces = icosphere(2)
    both = np.concatenate([outer, 0.5 * outer])
    triangles = np.concatenate([faces, faces[:, ::-1] + len(outer)])
    field = SurfaceField(Surface(torch.from_numpy(both), torch.from_numpy(triangles)), DAYLIGHT, torch.zeros(3).double(), 24)
    radius = nodes(field).norm(dim=-1)
    solid = (radius < 0.95) & (radius > 0.53)
    assert (field.grid[0] < 0)[solid].all()
    assert (field.grid[0] > 0)[(radius > 1.02) | (radius < 0.45)].all()


def test_a_surface_that_does_not_close_becomes_a_sheet() -> None:
    square = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    shown = VolumeRenderer(resolution=32).render(Surface(square, faces), view_of(1.3 * square, 32, 0, 0))
    behind = VolumeRenderer(resolution=32).render(Surface(square, faces), view_of(1.3 * square, 32, 180, 0))
    for seen in (shown, behind):
        assert float(seen.silhouette[16, 16]) > 0.9
        torch.testing.assert_close(seen.normals[:, 16, 16], torch.tensor([0.0, 0.0, -1.0]), atol=0.05, rtol=0)
    assert float(shown.silhouette[0, 0]) < 0.01


def test_seams_do_not_open_a_mesh() -> None:
    vertices, faces = icosphere(2)
    split = vertices[faces].reshape(-1, 3)
    field = SurfaceField(
        Surface(torch.from_numpy(split), torch.arange(len(split)).reshape(-1, 3)), DAYLIGHT, torch.zeros(3).double(), 16
    )
    assert float(field.grid[0].min()) < -0.5


def test_wrong_settings() -> None:
    with pytest.raises(ValueError, match="samples must be an integer of at least 1"):
        VolumeRenderer(samples=0)
