"""Depth errors by range of the true distance; sky, which has no depth, is excluded."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

EDGES = (0.0, 20.0, 50.0, float("inf"))  # bounds of the ranges in metres
NAMES = ("0_20", "20_50", "50_up")
CLOSE = 0.05  # maximum relative error of a correct pixel


class Pixels(NamedTuple):
    """The pixels of all views that have a true depth. predicted: (P,), 0 = missing. truth: (P,), above 0. Metres."""

    predicted: Tensor
    truth: Tensor


def gather(predicted: Sequence[Tensor], truth: Sequence[Tensor]) -> Pixels:
    """Return the pixels of depth maps (H, W) that have a true depth; raises ValueError for invalid sizes or values."""
    for one, true in zip(predicted, truth, strict=True):
        if one.shape != true.shape or one.dim() != 2:
            raise ValueError(f"predicted and true depth must both be (H, W), got {tuple(one.shape)} and {tuple(true.shape)}")
        if not torch.isfinite(one).all():
            raise ValueError("predicted depth contains NaN or infinity; missing depth must be 0")
    pairs = [(one[true > 0], true[true > 0]) for one, true in zip(predicted, truth)]
    return Pixels(torch.cat([one for one, _ in pairs]).double(), torch.cat([true for _, true in pairs]).double())


def scores(pixels: Pixels) -> Mapping[str, float]:
    """Return the metrics over all pixels, and for each non-empty range, with the range in their names."""
    values = dict(_depth_scores(pixels))
    for name, (low, high) in zip(NAMES, pairwise(EDGES)):
        within = (pixels.truth > low) & (pixels.truth <= high)
        if within.any():
            values |= {
                f"{metric}_{name}": v
                for metric, v in _depth_scores(Pixels(pixels.predicted[within], pixels.truth[within])).items()
            }
    return values


def _depth_scores(pixels: Pixels) -> dict[str, float]:
    has_depth = pixels.predicted > 0
    error = (pixels.predicted - pixels.truth).abs()
    right = has_depth & (error <= CLOSE * pixels.truth)
    values = {"within_5": right.double().mean().item(), "complete": has_depth.double().mean().item()}
    if has_depth.any():
        values["abs_rel"] = (error / pixels.truth)[has_depth].mean().item()
        values["abs_diff"] = error[has_depth].mean().item()
    return values
