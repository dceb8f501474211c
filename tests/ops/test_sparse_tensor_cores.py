"""Sparse convolution on tensor cores: errors against float64 within the precision of the type; bitwise reproducibility."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from deep3dmap.ops.sparse import KernelMap, downsample, kernel_map, kernel_offsets, sparse_conv3d, tensor_cores

pytestmark = pytest.mark.gpu
# Relative error of a product of two numbers rounded to 10, 10 and 7 bits; sums are in float32.
UNIT = {torch.float32: 2**-11, torch.float16: 2**-11, torch.bfloat16: 2**-8}


@pytest.fixture(autouse=True)
def tf32() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


def cloud(count: int, seed: int) -> Tensor:
    """Distinct voxels in no particular order, dense enough that many are neighbours."""
    generator = torch.Generator().manual_seed(seed)
    side = max(2, round((2 * count) ** (1 / 3)))
    rows = torch.unique(torch.randint(-side, side, (count, 3), generator=generator), dim=0)
    batch = torch.randint(0, 2, (len(rows), 1), generator=generator)
    return torch.cat([batch, rows], 1)[torch.randperm(len(rows), generator=generator)].int()


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def map_of(kind: str, count: int) -> KernelMap:
    voxels = cloud(count, count)
    if kind == "submanifold":
        return kernel_map(voxels, voxels, kernel_offsets(3, 1), "reference")
    if kind == "five":
        return kernel_map(voxels, voxels, kernel_offsets(5, 1), "reference")
    down = kernel_map(voxels, downsample(voxels, 2), kernel_offsets(2, 1), "reference")
    return down.reversed() if kind == "transposed" else down


def on_cuda(pairs: KernelMap) -> KernelMap:
    return KernelMap(pairs.in_rows.cuda(), pairs.out_rows.cuda(), pairs.splits, pairs.inputs, pairs.outputs)


def all_of(features: Tensor, weight: Tensor, pairs: KernelMap, gradient: Tensor, backend: str) -> tuple[Tensor, ...]:
    features, weight = features.clone().requires_grad_(), weight.clone().requires_grad_()
    result = sparse_conv3d(features, weight, pairs, backend)  # type: ignore[arg-type]
    return (result.detach(), *torch.autograd.grad(result, (features, weight), gradient))


def bounds(features: Tensor, weight: Tensor, pairs: KernelMap, gradient: Tensor) -> tuple[Tensor, ...]:
    """Return the sums of the products' magnitudes, to which rounding errors of the sums are proportional."""
    return all_of(features.abs(), weight.abs(), pairs, gradient.abs(), "reference")


CASES = [
    ("submanifold", 300, 16, 16),
    ("submanifold", 700, 64, 64),
    ("submanifold", 400, 128, 128),
    ("submanifold", 260, 96, 136),
    ("submanifold", 150, 200, 40),
    ("submanifold", 130, 3, 5),
    ("submanifold", 129, 1, 1),
    ("strided", 500, 33, 64),
    ("transposed", 500, 64, 30),
    ("five", 200, 24, 8),
    ("submanifold", 1, 8, 8),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("kind", "count", "c_in", "c_out"), CASES)
def test_errors_are_those_of_the_precision(kind: str, count: int, c_in: int, c_out: int, dtype: torch.dtype) -> None:
    pairs = map_of(kind, count)
    there = on_cuda(pairs)
    assert tensor_cores.is_supported(there.in_rows.device, dtype)
    features, gradient = random(pairs.inputs, c_in).to(dtype), random(pairs.outputs, c_out, seed=1).to(dtype)
    weight = random(len(pairs.splits) - 1, c_in, c_out, seed=2).to(dtype)
    ours = all_of(features.cuda(), weight.cuda(), there, gradient.cuda(), "native")
    exact = (features.double(), weight.double(), pairs, gradient.double())
    for name, one, other, bound in zip(
        ["result", "features", "weight"], ours, all_of(*exact, "reference"), bounds(*exact), strict=True
    ):
        assert one.dtype == dtype
        # TF32 rounds the inputs, half types the outputs; the margin covers float32 sums that tensor cores truncate.
        rounding = 2 * UNIT[dtype] * bound if dtype == torch.float32 else UNIT[dtype] * other.abs() + 2**-14 * bound
        worst = (one.cpu().double() - other).abs() - rounding - 1e-6
        assert worst.max() <= 0, name


@pytest.mark.parametrize(("kind", "count", "c_in", "c_out"), CASES)
def test_float32_stays_float32_where_tf32_is_not_allowed(kind: str, count: int, c_in: int, c_out: int) -> None:
    torch.set_float32_matmul_precision("highest")
    pairs = map_of(kind, count)
    features, gradient = random(pairs.inputs, c_in), random(pairs.outputs, c_out, seed=1)
    weight = random(len(pairs.splits) - 1, c_in, c_out, seed=2)
    ours = all_of(features.cuda(), weight.cuda(), on_cuda(pairs), gradient.cuda(), "native")
    exact = (features.double(), weight.double(), pairs, gradient.double())
    for one, other, bound in zip(ours, all_of(*exact, "reference"), bounds(*exact), strict=True):
        assert ((one.cpu().double() - other).abs() <= 2e-6 * bound + 1e-6).all()


def test_autocast_takes_its_type() -> None:
    there = on_cuda(map_of("submanifold", 300))
    features, weight = random(there.inputs, 32).cuda().requires_grad_(), random(27, 32, 16, seed=1).cuda().requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        result = sparse_conv3d(features, weight, there)
    assert result.dtype == torch.bfloat16
    plain = sparse_conv3d(features.bfloat16(), weight.bfloat16(), there)
    assert torch.equal(result, plain)
    result.float().sum().backward()
    assert features.grad is not None
    assert features.grad.dtype == torch.float32


def test_repeats_are_equal_bit_by_bit() -> None:
    there = on_cuda(map_of("submanifold", 900))
    features, weight, gradient = random(there.inputs, 64), random(27, 64, 64, seed=1), random(there.outputs, 64, seed=2)
    found = [all_of(features.cuda(), weight.cuda(), there, gradient.cuda(), "native") for _ in range(3)]
    for repeat in found[1:]:
        assert all(torch.equal(one, other) for one, other in zip(found[0], repeat, strict=True))


def test_rows_that_do_not_begin_at_a_whole_piece() -> None:
    there = on_cuda(map_of("submanifold", 200))
    weight = random(27, 16, 16, seed=1).half().cuda()
    whole = random(there.inputs * 16 + 1).half().cuda()
    shifted = whole[1:].view(there.inputs, 16)
    assert torch.equal(sparse_conv3d(shifted, weight, there), sparse_conv3d(shifted.clone(), weight, there))
