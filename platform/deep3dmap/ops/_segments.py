"""Scatter sums in a fixed order, in place of CUDA's atomics, whose order varies."""

import torch
from torch import Tensor

from deep3dmap.ops._backend import run_native


def segments(ids: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the stable sorting order (E,) int64 of ids (E,), and the start of each id from 0 in it, (count + 1,).

    Negative ids are sorted first and belong to no segment.
    """
    narrow = ids.to(torch.int32) if count < 2**31 else ids
    values, order = torch.sort(narrow, stable=True)
    return order, torch.searchsorted(values, torch.arange(count + 1, device=ids.device, dtype=values.dtype))


def scatter_sum(values: Tensor, ids: Tensor, count: int, weights: Tensor | None = None) -> Tensor:
    """Sum the rows of values by id, (count, C); deterministic, CUDA only.

    values: (R, C) float32. ids: (E,) integer below count, E a multiple of R: each row is added to E / R consecutive ids, times
    their weights (E,) float32; negative ids are skipped.
    """
    result = values.new_zeros(count, values.shape[1])
    if ids.numel() == 0 or result.numel() == 0:
        return result
    order, starts = segments(ids, count)
    given = values.new_empty(0) if weights is None else weights.contiguous()
    run_native("segment_sum", values.device, values.contiguous(), order, starts, given, ids.numel() // values.shape[0], result)
    return result
