"""Bias, leaky ReLU and gain as three torch operations."""

from torch import Tensor
from torch.nn import functional


def fused_leaky_relu(values: Tensor, bias: Tensor | None, slope: float, gain: float) -> Tensor:
    """See `deep3dmap.ops.fused_leaky_relu`."""
    if bias is not None:
        values = values + bias.reshape(1, -1, *[1] * (values.dim() - 2))
    return functional.leaky_relu(values, slope) * gain
