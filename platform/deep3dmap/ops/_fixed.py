"""Deterministic gradient sums on CUDA: integers are accumulated instead of floats, so that the order does not matter."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

SUM_BITS = 62  # available to a sum: 64 less the sign and one spare bit
MAX_EXPONENT = 126  # largest exponent of the scale, a float32


class FixedSums(NamedTuple):
    """Sums in units of 1 / scale. sums: int64. scale: (1,) float32, a power of two; NaN if any summand is not finite."""

    sums: Tensor
    scale: Tensor

    def floats(self) -> Tensor:
        """Return the sums as float32."""
        return self.sums.to(torch.float32) / self.scale


def needs_fixed_sums(values: Tensor) -> bool:
    """Return whether torch requires deterministic algorithms and the values are on CUDA, where the order of sums varies."""
    return values.is_cuda and torch.are_deterministic_algorithms_enabled()


def fixed_sums(shape: tuple[int, ...], values: Tensor, max_summands: int) -> FixedSums:
    """Return zero-initialised sums, each of which may receive at most `max_summands` of the values, in whole or in part.

    The unit is the finest for which no sum overflows: largest value / 2^(62 - log2 max_summands), about 2^-42 of it for a
    million summands.
    """
    largest = values.detach().abs().amax() if values.numel() else values.new_zeros(())
    exponent = torch.frexp(largest).exponent
    bits = SUM_BITS - math.ceil(math.log2(max(max_summands, 1)))
    scale = torch.ldexp(torch.ones_like(largest), (bits - exponent).clamp(max=MAX_EXPONENT))
    known = torch.where(largest.isfinite(), scale, torch.nan)
    return FixedSums(torch.zeros(shape, dtype=torch.int64, device=values.device), known.reshape(1))
