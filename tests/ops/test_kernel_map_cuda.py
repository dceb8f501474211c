"""The kernel map on CUDA: pairs in the order of the reference, one synchronisation, coordinates out of range."""

import warnings

import pytest
import torch
from torch import Tensor

from deep3dmap.ops.sparse import KernelMap, downsample, kernel_map, kernel_offsets

pytestmark = pytest.mark.gpu


def voxels(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(-12, 12, (count, 4), generator=generator)
    rows[:, 0] %= 3
    distinct = torch.unique(rows, dim=0)
    return distinct[torch.randperm(len(distinct), generator=generator)].int()


def assert_same(ours: KernelMap, theirs: KernelMap) -> None:
    assert torch.equal(ours.splits, theirs.splits)
    assert torch.equal(ours.in_rows.cpu(), theirs.in_rows)
    assert torch.equal(ours.out_rows.cpu(), theirs.out_rows)
    assert (ours.inputs, ours.outputs) == (theirs.inputs, theirs.outputs)


@pytest.mark.parametrize("count", [0, 1, 2, 255, 256, 257, 3000])
@pytest.mark.parametrize(("kernel_size", "stride"), [(3, 1), (2, 2), (5, 1), (7, 2)])
def test_pairs_are_the_references(count: int, kernel_size: int, stride: int) -> None:
    inputs, offsets = voxels(count, count), kernel_offsets(kernel_size, 1)
    outputs = inputs if stride == 1 else downsample(inputs, stride)
    theirs = kernel_map(inputs, outputs, offsets, "reference")
    assert_same(kernel_map(inputs.cuda(), outputs.cuda(), offsets), theirs)
    assert_same(kernel_map(inputs.cuda(), outputs.cuda(), offsets).reversed(), theirs.reversed())


def test_the_host_waits_once() -> None:
    inputs, offsets = voxels(2000).cuda(), kernel_offsets(3, 1)
    kernel_map(inputs, inputs, offsets)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            kernel_map(inputs, inputs, offsets)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len([one for one in said if "synchroniz" in str(one.message)]) == 1


def test_coordinates_out_of_range_are_named() -> None:
    good, beyond = voxels(300), voxels(300)
    beyond[170, 2] = 1 << 17
    for inputs, outputs, name in ((beyond, good, "in_coordinates"), (good, beyond, "out_coordinates")):
        with pytest.raises(ValueError, match=f"{name} must lie from -131072 to 131071"):
            kernel_map(inputs.cuda(), outputs.cuda(), kernel_offsets(3, 1))
