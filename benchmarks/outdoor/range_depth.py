"""Errors of depth over ranges of the true distance; sky, which has none, is left out."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

EDGES = (0.0, 20.0, 50.0, float("inf"))  # metres, of the ranges
NAMES = ("0_20", "20_50", "50_up")
CLOSE = 0.05  # relative error up to which a pixel counts as right


class Pixels(NamedTuple):
    """The pixels of all views that have a true depth. predicted: (P,), 0 = nothing. truth: (P,), above 0. Metres."""

    predicted: Tensor
    truth: Tensor


def gather(predicted: Sequence[Tensor], truth: Sequence[Tensor]) -> Pixels:
    """Return the pixels of depth maps (H, W) where there is a true depth; raises ValueError where sizes or values are amiss."""
    for one, true in zip(predicted, truth, strict=True):
        if one.shape != true.shape or one.dim() != 2:
            raise ValueError(f"predicted and true depth are (H, W) alike, got {tuple(one.shape)} and {tuple(true.shape)}")
        if not torch.isfinite(one).all():
            raise ValueError("predicted depth holds NaN or infinity; depth that is missing is 0")
    pairs = [(one[true > 0], true[true > 0]) for one, true in zip(predicted, truth)]
    return Pixels(torch.cat([one for one, _ in pairs]).double(), torch.cat([true for _, true in pairs]).double())


def scores(pixels: Pixels) -> Mapping[str, float]:
    """Return the metrics of all pixels, and of each range that has any, named with the range."""
    values = dict(_of(pixels))
    for name, (low, high) in zip(NAMES, pairwise(EDGES)):
        within = (pixels.truth > low) & (pixels.truth <= high)
        if within.any():
            values |= {
                f"{metric}_{name}": v for metric, v in _of(Pixels(pixels.predicted[within], pixels.truth[within])).items()
            }
    return values


def _of(pixels: Pixels) -> dict[str, float]:
    there = pixels.predicted > 0
    error = (pixels.predicted - pixels.truth).abs()
    right = there & (error <= CLOSE * pixels.truth)
    values = {"within_5": right.double().mean().item(), "complete": there.double().mean().item()}
    if there.any():
        values["abs_rel"] = (error / pixels.truth)[there].mean().item()
        values["abs_diff"] = error[there].mean().item()
    return values
