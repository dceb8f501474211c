"""The scale of a relief: what it measures, what it ignores, and its gradient."""

import math

import pytest
import torch

from deep3dmap.geometry.ellipsoid_relief import ellipsoid_depth
from deep3dmap.methods.gan2shape.bas_relief import ReliefScale


def prior() -> torch.Tensor:
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    mask = ((rows - 15) ** 2 / 150 + (columns - 17) ** 2 / 80 <= 1).float()
    return ellipsoid_depth(mask, "synface", 0.95, 1.0).double()


@pytest.mark.parametrize("factor", [0.2, 1.0, 1.7])
def test_the_error_is_that_of_the_scale_whatever_the_plane(factor: float) -> None:
    depth, rows = prior(), torch.arange(32).double()
    turned = 1 + factor * (depth - 1) + 0.003 * rows[:, None] - 0.002 * rows[None] + 0.01
    assert float(ReliefScale.of(depth).error(turned)) == pytest.approx(math.log(factor) ** 2, abs=1e-12)


def test_depth_outside_the_object_does_not_count() -> None:
    depth = prior()
    other = torch.where(depth < depth.max() - 1e-5, depth, depth + torch.rand(32, 32).double())
    assert float(ReliefScale.of(depth).error(other)) == pytest.approx(0, abs=1e-12)


def test_gradient() -> None:
    scale = ReliefScale.of(prior())
    depth = (prior() + 0.01 * torch.randn(32, 32, generator=torch.Generator().manual_seed(0)).double()).requires_grad_()
    assert torch.autograd.gradcheck(scale.error, (depth,))
