"""The contraction of space: its inverse, its invariants, and that the cube's cells cover the world."""

import pytest
import torch

from deep3dmap.nn.radiance.scene_box import SceneBox, uncontract
from deep3dmap.ops.march_rays_reference import contract
from deep3dmap.render.volume import Rays

FAR = 10 ** (3 * torch.rand(400, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
PLACES = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * FAR


def test_contracted_space_comes_back() -> None:
    there = contract(PLACES)
    assert there.abs().max() < 2
    torch.testing.assert_close(uncontract(there), PLACES, rtol=1e-8, atol=1e-10)


def test_the_inner_cube_stays_as_it_is() -> None:
    inner = 2 * torch.rand(100, 3, generator=torch.Generator().manual_seed(2)) - 1
    assert torch.equal(contract(inner), inner)
    torch.testing.assert_close(uncontract(inner), inner)


def test_what_is_farther_stays_farther_along_its_ray() -> None:
    direction = torch.tensor([0.3, -0.9, 0.2], dtype=torch.float64)
    distance = torch.linspace(0.1, 500, 4000, dtype=torch.float64)
    along = contract(distance[:, None] * direction).norm(dim=1)
    assert (along.diff() > 0).all()
    # On one ray, in one direction.
    unit = contract(distance[:, None] * direction) / along[:, None]
    torch.testing.assert_close(unit, (direction / direction.norm()).expand_as(unit))


def test_the_contraction_has_no_edge() -> None:
    """Value and slope along a ray are continuous at the boundary of the inner cube."""
    just = torch.tensor([[1 - 1e-6, 0.2, 0.1], [1.0, 0.2, 0.1], [1 + 1e-6, 0.2, 0.1]], dtype=torch.float64)
    before, at, after = contract(just)
    slopes = (at - before)[0] / 1e-6, (after - at)[0] / 1e-6
    assert float(slopes[0]) == pytest.approx(float(slopes[1]), rel=1e-4)


@pytest.mark.parametrize("contracted", [False, True])
def test_boxes_of_any_place_and_unit_have_one_cube(contracted: bool) -> None:
    box = SceneBox([[-2.0, -1, 0], [2, 3, 8]], contracted)
    metres = box.from_cube(torch.tensor([[0.5, 0.5, 0.5], [0.5, 0.25, 0.75]]))
    assert metres[0].tolist() == [0, 1, 4]
    scaled = SceneBox(1000 * box.bounds + 5, contracted)
    torch.testing.assert_close(scaled.to_cube(1000 * metres + 5), box.to_cube(metres), atol=1e-6, rtol=0)


def test_rays_are_cut_to_near_and_far_and_the_box() -> None:
    box = SceneBox([[-1.0, -1, -1], [1, 1, 1]])
    rays = Rays(torch.tensor([[0.0, 0, -5], [0, 0, 0]]), torch.tensor([[0.0, 0, 1], [0, 0, 1]]))
    near, far = box.interval(rays, 0.5, 5.5)
    torch.testing.assert_close(near, torch.tensor([4.0, 0.5]))
    torch.testing.assert_close(far, torch.tensor([5.5, 1.0]))
