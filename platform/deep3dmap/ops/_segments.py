"""Sums of scattered values in a fixed order, where CUDA's atomics would add in any."""

import torch
from torch import Tensor

from deep3dmap.ops._backend import run_native


def segments(ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the order (E,) int64 that sorts ids (E,), equal ones as they stand, and where each id from 0 begins, (count + 1,).

    Ids below 0 come first and belong to nothing.
    """
    narrow = ids.to(torch.int32) if count < 2**31 else ids
    values, order = torch.sort(narrow, stable=True)
    return order, torch.searchsorted(values, torch.arange(count + 1, device=ids.device, dtype=values.dtype))


def scatter_sum(values: Tensor, ids: Tensor, count: int, weights: Tensor | None = None) -> Tensor:
    """Return the sum for each id below count of the rows of values that go to it, (count, C); on CUDA, the same each time.

    values: (R, C) float32. ids: (E,) integer, E a multiple of R: each row goes to E / R neighbouring ids, times their weights
    (E,) float32; below 0 to none.
    """
    result = values.new_zeros(count, values.shape[1])
    if ids.numel() == 0 or result.numel() == 0:
        return result
    order, starts = segments(ids, count)
    given = values.new_empty(0) if weights is None else weights.contiguous()
    run_native("segment_sum", values.device, values.contiguous(), order, starts, given, ids.numel() // values.shape[0], result)
    return result
