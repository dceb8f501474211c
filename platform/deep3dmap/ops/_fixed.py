"""Deterministic gradient sums on CUDA: integers are accumulated instead of floats, so that the order does not matter."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

BITS = 62  # available to a sum: 64 less the sign and one spare bit
FINEST = 126  # largest exponent of the scale, a float32


class FixedSums(NamedTuple):
    """Sums in units of 1 / scale. sums: int64. scale: (1,) float32, a power of two; NaN if any summand is not finite."""

    sums: Tensor
    scale: Tensor

    def floats(self) -> Tensor:
        """Return the sums as float32."""
        return self.sums.to(torch.float32) / self.scale


def wanted(values: Tensor) -> bool:
    """Return whether torch requires deterministic algorithms and the values are on CUDA, where the order of sums varies."""
    return values.is_cuda and torch.are_deterministic_algorithms_enabled()


def fixed_sums(shape: tuple[int, ...], values: Tensor, most: int) -> FixedSums:
    """Return zero-initialised sums, each of which may receive at most `most` of the values, in whole or in part.

    The unit is the finest for which no sum overflows: largest value / 2^(62 - log2 most), for a million about 2^-42 of it.
    """
    largest = values.detach().abs().amax() if values.numel() else values.new_zeros(())
    exponent = torch.frexp(largest).exponent
    bits = BITS - math.ceil(math.log2(max(most, 1)))
    scale = torch.ldexp(torch.ones_like(largest), (bits - exponent).clamp(max=FINEST))
    known = torch.where(largest.isfinite(), scale, torch.nan)
    return FixedSums(torch.zeros(shape, dtype=torch.int64, device=values.device), known.reshape(1))
