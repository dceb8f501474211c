"""Sampling ranges of rays: in a box and in unbounded space, independent of the world's unit."""

import pytest
import torch

from deep3dmap.methods.nerf.space import SceneBounds
from deep3dmap.render.volume import Rays

BOUNDS = torch.tensor([[-1.0, -2, 0], [3, 2, 4]])
EYES = torch.tensor([[1.0, 0, 12], [-9, 0, 2]])


def space(unbounded: bool, scale: float = 1.0) -> SceneBounds:
    made = SceneBounds(near=0.05, far=20.0)
    made.place(BOUNDS * scale, EYES * scale, unbounded)
    return made


def rays(scale: float = 1.0) -> Rays:
    """Rays into the box, past it, and from inside it."""
    origins = torch.tensor([[1.0, 0, 12], [1, 0, 12], [1, 0, 2]]) * scale
    return Rays(origins, torch.tensor([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]))


def test_in_a_box_rays_begin_and_end_at_its_sides() -> None:
    near, far = space(False).interval(rays())
    assert near[0] == pytest.approx(8)
    assert far[0] == pytest.approx(12)
    # The half sides are 2 each, so nothing nearer than 0.1 is sampled.
    assert (near[2], far[2]) == pytest.approx((0.1, 2))
    assert far[1] >= near[1]


def test_a_ray_that_misses_the_box_has_no_length() -> None:
    near, far = space(False).interval(Rays(torch.tensor([[10.0, 0, 12]]), torch.tensor([[0.0, 1, 0]])))
    assert near == far


def test_the_far_end_of_a_box_is_behind_all_of_it_for_every_camera() -> None:
    corners = torch.cartesian_prod(*BOUNDS.T)
    assert (corners[:, None] - EYES[None]).norm(dim=2).max() < space(False).far


def test_unbounded_rays_go_from_near_to_far_whatever_they_meet() -> None:
    near, far = space(True).interval(rays())
    torch.testing.assert_close(near, torch.full((3,), 0.1))
    torch.testing.assert_close(far, torch.full((3,), 40.0))


def test_shares_of_the_way_are_even_in_a_box_and_in_one_over_distance_without() -> None:
    shares = torch.linspace(0, 1, 9)[None]
    near, far = torch.tensor([0.5]), torch.tensor([4.5])
    torch.testing.assert_close(space(False).distances(shares, near, far)[0], torch.linspace(0.5, 4.5, 9))
    inverse = 1 / space(True).distances(shares, near, far)[0]
    torch.testing.assert_close(inverse.diff(), inverse.diff()[:1].expand(8))
    assert (inverse[0], inverse[-1]) == pytest.approx((2, 1 / 4.5))


def test_shares_and_distances_are_inverse() -> None:
    there = space(True)
    shares = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ends = (torch.tensor([end], dtype=torch.float64) for end in (there.near, there.far))
    torch.testing.assert_close(there.shares(there.distances(shares[None], *ends)[0]), shares)


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_world_in_another_unit_is_sampled_at_the_same_places(unbounded: bool) -> None:
    metres, millimetres = space(unbounded), space(unbounded, 1000.0)
    for ours, theirs in zip(metres.interval(rays()), millimetres.interval(rays(1000.0))):
        torch.testing.assert_close(1000 * ours, theirs)
    torch.testing.assert_close(metres.shares(torch.tensor([3.0])), millimetres.shares(torch.tensor([3000.0])))
