"""The losses of PRNet: a texel-wise comparison of position maps in which important face regions have a higher weight."""

import torch
from torch import Tensor


def position_loss(predicted: Tensor, target: Tensor, weight: Tensor, kind: str = "l2") -> Tensor:
    """Weighted mean difference of two (B, 3, S, S) normalised maps; weight: (S, S).

    kind "l2": weight * squared difference, averaged over all B * 3 * S * S entries (Feng et al., ECCV 2018, equation 1, up to
    the constant). "l1": the same with absolute differences. "norm": weight * Euclidean distance, averaged over B * S * S.
    """
    difference = predicted - target
    if kind == "l2":
        return (weight * difference.square()).mean()
    if kind == "l1":
        return (weight * difference.abs()).mean()
    if kind == "norm":
        return (weight * torch.linalg.vector_norm(difference, dim=1)).mean()
    raise ValueError(f"kind is 'l2', 'l1' or 'norm', got '{kind}'")


def landmark_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of (B, 68, 3) normalised landmarks, unweighted, as in the older deep3dmap port."""
    return (predicted - target).abs().mean()


def weight_penalty(weights: list[Tensor]) -> Tensor:
    """Return sum(w^2) / 2 over all weights: TensorFlow's L2 regulariser without its coefficient."""
    return torch.stack([weight.square().sum() for weight in weights]).sum() / 2
