"""Smoothness along lines of pixels: semi-global matching (H. Hirschmuller, Stereo Processing by Semiglobal Matching and Mutual
Information, PAMI 2008), on the planes of a sweep instead of disparities."""

import torch
from torch import Tensor

EDGE = 0.03  # difference of grey values that halves the cost of a large step


def aggregate(costs: Tensor, small_step: float, large_step: float, guide: Tensor) -> Tensor:
    """Return (D, H, W): the sum of the path costs to each pixel and plane from left, right, above and below.

    costs: (D, H, W). small_step: penalty for a step to the next plane. large_step: penalty for a step to any other plane. The
    latter is reduced where the picture `guide`, (H, W) in [0, 1], changes, because surfaces end there, but not below
    small_step.
    """
    total = torch.zeros_like(costs)
    for axis in (1, 2):
        for reverse in (False, True):
            total += _along(costs, small_step, large_step, guide, axis, reverse)
    return total


def _along(costs: Tensor, small_step: float, large_step: float, guide: Tensor, axis: int, reverse: bool) -> Tensor:
    # Lines first, planes last, so that the steps along a path are contiguous in memory.
    lines = costs.permute(axis, 3 - axis, 0).contiguous()
    shades = guide if axis == 1 else guide.T
    paid = torch.full_like(lines, 0)
    order = range(len(lines) - 1, -1, -1) if reverse else range(len(lines))
    last = -1
    for place in order:
        if last < 0:
            paid[place] = lines[place]
        else:
            jump = large_step / (1 + (shades[place] - shades[last]).abs() / EDGE)
            paid[place] = lines[place] + _cheapest(paid[last], small_step, jump.clamp(min=small_step))
        last = place
    return paid.permute(2, 0, 1) if axis == 1 else paid.permute(2, 1, 0)


def _cheapest(before: Tensor, small_step: float, jump: Tensor) -> Tensor:
    """Return (N, D): the cost of coming from the previous pixel, minus the lowest cost there."""
    least = before.amin(1, keepdim=True)
    reached = torch.minimum(before, least + jump[:, None])
    torch.minimum(reached[:, 1:], before[:, :-1] + small_step, out=reached[:, 1:])
    torch.minimum(reached[:, :-1], before[:, 1:] + small_step, out=reached[:, :-1])
    return reached - least
