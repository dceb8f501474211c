"""Bias, leaky ReLU and gain: native against reference, first and second derivatives, invalid arguments."""

from importlib import import_module

import pytest
import torch
from torch.nn import functional

from deep3dmap.ops.fused_leaky_relu import _native, _slope, fused_leaky_relu

SHAPES = [(5, 7), (2, 3, 9), (2, 6, 4, 5), (1, 4, 2, 3, 2), (3, 1), (4, 2, 1, 1), (0, 3, 2, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("biased", [True, False])
def test_native_equals_reference(shape: tuple[int, ...], biased: bool) -> None:
    generator = torch.Generator().manual_seed(len(shape))
    values = torch.randn(shape, generator=generator)
    bias = torch.randn(shape[1], generator=generator)
    weight = torch.randn(shape, generator=generator)
    results = []
    for backend in ("native", "reference"):
        leaves = [values.clone().requires_grad_(), bias.clone().requires_grad_()]
        out = fused_leaky_relu(leaves[0], leaves[1] if biased else None, 0.1, 1.7, backend)  # type: ignore[arg-type]
        gradients = torch.autograd.grad((out * weight).sum(), leaves[: 1 + biased])
        results.append([out.detach(), *gradients])
    for mine, other in zip(*results):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 2, 2)])
def test_gradcheck(backend: str, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
    bias = torch.randn(shape[1], dtype=torch.float64, generator=generator).requires_grad_()

    def call(x: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return fused_leaky_relu(x, b, backend=backend)  # type: ignore[arg-type]

    assert torch.autograd.gradcheck(call, (values, bias))
    assert torch.autograd.gradgradcheck(call, (values, bias))


def test_the_slope_holds_at_exactly_zero() -> None:
    values = torch.tensor([[-1.0, 0.0, 1.0]], requires_grad=True)
    fused_leaky_relu(values, gain=1.0).sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad, torch.tensor([[0.2, 0.2, 1.0]]))


def test_half_precision_and_layouts() -> None:
    values, bias = torch.randn(2, 6, 4, 5), torch.randn(6)
    expected = functional.leaky_relu(values + bias[:, None, None], 0.2) * 2**0.5
    for dtype in (torch.float16, torch.bfloat16):
        leaf = values.to(dtype).requires_grad_()
        out = fused_leaky_relu(leaf, bias)
        assert out.dtype == dtype
        torch.testing.assert_close(out.float(), expected, atol=0.05, rtol=0.02)
        out.sum().backward()
        assert leaf.grad is not None
        assert leaf.grad.dtype == dtype
    torch.testing.assert_close(fused_leaky_relu(values.to(memory_format=torch.channels_last), bias), expected)


def test_opcheck() -> None:
    values, bias = torch.randn(2, 3, 4, requires_grad=True), torch.randn(3, requires_grad=True)
    torch.library.opcheck(_native, (values, bias, 0.2, 1.5))
    torch.library.opcheck(_native, (values, None, 0.2, 1.5))
    torch.library.opcheck(_slope, (values, torch.randn(2, 3, 4), 0.2, 1.5))


def test_wrong_arguments_are_named() -> None:
    values = torch.zeros(2, 3)
    for words, given in [
        ("values", (values[0], None)),
        ("values", (values.int(), None)),
        ("bias", (values, torch.zeros(2))),
        ("bias", (values, torch.zeros(3).int())),
        ("bias is on meta", (values, torch.zeros(3, device="meta"))),
    ]:
        with pytest.raises(ValueError, match=words):
            fused_leaky_relu(*given)
    for slope, gain in ((-0.1, 1.0), (0.2, 0.0), (0.2, -1.0), (float("nan"), 1.0), (0.2, float("nan"))):
        with pytest.raises(ValueError, match="slope must be at least 0 and gain positive"):
            fused_leaky_relu(values, slope=slope, gain=gain)


def test_auto_on_cuda_needs_no_native_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """It uses torch's own kernels, so the native ones may be built for the CPU only."""
    monkeypatch.setattr(torch.Tensor, "is_cuda", property(lambda self: True))
    module = import_module("deep3dmap.ops.fused_leaky_relu")
    monkeypatch.setattr(module, "choose", lambda *_: pytest.fail("the native kernel was asked for"))
    torch.testing.assert_close(fused_leaky_relu(torch.ones(1, 1), gain=1.0), torch.ones(1, 1))


@pytest.mark.gpu
def test_cuda_equals_cpu() -> None:
    for shape in SHAPES[:-1]:
        values, bias = torch.randn(shape), torch.randn(shape[1])
        there = values.cuda().requires_grad_()
        out = fused_leaky_relu(there, bias.cuda(), backend="native")
        torch.testing.assert_close(out.cpu(), fused_leaky_relu(values, bias))
        (out**2).sum().backward()
        here = values.clone().requires_grad_()
        (fused_leaky_relu(here, bias) ** 2).sum().backward()
        assert there.grad is not None
        torch.testing.assert_close(there.grad.cpu(), here.grad)
