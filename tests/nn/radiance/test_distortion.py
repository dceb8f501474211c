"""The distortion loss of packed samples against the double sum in the paper."""

import torch

from deep3dmap.nn.radiance.distortion import distortion

OFFSETS = torch.tensor([0, 3, 3, 8])


def packed(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    weights, lengths = (torch.rand(8, generator=generator, dtype=torch.float64) for _ in range(2))
    places = torch.cat([part.cumsum(0) for part in (lengths[:3], lengths[3:])])
    return weights, places, lengths


def double_sum(weights: torch.Tensor, places: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    apart = (places[:, None] - places[None]).abs()
    return (weights[:, None] * weights[None] * apart).sum() + (weights.square() * lengths).sum() / 3


def test_it_is_the_double_sum_of_each_ray() -> None:
    weights, places, lengths = packed()
    found = distortion(weights, places, lengths, OFFSETS)
    rays = (slice(0, 3), slice(3, 3), slice(3, 8))
    torch.testing.assert_close(found, torch.stack([double_sum(weights[r], places[r], lengths[r]) for r in rays]))
    assert found[1] == 0


def test_its_gradient_is_that_of_differences() -> None:
    weights, places, lengths = packed(1)
    assert torch.autograd.gradcheck(lambda w: distortion(w, places, lengths, OFFSETS), (weights.requires_grad_(),))
