"""Equalised layers preserve variances at any width and learn at their rate; resampling preserves constants and ramps."""

import math

import pytest
import torch
from torch.nn import functional

from deep3dmap.nn.stylegan2.equalized import EqualizedConvolution, EqualizedLinear
from deep3dmap.nn.stylegan2.resample import Resample, doubling


@pytest.mark.parametrize("inputs", [8, 512])
@pytest.mark.parametrize("rate", [1.0, 0.01])
def test_a_linear_layer_keeps_the_variance(inputs: int, rate: float) -> None:
    torch.manual_seed(0)
    layer = EqualizedLinear(inputs, 4096, rate=rate)
    out = layer(torch.randn(64, inputs))
    assert out.var().item() == pytest.approx(1, rel=0.06)
    activated = EqualizedLinear(inputs, 4096, rate=rate, activate=True)(torch.randn(64, inputs))
    # A leaky ReLU with slope 0.2 and gain sqrt(2) gives a mean square of 1.04.
    assert activated.square().mean().item() == pytest.approx(1.04, rel=0.06)


def test_the_rate_changes_how_fast_a_layer_learns_and_nothing_else() -> None:
    torch.manual_seed(0)
    slow, fast = EqualizedLinear(16, 3, bias=0.7, rate=0.01), EqualizedLinear(16, 3, bias=0.7)
    with torch.no_grad():
        slow.weight.copy_(fast.weight / 0.01)
    values, wanted = torch.randn(10, 16), torch.randn(10, 3)
    before = fast(values).detach()
    torch.testing.assert_close(slow(values), before)
    torch.testing.assert_close(slow(torch.zeros(1, 16)), torch.full((1, 3), 0.7))
    moved = []
    for layer in (slow, fast):
        optimizer = torch.optim.Adam(layer.parameters(), lr=1e-3, eps=1e-20)
        (layer(values) - wanted).square().sum().backward()
        optimizer.step()
        moved.append(layer(values).detach() - before)
    # Adam's first step has a fixed length for any gradient, so its effect on the outputs is proportional to the rate.
    torch.testing.assert_close(moved[0], 0.01 * moved[1], atol=1e-6, rtol=1e-2)


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1)])
def test_a_convolution_keeps_the_variance_and_at_stride_one_the_size(size: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = EqualizedConvolution(32, 256, size, stride)
    features = torch.randn(4, 32, 17, 17)
    out = layer(features)
    assert out.shape[2:] == ((17, 17) if stride == 1 else (8, 8))
    inner = out[:, :, 2:-2, 2:-2]  # zero padding at the border reduces the variance
    assert inner.var().item() == pytest.approx(1, rel=0.06)
    padding = size // 2 if stride == 1 else 0
    plain = functional.conv2d(features, layer.weight, stride=stride, padding=padding) / math.sqrt(32 * size * size)
    torch.testing.assert_close(out, plain, atol=1e-4, rtol=1e-4)


def test_doubling_keeps_constants_and_draws_ramps_at_quarters_between_the_pixels() -> None:
    double = doubling()
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(9.0), indexing="ij")
    drawn = double((2 + 3 * rows - 5 * columns)[None, None])[0, 0]
    assert drawn.shape == (16, 18)
    across, down = torch.arange(18) / 2 - 0.25, torch.arange(16) / 2 - 0.25
    expected = 2 + 3 * down[:, None] - 5 * across
    torch.testing.assert_close(drawn[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-4, rtol=1e-5)


def test_halving_undoes_doubling_of_a_ramp_and_sums_to_its_gain() -> None:
    columns = torch.arange(16.0).expand(1, 1, 12, 16)
    halved = Resample(down=2, padding=(1, 1))(columns)[0, 0]
    # Each pixel of the halved image is centred between two pixels of the full one.
    torch.testing.assert_close(halved[1:-1, 1:-1], (2 * torch.arange(8.0) + 0.5).expand(6, 8)[1:-1, 1:-1])
    for gain, taps in ((1.0, (1.0, 3.0, 3.0, 1.0)), (4.0, (1.0, 2.0))):
        layer = Resample(padding=(0, 0), gain=gain, taps=taps)
        assert layer.kernel.sum().item() == pytest.approx(gain)
        assert not layer.state_dict()
        one = torch.zeros(1, 1, 7, 7)
        one[0, 0, 3, 3] = 1
        # Convolution, not correlation: an impulse reproduces the kernel.
        drawn = layer(one)[0, 0]
        size = len(taps)
        first = 3 - size + 1
        torch.testing.assert_close(drawn[first : first + size, first : first + size], layer.kernel)
