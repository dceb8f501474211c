"""Metrics of a depth map known up to its scale (Wu et al., CVPR 2020, section 4.1), on the pixels that both maps show."""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from deep3dmap.geometry.relief import ReliefCamera


def common_pixels(truth: Tensor, valid: Tensor, background: Tensor | float | None = None) -> Tensor:
    """Return where both maps show the object and so do all pixels around, (N, H, W) of 0 and 1.

    truth: (N, H, W), depth. valid: (N, H, W), 1 where the other map has depth. background: depth from which on the truth
    shows nothing; each map's largest if None. The outermost ring never counts.
    """
    farthest = truth.amax((1, 2), keepdim=True) if background is None else background
    return _eroded((truth < farthest).to(truth.dtype)) * _eroded(valid.to(truth.dtype))


def _eroded(mask: Tensor) -> Tensor:
    return (avg_pool2d(mask[:, None], 3, 1, 1)[:, 0] > 0.99).to(mask.dtype)


def scale_invariant_error(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Return SIDE (N,): the standard deviation of log depth differences over the mask (Eigen et al., NeurIPS 2014).

    Not a number where the mask is empty. Published tables hold it times 100.
    """
    difference = predicted.log() - truth.log()
    count = mask.sum((1, 2))
    mean = (difference * mask).sum((1, 2)) / count
    return ((difference - mean[:, None, None]).square() * mask).sum((1, 2)).div(count).sqrt()


def mean_angle_deviation(predicted: Tensor, truth: Tensor, mask: Tensor, camera: ReliefCamera, exact: bool = False) -> Tensor:
    """Return MAD (N,) in degrees: the mean angle between the normals of two depth maps (N, H, W) over the mask.

    The published numbers come from normals that are a little shorter than 1, so that equal maps of 64 pixels are some 6 degrees
    apart where they are flat; `exact` makes them unit vectors and the deviation of equal maps 0.
    """
    ours, theirs = camera.normals(predicted), camera.normals(truth)
    if exact:
        ours, theirs = (normalize(normals, dim=-1) for normals in (ours, theirs))
    cosine = (ours * theirs).sum(-1).clamp(-1, 1)
    return (torch.rad2deg(cosine.acos()) * mask).sum((1, 2)) / mask.sum((1, 2))


def mean_absolute_error(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Return the mean absolute difference (N,) of depth over the mask."""
    return ((predicted - truth).abs() * mask).sum((1, 2)) / mask.sum((1, 2))


def mean_squared_error(predicted: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference (N,) of depth over the mask."""
    return ((predicted - truth).square() * mask).sum((1, 2)) / mask.sum((1, 2))
