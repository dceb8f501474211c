"""Similarity of rendered images to photographs; column names encode the conventions.

psnr: per image, clipped to [0, 1], then averaged over images. psnr8: after rounding both to 8 bits. ssim11: window of 11,
Gaussian with sigma 1.5, borders excluded, range 1. lpips_alex, lpips_vgg: v0.1 with that network, on images in [-1, 1].
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import conv2d

MAX_DECIBELS = 100.0  # limit for identical images, whose infinite PSNR would dominate any mean
WINDOW, SIGMA = 11, 1.5
K1, K2 = 0.01, 0.03

# A distance between images (3, H, W) in [-1, 1], such as LPIPS.
Perceptual = Callable[[Tensor, Tensor], Tensor]


def image_similarity(predicted: Tensor, truth: Tensor, perceptual: Mapping[str, Perceptual] | None = None) -> dict[str, float]:
    """Return mse, psnr, psnr8 and ssim11 of an image (3, H, W) against the true one in [0, 1], and the `perceptual` distances.

    Raises ValueError for different shapes, non-finite values, and images smaller than the SSIM window.
    """
    _check(predicted, truth)
    clipped, truth = predicted.clamp(0, 1).double(), truth.double()
    values = {
        "mse": (clipped - truth).square().mean().item(),
        "psnr": psnr(clipped, truth),
        "psnr8": psnr(_to_eight_bit(clipped), _to_eight_bit(truth)),
        "ssim11": ssim(clipped, truth),
    }
    for name, distance in (perceptual or {}).items():
        values[name] = float(distance(2 * clipped.float() - 1, 2 * truth.float() - 1))
    return values


def psnr(predicted: Tensor, truth: Tensor) -> float:
    """Return -10 log10 of the mean squared error over all pixels and channels of an image, in dB; at most 100.

    Images (..., H, W) with range 1. The prediction is not clipped; clip it first.
    """
    _check(predicted, truth)
    error = (predicted.double() - truth.double()).square().mean().item()
    return min(-10 * math.log10(error), MAX_DECIBELS) if error > 0 else MAX_DECIBELS


def ssim(predicted: Tensor, truth: Tensor, window: int = WINDOW, sigma: float = SIGMA) -> float:
    """Return the mean structural similarity of images (C, H, W) with range 1 (Wang et al., TIP 2004).

    Uses a Gaussian window that stays inside the image, per channel. Raises ValueError for an image smaller than the window.
    """
    _check(predicted, truth)
    if min(truth.shape[-2:]) < window:
        raise ValueError(f"SSIM needs images of {window} x {window} pixels or more, got {tuple(truth.shape)}")
    x, y = predicted.double(), truth.double()
    stacked = torch.stack([x, y, x * x, y * y, x * y], 1)
    mean_x, mean_y, square_x, square_y, product = _blur(stacked, window, sigma).unbind(1)
    variance_x, variance_y = square_x - mean_x**2, square_y - mean_y**2
    covariance = product - mean_x * mean_y
    alike = (2 * mean_x * mean_y + K1**2) * (2 * covariance + K2**2)
    return (alike / ((mean_x**2 + mean_y**2 + K1**2) * (variance_x + variance_y + K2**2))).mean().item()


def _blur(images: Tensor, window: int, sigma: float) -> Tensor:
    """Blur (B, C, H, W) without padding."""
    offsets = torch.arange(window, dtype=images.dtype, device=images.device) - window // 2
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    flat = images.flatten(0, 1)[:, None]
    return conv2d(conv2d(flat, kernel[None, None, :, None]), kernel[None, None, None])[:, 0].unflatten(0, images.shape[:2])


def _to_eight_bit(image: Tensor) -> Tensor:
    return torch.round(image.clamp(0, 1) * 255) / 255


def _check(predicted: Tensor, truth: Tensor) -> None:
    if predicted.shape != truth.shape or truth.dim() < 3:
        raise ValueError(f"images must be (C, H, W) of one shape, got {tuple(predicted.shape)} and {tuple(truth.shape)}")
    if not torch.isfinite(predicted).all() or not torch.isfinite(truth).all():
        raise ValueError("an image contains NaN or infinity")
