"""StyleGAN2's networks: two forms of modulation, independence of batch items, discriminator groups, invalid input."""

import copy

import pytest
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.nn.stylegan2 import Discriminator, Generator, StyleGAN2Size, mean_latent, mix_styles, truncate
from deep3dmap.nn.stylegan2.discriminator import append_deviation
from deep3dmap.nn.stylegan2.modulated import Change, ModulatedConvolution

SIZE = StyleGAN2Size(16, 12, 2, 128, 8)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    network = Generator(SIZE)
    for layer in network.synthesis.layers:
        torch.nn.init.normal_(layer.noise_strength)  # type: ignore[arg-type]
    return network


@pytest.mark.parametrize("change", ["keep", "double", "halve"])
@pytest.mark.parametrize("demodulate", [True, False])
def test_both_forms_and_their_second_derivatives_agree(change: Change, demodulate: bool) -> None:
    torch.manual_seed(0)
    layer = ModulatedConvolution(5, 4, 3, 6, change=change, demodulate=demodulate).double()
    features, style = torch.randn(3, 5, 8, 8, dtype=torch.float64), torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    results = []
    for form in ("grouped", "shared"):
        layer.form = form  # type: ignore[assignment]
        out = layer(features, style)
        (gradient,) = torch.autograd.grad(out.sin().sum(), style, create_graph=True)
        second = torch.autograd.grad(gradient.square().sum(), (style, layer.weight))
        results.append([out, gradient, *second])
    for one, other in zip(*results):
        torch.testing.assert_close(one, other)


def test_demodulated_features_have_unit_variance() -> None:
    torch.manual_seed(0)
    layer = ModulatedConvolution(64, 64, 3, 16)
    out = layer(torch.randn(4, 64, 16, 16), 5 * torch.randn(4, 16))
    torch.testing.assert_close(out[..., 2:-2, 2:-2].var((1, 2, 3)), torch.ones(4), atol=0.15, rtol=0)


def test_half_precision(generator: Generator) -> None:
    z = torch.randn(2, SIZE.style_dim)
    expected = generator(z).detach()
    for form in ("grouped", "shared"):
        network = copy.deepcopy(generator)
        for module in network.modules():
            if isinstance(module, ModulatedConvolution):
                module.form = form  # type: ignore[assignment]
        with torch.autocast("cpu", torch.bfloat16):
            images = network(z)
        torch.testing.assert_close(images.float(), expected, atol=0.05 * float(expected.abs().max()), rtol=0)


def test_a_picture_does_not_depend_on_its_batch(generator: Generator) -> None:
    z = torch.randn(3, SIZE.style_dim)
    torch.testing.assert_close(generator(z)[1:2], generator(z[1:2]))


def test_noise_and_latents(generator: Generator) -> None:
    z = torch.randn(2, SIZE.style_dim)
    assert torch.equal(generator(z), generator(z))
    fresh = [generator.synthesis.draw_noise(2, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(generator(z, fresh[0]), generator(z, fresh[1]))
    assert not torch.equal(generator(z, fresh[0]), generator(z, fresh[2]))
    first, second = generator.mapping(z), generator.mapping(z.flip(0))
    same = mix_styles(first, second, SIZE.latents, SIZE.latents)
    torch.testing.assert_close(generator.synthesis(same), generator.synthesis(first))
    mixed = mix_styles(first, second, SIZE.latents, 2)
    assert torch.equal(mixed[:, 1], first)
    assert torch.equal(mixed[:, 2], second)
    mean = mean_latent(generator.mapping, 512, torch.Generator().manual_seed(0))
    assert mean.shape == (1, SIZE.style_dim)
    torch.testing.assert_close(truncate(first, mean, 0.0), mean.expand_as(first))
    torch.testing.assert_close(truncate(first, mean, 1.0), first)


def test_deviation_of_interleaved_groups() -> None:
    features = torch.randn(8, 3, 4, 4)
    out = append_deviation(features)
    assert torch.equal(out[:, :3], features)
    for group in range(2):
        members = features[group::2]
        by_hand = (members.var(0, unbiased=False) + 1e-8).sqrt().mean()
        torch.testing.assert_close(out[group::2, 3], by_hand.expand(4, 4, 4))
    assert float(append_deviation(features[:1])[:, 3].max()) < 1e-3


def test_discriminator_sees_the_batch_in_groups_only() -> None:
    torch.manual_seed(0)
    network = Discriminator(SIZE)
    images = torch.randn(8, 3, 16, 16)
    changed = torch.cat([images[:1] + 1, images[1:]])
    moved = (network(images) - network(changed)).abs().flatten() > 1e-7
    assert moved.tolist() == [True, False] * 4


def test_one_line_for_what_does_not_fit(generator: Generator) -> None:
    bad: list[tuple[str, object]] = [
        ("latents", lambda: generator.synthesis(torch.zeros(1, 13))),
        ("latents", lambda: generator.synthesis(torch.zeros(1, 5, 12))),
        ("takes", lambda: Discriminator(SIZE)(torch.zeros(4, 3, 32, 32))),
        ("batch of 6", lambda: Discriminator(SIZE)(torch.zeros(6, 3, 16, 16))),
        ("power of two", lambda: StyleGAN2Size(48)),
        ("style_dim", lambda: StyleGAN2Size(style_dim=0)),
        ("leaves no channel", lambda: StyleGAN2Size(64, channel_base=32)),
    ]
    for words, call in bad:
        with pytest.raises(UserError, match=words) as caught:
            call()  # type: ignore[operator]
        assert "\n" not in str(caught.value)


def test_gradients_reach_every_parameter(generator: Generator) -> None:
    generator(torch.randn(2, SIZE.style_dim)).square().sum().backward()
    without = [name for name, value in generator.named_parameters() if value.grad is None or not bool(Tensor(value.grad).any())]
    assert not without
