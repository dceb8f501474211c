"""Differentiable losses between captured and rendered images: landmarks, silhouettes, colours.

All return a scalar. If there is nothing to compare (no visible landmark, an empty mask), the loss is 0 with a zero gradient.
"""

from typing import Literal

import torch
from torch import Tensor

from deep3dmap.geometry.nearest_neighbours import nearest

HALF_DIAGONAL = 0.5**0.5  # of a pixel


def geman_mcclure(residual: Tensor, scale: float) -> Tensor:
    """Return rho(r) = scale^2 r^2 / (scale^2 + r^2), about r^2 near 0 and below scale^2 (Geman and McClure, 1987; SMPLify)."""
    if scale <= 0:
        raise ValueError(f"the scale of the robust loss must be positive, got {scale}")
    squared = residual.square()
    return scale**2 * squared / (scale**2 + squared)


def landmark_loss(
    predicted: Tensor, target: Tensor, confidence: Tensor | None = None, *, unit: float = 1.0, robust: float | None = None
) -> Tensor:
    """Return the confidence-weighted mean distance of landmarks (..., L, 2 or 3), or of its Geman-McClure rho.

    confidence: (..., L), 0 = not visible; such landmarks may be NaN. unit: length by which distances are divided first, such as
    the diagonal of the subject's box. robust: scale of rho in that unit; None uses the plain distance. Raises ValueError for
    inconsistent shapes.
    """
    if predicted.shape != target.shape:
        raise ValueError(f"predicted and target differ in shape: {tuple(predicted.shape)} and {tuple(target.shape)}")
    weight = predicted.new_ones(predicted.shape[:-1]) if confidence is None else confidence.to(predicted)
    if weight.shape != predicted.shape[:-1]:
        raise ValueError(f"confidence must be {tuple(predicted.shape[:-1])}, got {tuple(weight.shape)}")
    offset = torch.where((weight > 0)[..., None], predicted - target, 0.0) / unit
    distance = torch.linalg.vector_norm(offset, dim=-1)
    return _weighted_mean(distance if robust is None else geman_mcclure(distance, robust), weight)


def silhouette_iou_loss(coverage: Tensor, mask: Tensor) -> Tensor:
    """Return 1 - IoU of soft silhouettes (..., H, W) in [0, 1], averaged over the leading axes.

    IoU = sum(a m) / sum(a + m - a m) per image (Liu et al., Soft Rasterizer, ICCV 2019). The loss of two empty silhouettes is
    0. Raises ValueError for different shapes.
    """
    _check_same_shape(coverage, mask)
    product = coverage * mask
    both, either = product.sum((-2, -1)), (coverage + mask - product).sum((-2, -1))
    empty = either == 0
    return torch.where(empty, 0.0, 1 - both / torch.where(empty, 1.0, either)).mean()


def mask_chamfer_loss(pixels: Tensor, mask: Tensor, *, unit: float = 1.0) -> Tensor:
    """Return the chamfer distance in the image between projected vertices (N, 2) and the mask, both directions, over `unit`.

    pixels: (N, 2) and unit, both in pixels. mask: (H, W), covered above 0.5, with pixel centres at +0.5; vertices within half a
    pixel diagonal of a covered centre count as inside. Unlike silhouette overlap this loss has long-range gradients: a limb
    that does not overlap the mask is still pulled towards it. An empty mask or no vertices give 0.
    """
    covered = (mask > 0.5).nonzero().flip(1).to(pixels) + 0.5
    if not len(covered) or not len(pixels):
        return pixels.sum() * 0
    outside = torch.linalg.vector_norm(pixels - covered[nearest(pixels, covered)], dim=1)
    missed = torch.linalg.vector_norm(covered - pixels[nearest(covered, pixels)], dim=1)
    return ((outside - HALF_DIAGONAL).clamp(min=0).mean() + missed.mean()) / unit


def silhouette_l2_loss(coverage: Tensor, mask: Tensor) -> Tensor:
    """Return the mean squared difference of soft silhouettes (..., H, W) in [0, 1]; raises ValueError for different shapes."""
    _check_same_shape(coverage, mask)
    return (coverage - mask).square().mean()


def photometric_loss(rendered: Tensor, image: Tensor, mask: Tensor | None = None, norm: Literal["l1", "l21"] = "l1") -> Tensor:
    """Return the mean difference of two images (..., C, H, W) over the masked pixels.

    mask: (..., H, W) weights; pixels of weight 0 are ignored, even if NaN. l1: mean over channels of |difference|; l21:
    Euclidean norm over the channels, which is robust to pixels that are outliers in all channels (Thies et al., CVPR 2016).
    Raises ValueError for inconsistent shapes or an unknown norm.
    """
    _check_same_shape(rendered, image)
    weight = rendered.new_ones(rendered[..., 0, :, :].shape) if mask is None else mask.to(rendered)
    if weight.shape != rendered[..., 0, :, :].shape:
        raise ValueError(f"mask must be {tuple(rendered[..., 0, :, :].shape)}, got {tuple(weight.shape)}")
    difference = torch.where((weight > 0)[..., None, :, :], rendered - image, 0.0)
    if norm == "l1":
        return _weighted_mean(difference.abs().mean(-3), weight)
    if norm == "l21":
        return _weighted_mean(torch.linalg.vector_norm(difference, dim=-3), weight)
    raise ValueError(f"norm must be l1 or l21, not '{norm}'")


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    total = weight.sum()
    return (values * weight).sum() / torch.where(total > 0, total, 1.0)


def _check_same_shape(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(f"both must have the same shape, got {tuple(first.shape)} and {tuple(second.shape)}")
