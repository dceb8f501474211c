"""Metrics of depth maps known up to scale (Wu et al., CVPR 2020, section 4.1), on pixels valid in both maps."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from deep3dmap.geometry.relief import ReliefCamera


def common_pixels(truth: Tensor, valid: Tensor, background: Tensor | float | None = None) -> Tensor:
    """Return a mask (N, H, W), 1 where both maps show the object at a pixel and all its neighbours, else 0.

    truth: depth (N, H, W). valid: (N, H, W), 1 where the other map has depth. background: depth from which the truth counts as
    empty; by default each map's largest. The outermost ring of pixels is always 0.
    """
    farthest = truth.amax((1, 2), keepdim=True) if background is None else background
    return _erode((truth < farthest).to(truth.dtype)) * _erode(valid.to(truth.dtype))


def _erode(mask: Tensor) -> Tensor:
    return (avg_pool2d(mask[:, None], 3, 1, 1)[:, 0] > 0.99).to(mask.dtype)


def scale_invariant_error(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Return SIDE (N,): the standard deviation of log depth differences over the mask (Eigen et al., NeurIPS 2014).

    NaN for an empty mask. Published tables report it times 100.
    """
    difference = predicted.log() - truth.log()
    count = mask.sum((1, 2))
    mean = (difference * mask).sum((1, 2)) / count
    return ((difference - mean[:, None, None]).square() * mask).sum((1, 2)).div(count).sqrt()


def mean_angle_deviation(predicted: Tensor, truth: Tensor, mask: Tensor, camera: ReliefCamera, exact: bool = False) -> Tensor:
    """Return MAD (N,) in degrees: the mean angle between the normals of two depth maps (N, H, W) over the mask.

    The published numbers use normals slightly shorter than 1, for which equal flat maps of 64 pixels differ by about 6 degrees;
    `exact` normalises them, so that the deviation of equal maps is 0.
    """
    predicted_normals, true_normals = camera.normals(predicted), camera.normals(truth)
    if exact:
        predicted_normals, true_normals = (normalize(normals, dim=-1) for normals in (predicted_normals, true_normals))
    cosine = (predicted_normals * true_normals).sum(-1).clamp(-1, 1)
    return (torch.rad2deg(cosine.acos()) * mask).sum((1, 2)) / mask.sum((1, 2))


def mean_absolute_error(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute difference (N,) of depth over the mask."""
    return ((predicted - truth).abs() * mask).sum((1, 2)) / mask.sum((1, 2))


def mean_squared_error(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference (N,) of depth over the mask."""
    return ((predicted - truth).square() * mask).sum((1, 2)) / mask.sum((1, 2))
