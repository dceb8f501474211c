"""Nearest neighbours: both implementations, gradients, and invalid arguments."""

import math

import pytest
import torch

from deep3dmap.geometry.nearest_neighbours import brute_force, nearest, squared_distances


def test_tree_and_brute_force_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    points, targets = torch.randn(200, 3, generator=generator), torch.randn(300, 3, generator=generator)
    expected = ((points[:, None] - targets) ** 2).sum(2).argmin(1)
    assert torch.equal(nearest(points, targets), expected)
    monkeypatch.setattr("deep3dmap.geometry.nearest_neighbours.BLOCK", 1000)
    assert torch.equal(brute_force(points, targets), expected)


def test_neighbours_far_from_the_origin_are_told_apart() -> None:
    targets = torch.tensor([[1000.0, 0, 0], [1000.01, 0, 0]])
    assert brute_force(targets, targets).tolist() == nearest(targets, targets).tolist() == [0, 1]


def test_no_points_have_no_neighbours() -> None:
    nothing = torch.zeros(0, 3)
    assert nearest(nothing, torch.zeros(2, 3)).shape == brute_force(nothing, torch.zeros(2, 3)).shape == (0,)


def test_gradients_are_those_of_finite_differences() -> None:
    generator = torch.Generator().manual_seed(1)
    points, targets = (torch.randn(n, 3, dtype=torch.float64, generator=generator).requires_grad_() for n in (5, 7))
    assert torch.autograd.gradcheck(squared_distances, (points, targets))


@pytest.mark.parametrize(
    ("points", "targets", "words"),
    [
        (torch.zeros(2, 3), torch.zeros(0, 3), "no targets"),
        (torch.zeros(2, 4), torch.zeros(2, 4), "points must be"),
        (torch.zeros(2, 2), torch.zeros(2, 3), "targets must be"),
        (torch.zeros(2, 3), torch.zeros(3), "targets must be"),
        (torch.full((1, 3), math.nan), torch.zeros(2, 3), "points contain NaN"),
    ],
)
def test_what_has_no_answer_is_refused(points: torch.Tensor, targets: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        nearest(points, targets)
