"""Upsampling, filtering, downsampling: native against reference and scipy, first and second derivatives, invalid arguments."""

import numpy as np
import pytest
import torch
from scipy.signal import convolve2d

from deep3dmap.ops.upfirdn2d import _native, upfirdn2d

BINOMIAL = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def problem(seed: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, dict[str, list[int]]]:
    """Random sizes, kernels (separable and not), factors and paddings with a non-empty result."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 20, 2)
    kernel = rng.standard_normal(rng.integers(1, 8, 2))
    if seed % 3 == 0:
        kernel = np.outer(kernel[:, 0], kernel[0])
    up, down = rng.integers(1, 4, (2, 2)).tolist()
    x, y = (rng.integers(-2, 3, 2) + 4 for _ in range(2))
    if seed % 4 == 0 and min(height, width) > 12:
        x, y = x - 5, y - 5
    shape = rng.integers(1, 4, 2).tolist()
    images = torch.tensor(rng.standard_normal((*shape, height, width)), dtype=dtype)
    return images, torch.tensor(kernel, dtype=dtype), {"up": up, "down": down, "padding": [*x.tolist(), *y.tolist()]}


@pytest.mark.parametrize("seed", range(60))
def test_native_equals_reference(seed: int) -> None:
    images, kernel, settings = problem(seed)
    results = []
    for backend in ("native", "reference"):
        leaf = images.clone().requires_grad_()
        out = upfirdn2d(leaf, kernel, **settings, backend=backend)  # type: ignore[arg-type]
        (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(seed))).sum().backward()
        results.append((out.detach(), leaf.grad))
    for mine, other in zip(*results):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_plain_filtering_is_convolution(backend: str) -> None:
    rng = np.random.default_rng(0)
    image, kernel = rng.standard_normal((9, 13)), rng.standard_normal((3, 5))
    padding = (4, 4, 2, 2)
    ours = upfirdn2d(torch.tensor(image)[None, None], torch.tensor(kernel), padding=padding, backend=backend)  # type: ignore[arg-type]
    np.testing.assert_allclose(ours[0, 0].numpy(), convolve2d(image, kernel, mode="full"), atol=1e-12)


def test_a_constant_stays_constant() -> None:
    images = torch.full((1, 2, 8, 8), 3.0)
    doubled = upfirdn2d(images, BINOMIAL * 4, up=2, padding=(2, 1, 2, 1))
    halved = upfirdn2d(images, BINOMIAL, down=2, padding=(1, 1, 1, 1))
    assert doubled.shape[2:] == (16, 16)
    assert halved.shape[2:] == (4, 4)
    assert torch.equal(doubled[..., 2:-2, 2:-2], torch.full((1, 2, 12, 12), 3.0))
    assert torch.equal(halved[..., 1:-1, 1:-1], torch.full((1, 2, 2, 2), 3.0))


@pytest.mark.parametrize("seed", [0, 1, 4, 7, 12])
def test_gradcheck(seed: int) -> None:
    images, kernel, settings = problem(seed, torch.float64)
    few = images[:1, :1, :5, :5].clone().requires_grad_()
    settings["padding"] = [abs(pad) + 3 for pad in settings["padding"]]
    for backend in ("native", "reference"):

        def call(x: torch.Tensor, backend: str = backend) -> torch.Tensor:
            return upfirdn2d(x, kernel, **settings, backend=backend)  # type: ignore[arg-type]

        assert torch.autograd.gradcheck(call, few)
        assert torch.autograd.gradgradcheck(call, few)


def test_values_that_are_not_finite_stay_where_the_kernel_reaches() -> None:
    images = torch.zeros(1, 1, 9, 9)
    images[0, 0, 4, 4] = float("inf")
    for backend in ("native", "reference"):
        out = upfirdn2d(images, torch.ones(3, 3), padding=(1, 1, 1, 1), backend=backend)  # type: ignore[arg-type]
        assert int(out.isinf().sum()) == 9
        assert not out.isnan().any()


def test_half_precision_and_layouts() -> None:
    images, kernel, settings = problem(5)
    expected = upfirdn2d(images, kernel, **settings)  # type: ignore[arg-type]
    for dtype in (torch.float16, torch.bfloat16):
        out = upfirdn2d(images.to(dtype), kernel, **settings)  # type: ignore[arg-type]
        assert out.dtype == dtype
        torch.testing.assert_close(out.float(), expected, atol=0.1, rtol=0.05)
    last = images.to(memory_format=torch.channels_last)
    assert torch.equal(upfirdn2d(last, kernel, **settings), expected)  # type: ignore[arg-type]
    assert upfirdn2d(images[:0], kernel, **settings).shape == (0, *expected.shape[1:])  # type: ignore[arg-type]


def test_threads_do_not_change_the_result() -> None:
    images = torch.randn(3, 5, 17, 19)
    before = torch.get_num_threads()
    results = []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        results.append(upfirdn2d(images, BINOMIAL, up=2, padding=(2, 1, 2, 1)))
    torch.set_num_threads(before)
    assert torch.equal(*results)


def test_opcheck() -> None:
    torch.library.opcheck(_native, (torch.randn(2, 3, 6, 7, requires_grad=True), BINOMIAL, [2, 1, 1, 1, 2, 2], 12, 8))


def test_wrong_arguments_are_named() -> None:
    images = torch.zeros(1, 1, 4, 4)
    wrong = [
        ("images", {"images": images[0]}),
        ("images", {"images": images.int()}),
        ("kernel", {"kernel": BINOMIAL[0]}),
        ("kernel", {"kernel": BINOMIAL.int()}),
        ("kernel is on meta", {"kernel": BINOMIAL.to("meta")}),
        ("up", {"up": 0}),
        ("down", {"down": (1, 2, 3)}),
        ("padding", {"padding": (1, 1)}),
        ("nothing is left", {"padding": (-4, 0, 0, 0)}),
        ("too large", {"up": 2**30}),
        ("too large", {"padding": (2**31, -(2**31), 0, 0)}),
    ]
    for words, change in wrong:
        with pytest.raises(ValueError, match=words):
            upfirdn2d(**{"images": images, "kernel": BINOMIAL, **change})  # type: ignore[arg-type]


@pytest.mark.gpu
def test_cuda_equals_cpu() -> None:
    for seed in range(20):
        images, kernel, settings = problem(seed)
        here, there = images.clone().requires_grad_(), images.cuda().requires_grad_()
        ours = upfirdn2d(here, kernel, **settings)  # type: ignore[arg-type]
        theirs = upfirdn2d(there, kernel.cuda(), **settings)  # type: ignore[arg-type]
        torch.testing.assert_close(theirs.cpu(), ours, atol=1e-5, rtol=1e-5)
        (ours**2).sum().backward()
        (theirs**2).sum().backward()
        assert there.grad is not None
        torch.testing.assert_close(there.grad.cpu(), here.grad, atol=1e-4, rtol=1e-5)
