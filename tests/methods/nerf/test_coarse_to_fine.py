"""The paper's pair of networks: renderings of a uniform medium, and independence of the world's unit."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deep3dmap.methods.nerf.coarse_to_fine import CoarseToFine
from deep3dmap.methods.nerf.options import NeRFConfig
from deep3dmap.methods.nerf.space import SceneBounds
from deep3dmap.render.renderer import FieldSamples
from deep3dmap.render.volume import Rays

CONFIG = NeRFConfig(width=16, depth=2, coarse=12, fine=12)
EYES = torch.tensor([[0.0, 0, 4], [0.3, 0, 4]])
AHEAD = Rays(EYES, torch.tensor([[0.0, 0, -1], [0, 0, -1]]))


class Medium(nn.Module):
    """A uniform medium with the given density per half side of the bounds, and one colour."""

    def __init__(self, density: float) -> None:
        super().__init__()
        self.amount = nn.Parameter(torch.tensor(density))

    def forward(self, positions: Tensor, directions: Tensor) -> FieldSamples:
        return FieldSamples(self.density(positions), torch.tensor([0.2, 0.4, 0.6]).expand(len(positions), 3))

    def density(self, positions: Tensor) -> Tensor:
        return self.amount.expand(len(positions))


def pair(scale: float = 1.0, unbounded: bool = False, **networks: nn.Module) -> CoarseToFine:
    torch.manual_seed(0)
    space = SceneBounds(near=0.01, far=10.0)
    space.place(torch.tensor([[-1.0] * 3, [1.0] * 3]) * scale, EYES * scale, unbounded)
    model = CoarseToFine(space, CONFIG)
    for name, network in networks.items():
        setattr(model, name, network)
    return model


@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_a_uniform_medium_absorbs_by_the_law_of_beer_and_lambert(density: float) -> None:
    model = pair(coarse=Medium(density), fine=Medium(density))
    # From the first sample to the end of the box; the coarse one is half an interval after the beginning.
    for seen, missed in zip(model.render_for_training(AHEAD, None), (1 / 12, None)):
        opacity = 1 - torch.exp(torch.tensor(-density * (2 - missed) if missed else -density * 2))
        expected = opacity * torch.tensor([0.2, 0.4, 0.6])
        close: dict[str, float] = {"atol": 1e-5, "rtol": 0} if missed else {"atol": 0.06, "rtol": 0}
        torch.testing.assert_close(seen.color[0], expected, **close)


def test_an_opaque_wall_is_as_far_as_it_is() -> None:
    class Wall(Medium):
        def density(self, positions: Tensor) -> Tensor:
            return torch.where(positions[:, 2] < 0.2, self.amount, 0.0)

    model = pair(coarse=Wall(200.0), fine=Wall(200.0))
    coarse, fine = model.render_for_training(AHEAD, None)
    errors = [float((seen.depth[0] - (4 - 0.2)).abs().detach()) for seen in (coarse, fine)]
    assert errors[1] <= errors[0]
    assert errors[1] < 0.05
    torch.testing.assert_close(fine.opacity, torch.ones(2))


@pytest.mark.parametrize("unbounded", [False, True])
def test_a_world_in_another_unit_gives_the_same_picture(unbounded: bool) -> None:
    ours, theirs = pair(1.0, unbounded), pair(50.0, unbounded)
    first, second = ours.render(AHEAD), theirs.render(Rays(50 * EYES, AHEAD.directions))
    torch.testing.assert_close(first.color, second.color, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(50 * first.depth, second.depth, atol=1e-3, rtol=1e-4)
    places = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    torch.testing.assert_close(ours.density(places), 50 * theirs.density(50 * places), atol=1e-5, rtol=1e-3)


def test_both_networks_learn_and_noise_repeats_with_its_generator() -> None:
    model = pair()
    # Give both networks some density, regardless of their random initialisation.
    for network in (model.coarse, model.fine):
        nn.init.constant_(network.density_head.bias, 0.5)
    drawn: list[Any] = [model.render_for_training(AHEAD, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(drawn[0][1].color, drawn[1][1].color)
    assert not torch.equal(drawn[0][1].color, drawn[2][1].color)
    for seen, network, other in zip(drawn[0], (model.coarse, model.fine), (model.fine, model.coarse)):
        model.zero_grad()
        seen.color.sum().backward(retain_graph=True)
        assert all(parameter.grad is not None for parameter in network.parameters())
        # The positions of the fine samples do not propagate gradients to the coarse network.
        assert all(parameter.grad is None for parameter in other.parameters())


def test_a_ray_past_the_box_sees_nothing() -> None:
    model = pair(coarse=Medium(5.0), fine=Medium(5.0))
    past = model.render(Rays(torch.tensor([[4.0, 0, 4]]), torch.tensor([[0.0, 0, -1]])))
    assert past.opacity.item() == pytest.approx(0, abs=1e-6)
