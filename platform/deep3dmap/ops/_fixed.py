"""Gradients that CUDA's threads add in any order and that are yet equal bit by bit: sums of whole numbers instead of floats."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

BITS = 62  # of a sum, without its sign and one bit to spare
FINEST = 126  # the scale is a float32


class FixedSums(NamedTuple):
    """Sums in units of 1 / scale. sums: int64. scale: (1,) float32, a power of two; NaN where what is added is not finite."""

    sums: Tensor
    scale: Tensor

    def floats(self) -> Tensor:
        """Return the sums as float32."""
        return self.sums.to(torch.float32) / self.scale


def wanted(values: Tensor) -> bool:
    """Return whether torch was asked for deterministic algorithms and CUDA would add such values in any order."""
    return values.is_cuda and torch.are_deterministic_algorithms_enabled()


def fixed_sums(shape: tuple[int, ...], values: Tensor, most: int) -> FixedSums:
    """Return sums of 0 to which at most `most` of the values each go, whole or in part.

    The unit is the finest with which no sum overflows: the largest value / 2^(62 - log2 most), for a million about 2^-42 of it.
    """
    largest = values.detach().abs().amax() if values.numel() else values.new_zeros(())
    exponent = torch.frexp(largest).exponent
    bits = BITS - math.ceil(math.log2(max(most, 1)))
    scale = torch.ldexp(torch.ones_like(largest), (bits - exponent).clamp(max=FINEST))
    known = torch.where(largest.isfinite(), scale, torch.nan)
    return FixedSums(torch.zeros(shape, dtype=torch.int64, device=values.device), known.reshape(1))
