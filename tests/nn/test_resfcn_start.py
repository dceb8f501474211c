"""The initialisation of ResFCN256 for short trainings: a decoder that interpolates its code smoothly."""

import pytest
import torch
from torch import Tensor, nn

from deep3dmap.nn import ResFCN256

SIDE = 64


def network(smooth: bool, **options: object) -> ResFCN256:
    torch.manual_seed(0)
    made = ResFCN256(8, **options).train()  # type: ignore[arg-type]
    if smooth:
        made.initialise_smooth_decoder()
    return made


def roughness(network: ResFCN256) -> float:
    """Return the mean second difference of the map relative to its spread, which makes it scale-invariant."""
    with torch.no_grad():
        found: Tensor = network.logits(torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)))
    return float((found.diff(n=2, dim=-1).abs().mean() + found.diff(n=2, dim=-2).abs().mean()) / found.std())


@pytest.mark.parametrize("padding", ["tf", "legacy"])
def test_maps_are_smoother_than_from_the_usual_weights(padding: str) -> None:
    assert roughness(network(True, padding=padding)) < 0.5 * roughness(network(False, padding=padding))


def test_layers_that_keep_their_channels_pass_them_through() -> None:
    made = ResFCN256(8)
    made.initialise_smooth_decoder(noise=0.0)
    for layer in made.decoder:
        conv = layer.conv  # type: ignore[union-attr]
        if conv.stride == 1 and conv.weight.shape[0] == conv.weight.shape[1]:
            features = torch.rand(2, conv.weight.shape[0], 6, 6)
            torch.testing.assert_close(conv(features), features)


def test_the_same_function_may_be_learnt() -> None:
    plain, smooth = network(False), network(True)
    assert {name: value.shape for name, value in plain.state_dict().items()} == {
        name: value.shape for name, value in smooth.state_dict().items()
    }
    smooth(torch.rand(2, 3, SIDE, SIDE)).square().mean().backward()
    assert all(parameter.grad is not None for parameter in smooth.parameters())
    # ReLUs after a norm with mean 1 pass most of a map.
    norms = [layer.norm for layer in smooth.decoder[:-1]]  # type: ignore[union-attr,index]
    assert all(isinstance(norm, nn.BatchNorm2d) and (norm.bias == 1).all() for norm in norms)
    assert (smooth.decoder[-1].norm.bias == 0).all()  # type: ignore[union-attr]


def test_another_picture_still_makes_another_map() -> None:
    made = network(True).eval()
    first, second = torch.rand(2, 1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert (made(first) - made(second)).abs().max() > 1e-4
