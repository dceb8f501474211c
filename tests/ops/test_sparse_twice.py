"""Second-order gradients of the sparse convolution, as needed by gradient penalties: native against the reference."""

import pytest
import torch
from torch import Tensor

from deep3dmap.ops.sparse import KernelMap, downsample, kernel_map, kernel_offsets, sparse_conv3d


def penalty(features: Tensor, weight: Tensor, pairs: KernelMap, backend: str) -> tuple[Tensor, ...]:
    """Return gradients of a gradient norm with respect to features, weight and the incoming gradient."""
    leaves = [value.clone().requires_grad_() for value in (features, weight)]
    result = sparse_conv3d(*leaves, pairs, backend)  # type: ignore[arg-type]
    into = torch.ones_like(result).requires_grad_()
    first = torch.autograd.grad(result, leaves, into, create_graph=True)
    return torch.autograd.grad(sum((one.sin().sum() for one in first), features.new_zeros(())), [*leaves, into])


def problem(strided: bool) -> tuple[Tensor, Tensor, KernelMap]:
    generator = torch.Generator().manual_seed(0)
    voxels = torch.unique(torch.randint(-4, 4, (200, 3), generator=generator), dim=0)
    voxels = torch.cat([torch.zeros(len(voxels), 1), voxels], 1).int()
    outputs, size = (downsample(voxels, 2), 2) if strided else (voxels, 3)
    pairs = kernel_map(voxels, outputs, kernel_offsets(size, 1))
    weight = torch.randn(size**3, 6, 9, generator=generator) / 10
    return torch.randn(len(voxels), 6, generator=generator), weight, pairs


@pytest.mark.parametrize("strided", [False, True])
def test_native_and_reference_agree(strided: bool) -> None:
    features, weight, pairs = problem(strided)
    ours = penalty(features, weight, pairs, "native")
    for one, other in zip(ours, penalty(features, weight, pairs, "reference"), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("strided", [False, True])
def test_cuda_and_the_cpu_agree(strided: bool) -> None:
    features, weight, pairs = problem(strided)
    there = KernelMap(pairs.in_rows.cuda(), pairs.out_rows.cuda(), pairs.splits, pairs.inputs, pairs.outputs)
    ours = penalty(features.cuda(), weight.cuda(), there, "native")
    for one, other in zip(ours, penalty(features, weight, pairs, "reference"), strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=1e-4, rtol=1e-4)
