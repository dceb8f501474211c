"""The loss of one level: weighted cross-entropy of the occupancy plus L1 of log-transformed distances (section 3.3)."""

import torch
from torch import Tensor
from torch.nn import functional


def level_loss(
    tsdf: Tensor,
    occupancy: Tensor,
    tsdf_target: Tensor,
    occupancy_target: Tensor,
    mask: Tensor | None = None,
    pos_weight: float = 1.5,
) -> Tensor:
    """Return the loss over the voxels in `mask` (N,), or over all without a mask; a differentiable 0 if none is occupied.

    tsdf: (N, 1) predicted, in truncations. occupancy: (N, 1) logits. tsdf_target: (N, 1). occupancy_target: (N, 1) bool.
    pos_weight: weight of occupied voxels, in multiples of the ratio of free to occupied voxels.
    """
    columns = [value.reshape(-1) for value in (tsdf, occupancy, tsdf_target, occupancy_target)]
    if mask is not None:
        columns = [column[mask.reshape(-1)] for column in columns]
    tsdf, occupancy, tsdf_target, occupied = columns[0], columns[1], columns[2], columns[3].bool()
    positive = occupied.sum()
    if positive == 0:
        return 0.0 * (tsdf.sum() + occupancy.sum())
    rarity = pos_weight * (len(occupied) - positive) / positive
    cross_entropy = functional.binary_cross_entropy_with_logits(occupancy, occupied.to(occupancy.dtype), pos_weight=rarity)
    return cross_entropy + (log_scaled(tsdf[occupied]) - log_scaled(tsdf_target[occupied])).abs().mean()


def log_scaled(distance: Tensor) -> Tensor:
    """Return sign(d) log(|d| + 1), which is smooth at 0."""
    return torch.sign(distance) * torch.log1p(distance.abs())
