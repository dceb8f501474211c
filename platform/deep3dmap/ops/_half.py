"""Half precision: which types it has, and the widening of what is summed in float32."""

import torch
from torch import Tensor

HALF_TYPES = (torch.float16, torch.bfloat16)


def widened(values: Tensor) -> Tensor:
    """Return half precision as float32, differentiably, and any other type as it is."""
    return values.float() if values.dtype in HALF_TYPES else values
