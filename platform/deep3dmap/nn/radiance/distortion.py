"""A loss that gathers what a ray sees in one place, against fog (Barron et al., Mip-NeRF 360, CVPR 2022, equation 15)."""

import torch
from torch import Tensor


def distortion(weights: Tensor, places: Tensor, lengths: Tensor, offsets: Tensor) -> Tensor:
    """Return the distortion (R,) of packed samples: sum_ij w_i w_j |s_i - s_j| + 1/3 sum_i w_i^2 length_i.

    weights: (S,) of rendering. places: (S,) s of the samples' middles, rising along each ray; the paper takes them even in
    1 / distance and in [0, 1]. lengths: (S,) of the samples in s. offsets: (R + 1,) int64, as in `PackedSamples`.
    By running sums, in time that grows with S. Differentiable in the weights.
    """
    rays = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff())
    w, s = weights.double(), places.double()
    before = _sums_before(w, offsets, rays)
    moment = _sums_before(w * s, offsets, rays)
    each = 2 * w * (s * before - moment) + w.square() * lengths.double() / 3
    return each.new_zeros(len(offsets) - 1).index_add(0, rays, each).to(weights)


def _sums_before(values: Tensor, offsets: Tensor, rays: Tensor) -> Tensor:
    """Return the sum (S,) of the values of the same ray that come before each."""
    total = torch.cat([values.new_zeros(1), values.cumsum(0)])
    return total[:-1] - total[offsets[:-1]][rays]
