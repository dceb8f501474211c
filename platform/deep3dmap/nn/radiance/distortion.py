"""Distortion loss, which concentrates the weights along a ray and reduces fog (Mip-NeRF 360, CVPR 2022, equation 15)."""

import torch
from torch import Tensor

from deep3dmap.ops.composite_reference import exclusive_sums


def distortion(weights: Tensor, places: Tensor, lengths: Tensor, offsets: Tensor) -> Tensor:
    """Return the distortion (R,) of packed samples: sum_ij w_i w_j |s_i - s_j| + 1/3 sum_i w_i^2 length_i.

    weights: (S,) rendering weights. places: (S,) s of the samples' midpoints, ascending along each ray; in the paper linear in
    1 / distance and in [0, 1]. lengths: (S,) of the samples in s. offsets: (R + 1,) int64, as in `PackedSamples`.
    Computed with running sums in time linear in S. Differentiable in the weights.
    """
    rays = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff())
    w, s = weights.double(), places.double()
    before = exclusive_sums(w, rays, offsets)
    moment = exclusive_sums(w * s, rays, offsets)
    each = 2 * w * (s * before - moment) + w.square() * lengths.double() / 3
    return each.new_zeros(len(offsets) - 1).index_add(0, rays, each).to(weights)
