"""The hash grid with its occupancy grid: the cells evaluated over time, and independence of the world's unit."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.cameras import look_at
from deep3dmap.methods.nerf.given_views import GivenViews
from deep3dmap.methods.nerf.occupied_grid import FULL_UPDATES_UNTIL, MIN_RAYS, WARM_UP_STEPS, OccupiedGrid, RenderedField
from deep3dmap.methods.nerf.options import NeRFConfig
from deep3dmap.methods.nerf.space import SceneBounds
from deep3dmap.nn.radiance.packed_rendering import render_packed
from deep3dmap.render.volume import Rays

CONFIG = NeRFConfig(
    field="grid", width=8, grid_levels=2, grid_log2_size=8, grid_coarsest=4, grid_finest=8, grid_occupancy=8, grid_march=64,
    grid_samples=640, rays=500,
)  # fmt: skip
EYES = torch.tensor([[0.0, 0, 4], [0.4, 0, 4]])


def grid(scale: float = 1.0, unbounded: bool = False, **options: Any) -> OccupiedGrid:
    torch.manual_seed(0)
    space = SceneBounds(near=0.01, far=10.0)
    space.place(torch.tensor([[-1.0] * 3, [1.0] * 3]) * scale, EYES * scale, unbounded)
    model = OccupiedGrid(space, NeRFConfig(**{**vars(CONFIG), **options}))
    model.place()
    return model


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def places(count: int = 200) -> Tensor:
    return 1.9 * torch.rand(count, 3, generator=random()) - 0.95


def test_empty_cells_have_no_density_and_the_others_that_of_the_field() -> None:
    model = grid()
    points = places()
    torch.testing.assert_close(model.density(points), model.field.density(points))
    assert (model.density(points) > 0).all()
    model.grid.occupied[:4] = False
    left = points[:, 0] < 0
    assert (model.density(points)[left] == 0).all()
    torch.testing.assert_close(model.density(points)[~left], model.field.density(points)[~left])


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_world_in_another_unit_gives_the_same_picture(unbounded: bool) -> None:
    ours, theirs = grid(1.0, unbounded), grid(20.0, unbounded)
    ahead = torch.tensor([[0.0, 0, -1], [0, 0.1, -1]])
    ahead = ahead / ahead.norm(dim=1, keepdim=True)
    first, second = ours.render(Rays(EYES, ahead)), theirs.render(Rays(20 * EYES, ahead))
    assert (first.opacity > 0.1).all()
    torch.testing.assert_close(first.color, second.color, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(20 * first.depth, second.depth, atol=2e-2, rtol=1e-3)


def test_cells_are_updated_after_the_warm_up_and_then_at_intervals() -> None:
    model, looked = grid(grid_every=16), []

    def update(density_of: Any, generator: torch.Generator, share: float) -> None:
        looked.append(share)

    model.grid.update = update  # type: ignore[method-assign]
    when = []
    for step in range(200):
        model.refresh(step, random())
        when += [step] * (len(looked) - len(when))
    assert when == list(range(WARM_UP_STEPS, 200, 16))
    assert [share for step, share in zip(when, looked) if step < FULL_UPDATES_UNTIL] == [1.0] * 5
    assert {share for step, share in zip(when, looked) if step >= FULL_UPDATES_UNTIL} == {0.25}


def test_a_field_that_vanished_everywhere_may_come_back() -> None:
    model = grid()
    model.grid.seen[:, :, :4] = False
    with torch.no_grad():
        model.field.density_net[2].bias[0] = -1e4
    model.grid.density.zero_()
    model.refresh(WARM_UP_STEPS, random())
    assert torch.equal(model.grid.occupied, model.grid.seen)


def test_rays_of_a_step_follow_the_samples_of_the_last_one() -> None:
    model = grid()
    assert model.rays_per_step() == MIN_RAYS  # as if every ray had a sample at each of 64 steps
    model.samples_per_ray.fill_(4.0)
    assert model.rays_per_step() == 640 // 4
    model.samples_per_ray.fill_(0.0)
    assert model.rays_per_step() == 500
    ahead = Rays(EYES, torch.tensor([[0.0, 0, -1], [1, 0, 0]]))
    (seen,) = model.render_for_training(ahead, random())
    assert seen.color.shape == (2, 3)
    # One ray crosses the box over 2 of its diagonal of 2 sqrt 3, the other misses it.
    assert float(model.samples_per_ray) == pytest.approx(64 / 3**0.5 / 2, abs=1)


def test_what_no_view_shows_is_left_out_for_good() -> None:
    intrinsics = np.array([[40.0, 0, 4], [0, 40.0, 4], [0, 0, 1]])
    given = {
        "images": np.zeros((2, 3, 8, 8), np.float32),
        "intrinsics": np.tile(intrinsics, (2, 1, 1)),
        "world_from_camera": np.stack([look_at(eye.tolist(), (0.0, 0, 0), (0.0, 1, 0)).numpy() for eye in EYES]),
        "bounds": np.array([[-1.0] * 3, [1.0] * 3]),
    }
    model = grid()
    model.begin(GivenViews(given, torch.device("cpu")))
    # The pictures' width is a tenth of their distance, so only the middle is visible.
    assert model.grid.seen[3:5, 3:5].all()
    assert not model.grid.seen[0].any()
    assert torch.equal(model.grid.occupied, model.grid.seen)
    model.refresh(WARM_UP_STEPS, random())
    assert not (model.grid.occupied & ~model.grid.seen).any()


def test_a_field_counts_per_length_of_contracted_space() -> None:
    model = grid(unbounded=True)
    seen, points = RenderedField(model.field, view_dependent=True), places() * 6
    farthest = points.abs().amax(1)
    expected = model.field.density(points) / farthest.clamp(min=1).square()
    torch.testing.assert_close(seen.density(points), expected)
    torch.testing.assert_close(seen(points, points / points.norm(dim=1, keepdim=True)).density, expected)
    bounded = grid()
    torch.testing.assert_close(RenderedField(bounded.field, True).density(places()), bounded.field.density(places()))


def test_a_field_may_look_the_same_from_everywhere() -> None:
    model, points = grid(), places()
    directions = torch.nn.functional.normalize(torch.randn(2, 200, 3, generator=random()), dim=2)
    for dependent in (True, False):
        first, second = (RenderedField(model.field, dependent)(points, one).color for one in directions)
        assert torch.equal(first, second) is not dependent


def test_the_spread_of_a_ray_is_the_double_sum_of_the_paper() -> None:
    rays = Rays(EYES, torch.tensor([[0.0, 0, -1], [0, 0, -1]]))
    assert grid(unbounded=True).render_for_training(rays, random())[0].spread is None
    assert grid(distortion=0.01).render_for_training(rays, random())[0].spread is None
    model = grid(unbounded=True, distortion=0.01)
    (seen,) = model.render_for_training(rays, random())
    samples = model.grid.march(rays, model.space.near, model.space.far, random())
    weights = render_packed(RenderedField(model.field, True), rays, samples).weights.double()
    low, middle, high = (
        (1 / model.space.near - 1 / (samples.distances + side * samples.lengths / 2).double())
        / (1 / model.space.near - 1 / model.space.far)
        for side in (-1, 0, 1)
    )
    for ray in range(2):
        own = slice(samples.offsets[ray], samples.offsets[ray + 1])
        w, s = weights[own], middle[own]
        expected = (w[:, None] * w[None] * (s[:, None] - s[None]).abs()).sum() + (w**2 * (high - low)[own]).sum() / 3
        assert seen.spread is not None
        assert float(seen.spread[ray].detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
