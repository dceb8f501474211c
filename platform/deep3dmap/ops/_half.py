"""Half-precision types, and their conversion to float32 for sums."""

import torch
from torch import Tensor

HALF_TYPES = (torch.float16, torch.bfloat16)


def upcast_half(values: Tensor) -> Tensor:
    """Convert half precision to float32, differentiably; return any other type unchanged."""
    return values.float() if values.dtype in HALF_TYPES else values
