"""Square patches of sparse pixels for discriminators, where rendering whole images would be too expensive.

Schwarz et al., GRAF, NeurIPS 2020, section 3.2; Meng et al., GNeRF, ICCV 2021, section 3.1.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


class Patches(NamedTuple):
    """coordinates: (B, S, S, 2) x, y; -1 and 1 are the centres of the outermost pixels. scale: (B,) relative to the image."""

    coordinates: Tensor
    scale: Tensor


def random_patches(batch: int, side: int, min_scale: float, generator: torch.Generator) -> Patches:
    """Draw patches of `side` x `side` points at random positions, with a size between `min_scale` and 1 times the image's.

    Raises ValueError unless 0 < min_scale <= 1.
    """
    if not 0 < min_scale <= 1:
        raise ValueError(f"min_scale must lie in (0, 1], got {min_scale}")
    return place_patches(torch.rand(batch, 3, generator=generator, device=generator.device), side, min_scale)


def place_patches(units: Tensor, side: int, min_scale: float) -> Patches:
    """Return patches with scale, x and y given by units (B, 3), each in [0, 1] of its range; see `random_patches`."""
    scale = min_scale + (1 - min_scale) * units[:, 0]
    centre = (2 * units[:, 1:] - 1) * (1 - scale)[:, None]
    grid = image_grid(side, side).to(units)
    return Patches(centre[:, None, None] + scale[:, None, None, None] * grid, scale)


def image_grid(height: int, width: int) -> Tensor:
    """Return the coordinates (H, W, 2) of points evenly spaced over the image, including its outermost pixels."""
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)


def patch_pixels(coordinates: Tensor, height: int, width: int) -> Tensor:
    """Convert patch coordinates (..., 2) to pixels (..., 2), centres at +0.5, for `rays_through`."""
    last = coordinates.new_tensor([width - 1, height - 1])
    return (coordinates + 1) / 2 * last + 0.5


def crop_patches(images: Tensor, coordinates: Tensor) -> Tensor:
    """Sample images (B, C, H, W) bilinearly at patch coordinates (B, S, S, 2): (B, C, S, S)."""
    return grid_sample(images, coordinates, mode="bilinear", padding_mode="border", align_corners=True)
