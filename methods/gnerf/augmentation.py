"""Differentiable augmentation of the discriminator's input (Zhao et al., DiffAugment, NeurIPS 2020), images in [-1, 1]."""

import torch
from torch import Tensor


def brighten(images: Tensor, units: Tensor) -> Tensor:
    """Add u - 1/2 to images (B, C, H, W); units: u, (B, 1, 1, 1) in [0, 1], as in the functions below."""
    return images + (units - 0.5)


def saturate(images: Tensor, units: Tensor) -> Tensor:
    """Scale each pixel's difference from its grey value by 2 u."""
    grey = images.mean(1, keepdim=True)
    return grey + (images - grey) * (2 * units)


def stretch_contrast(images: Tensor, units: Tensor) -> Tensor:
    """Scale each image's difference from its mean by u + 1/2."""
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (units + 0.5)


def cut_out(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Set a window of half the size around (row, column), (B,) each, to 0 (mid grey); the window is clamped at the border."""
    height, width = images.shape[2:]
    covered = _window(rows, height)[:, :, None] & _window(columns, width)[:, None, :]
    return images * ~covered[:, None]


def augment(images: Tensor, generator: torch.Generator, probability: float = 0.5) -> Tensor:
    """With the given probability for the whole batch, change colours and cut out, with separate random numbers per image."""
    device, count = generator.device, len(images)
    if float(torch.rand((), generator=generator, device=device)) >= probability:
        return images
    units = torch.rand(3, count, 1, 1, 1, generator=generator, device=device).to(images)
    images = stretch_contrast(saturate(brighten(images, units[0]), units[1]), units[2])
    # A window of even size is centred between two pixels, so it has one more position.
    places = (
        torch.randint(side + 1 - _window_size(side) % 2, (count,), generator=generator, device=device).to(images.device)
        for side in images.shape[2:]
    )
    return cut_out(images, *places)


def _window_size(side: int) -> int:
    return (side + 1) // 2


def _window(centres: Tensor, side: int) -> Tensor:
    """Return a mask (B, side) of the rows or columns covered by a window of half the side."""
    size = _window_size(side)
    places = (centres[:, None] + torch.arange(size, device=centres.device) - size // 2).clamp(0, side - 1)
    return torch.zeros(len(centres), side, dtype=torch.bool, device=centres.device).scatter(1, places.long(), True)
