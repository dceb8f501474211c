"""Depth metrics per frame, as in NeuralRecon and Atlas (zju3dv/NeuralRecon, tools/evaluation_utils.py)."""

import math

import torch
from torch import Tensor

NAMES = ("abs_rel", "abs_diff", "sq_rel", "rmse", "log_rmse", "delta_1.25", "delta_1.25^2", "delta_1.25^3", "complete")

# A missing prediction counts as depth 0 against a truth of 10 m (1 cm against 10 m in the logarithm).
EMPTY_PREDICTION = {"abs_rel": 1.0, "abs_diff": 10.0, "sq_rel": 10.0, "rmse": 10.0, "log_rmse": math.log(1000.0)}
EMPTY_PREDICTION |= dict.fromkeys(("delta_1.25", "delta_1.25^2", "delta_1.25^3", "complete"), 0.0)


def depth_metrics(predicted: Tensor, truth: Tensor, max_depth: float = 10.0) -> dict[str, float]:
    """Compare a depth map with the true one, both (H, W) in metres along the optical axis, 0 = no depth.

    The error metrics are means over pixels with predicted > 0 and 0 < truth < max_depth: abs_rel |d|/g, abs_diff |d|,
    sq_rel d^2/g, rmse, log_rmse, and delta_t = fraction with max(g/p, p/g) < t. complete is the fraction of ALL pixels with
    predicted > 0. A frame without common pixels only has `complete`; average frames with `mean_metrics`. Raises ValueError for
    different shapes and non-finite predictions.
    """
    if predicted.shape != truth.shape or predicted.dim() != 2:
        raise ValueError(f"predicted and truth must both be (H, W), got {tuple(predicted.shape)} and {tuple(truth.shape)}")
    if not torch.isfinite(predicted).all():
        raise ValueError("predicted contains NaN or infinity; missing depth must be 0")
    complete = {"complete": (predicted > 0).double().mean().item()}
    mask = (predicted > 0) & (truth > 0) & (truth < max_depth)
    if not mask.any():
        return complete
    return _errors(predicted[mask].double(), truth[mask].double()) | complete


def mean_metrics(frames: list[dict[str, float]]) -> dict[str, float]:
    """Average over the frames of a scan: each metric over the frames that have it, `complete` over all.

    If no frame has an error metric, the prediction was empty and the scan gets the values of `EMPTY_PREDICTION`, so that a
    failure never scores better than a bad result. Raises ValueError for an empty list.
    """
    if not frames:
        raise ValueError("there are no frames to average")
    means = {}
    for name in NAMES:
        values = [frame[name] for frame in frames if name in frame]
        means[name] = sum(values) / len(values) if values else EMPTY_PREDICTION[name]
    return means


def _errors(predicted: Tensor, truth: Tensor) -> dict[str, float]:
    error = (predicted - truth).abs()
    ratio = torch.maximum(truth / predicted, predicted / truth)
    values = {
        "abs_rel": (error / truth).mean(),
        "abs_diff": error.mean(),
        "sq_rel": (error.square() / truth).mean(),
        "rmse": error.square().mean().sqrt(),
        "log_rmse": (predicted.log() - truth.log()).square().mean().sqrt(),
        "delta_1.25": (ratio < 1.25).double().mean(),
        "delta_1.25^2": (ratio < 1.25**2).double().mean(),
        "delta_1.25^3": (ratio < 1.25**3).double().mean(),
    }
    return {name: value.item() for name, value in values.items()}
