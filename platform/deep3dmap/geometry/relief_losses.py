"""Losses of relief reconstruction: photometric error and smoothness (Wu et al., CVPR 2020)."""

import math

import torch
from torch import Tensor


def photometric_loss(shown: Tensor, target: Tensor, mask: Tensor | None = None, deviation: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of images (N, C, H, W) where the mask (N, 1, H, W) is set.

    deviation: (N, 1, H, W) per pixel; the loss is then the negative log-likelihood of a Laplace distribution, up to a constant
    (equation 3). An empty mask gives 0 with a zero gradient.
    """
    loss = (shown - target).abs()
    if deviation is not None:
        loss = loss * math.sqrt(2) / (deviation + 1e-7) + (deviation + 1e-7).log()
    if mask is None:
        return loss.mean()
    weight = mask.expand_as(loss)
    total = weight.sum()
    return torch.where(total > 0, (loss * weight).sum() / total.clamp(min=1e-12), loss.sum() * 0)


def smoothness_loss(values: Tensor) -> Tensor:
    """Return the sum of the mean absolute second differences of maps (..., H, W): xx, xy, yx and yy."""
    across, down = values.diff(dim=-1), values.diff(dim=-2)
    seconds = (across.diff(dim=-1), across.diff(dim=-2), down.diff(dim=-1), down.diff(dim=-2))
    return torch.stack([second.abs().mean() for second in seconds]).sum()
