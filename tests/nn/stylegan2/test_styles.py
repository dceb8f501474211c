"""StyleGAN2's styled layers: styles only scale, noise has one strength, the mapping depends only on directions."""

import math

import pytest
import torch

from deep3dmap.nn.stylegan2.discriminator import ActivatedConvolution, ResidualBlock
from deep3dmap.nn.stylegan2.generator import MappingNetwork, normalize_latent
from deep3dmap.nn.stylegan2.modulated import ModulatedConvolution, StyledLayer, ToRGB
from deep3dmap.nn.stylegan2.resample import doubling


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("change", ["keep", "double", "halve"])
def test_the_size_of_a_style_does_not_matter_once_it_is_demodulated(change: str) -> None:
    layer = ModulatedConvolution(6, 4, 3, 5, change=change)  # type: ignore[arg-type]
    features, style = torch.randn(2, 6, 8, 8), torch.randn(2, 5)
    with torch.no_grad():
        layer.style.bias.zero_()
        found = layer(features, style)
        # A style ten times as long is compensated by the normalisation.
        torch.testing.assert_close(layer(features, 10 * style), found, atol=1e-4, rtol=1e-3)
    assert found.shape[2:] == {"keep": (8, 8), "double": (16, 16), "halve": (4, 4)}[change]


def test_colours_grow_with_their_style_and_lie_on_the_picture_below() -> None:
    to_rgb = ToRGB(6, 5)
    features, style, below = torch.randn(2, 6, 8, 8), torch.randn(2, 5), torch.rand(2, 3, 4, 4)
    with torch.no_grad():
        to_rgb.convolution.style.bias.zero_()
        one, two = to_rgb(features, style), to_rgb(features, 2 * style)
        torch.testing.assert_close(two, 2 * one)
        torch.testing.assert_close(to_rgb(features, style, below) - one, doubling()(below))


def test_noise_is_added_with_one_strength_for_all_channels() -> None:
    layer = StyledLayer(4, 3, 5, 8)
    features, style, noise = torch.randn(1, 4, 8, 8), torch.randn(1, 5), torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        silent = layer(features, style, noise)
        assert torch.equal(silent, layer(features, style, torch.zeros_like(noise)))
        layer.noise_strength.fill_(1e3)
        loud = layer(features, style, noise)
    # Through the leaky ReLU with its gain.
    expected = torch.where(noise > 0, noise, 0.2 * noise) * 1e3 * math.sqrt(2)
    assert float((loud - expected).abs().max()) < 0.05 * float(expected.abs().max())


def test_mapping_sees_directions_only() -> None:
    mapping, z = MappingNetwork(16, 4), torch.randn(3, 16)
    with torch.no_grad():
        torch.testing.assert_close(mapping(7 * z), mapping(z), atol=1e-5, rtol=1e-4)
    assert float((normalize_latent(5 * z).square().mean(1) - 1).abs().max()) < 1e-5


def test_a_block_of_the_discriminator_halves_and_has_unit_variance() -> None:
    block = ResidualBlock(8, 12)
    with torch.no_grad():
        found = block(torch.randn(16, 8, 16, 16))
    assert found.shape == (16, 12, 8, 8)
    assert 0.4 < float(found.std()) < 1.3
    halved = ActivatedConvolution(8, 12, 3, halve=True)(torch.randn(2, 8, 16, 16))
    assert halved.shape == (2, 12, 8, 8)
