"""Square patches of scattered pixels, by which discriminators judge renderings that are too dear to make whole.

Schwarz et al., GRAF, NeurIPS 2020, section 3.2; Meng et al., GNeRF, ICCV 2021, section 3.1.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


class Patches(NamedTuple):
    """coordinates: (B, S, S, 2) x, y; -1 and 1 are the centres of the outermost pixels. scale: (B,) share of the image."""

    coordinates: Tensor
    scale: Tensor


def random_patches(batch: int, side: int, least_scale: float, generator: torch.Generator) -> Patches:
    """Draw patches of `side` x `side` points whose extent is a share of the image between `least_scale` and 1, anywhere in it.

    Raises ValueError unless 0 < least_scale <= 1.
    """
    if not 0 < least_scale <= 1:
        raise ValueError(f"least_scale lies in (0, 1], got {least_scale}")
    return place_patches(torch.rand(batch, 3, generator=generator, device=generator.device), side, least_scale)


def place_patches(units: Tensor, side: int, least_scale: float) -> Patches:
    """Return the patches at units (B, 3) in [0, 1] of the ranges of scale, x and y; arguments as for `random_patches`."""
    scale = least_scale + (1 - least_scale) * units[:, 0]
    centre = (2 * units[:, 1:] - 1) * (1 - scale)[:, None]
    grid = image_grid(side, side).to(units)
    return Patches(centre[:, None, None] + scale[:, None, None, None] * grid, scale)


def image_grid(height: int, width: int) -> Tensor:
    """Return the coordinates (H, W, 2) of points that lie evenly over the whole image, its outermost pixels included."""
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1)


def patch_pixels(coordinates: Tensor, height: int, width: int) -> Tensor:
    """Turn coordinates (..., 2) of patches into pixels (..., 2), centres at +0.5, for `rays_through`."""
    last = coordinates.new_tensor([width - 1, height - 1])
    return (coordinates + 1) / 2 * last + 0.5


def crop_patches(images: Tensor, coordinates: Tensor) -> Tensor:
    """Sample images (B, C, H, W) bilinearly at patch coordinates (B, S, S, 2): (B, C, S, S)."""
    return grid_sample(images, coordinates, mode="bilinear", padding_mode="border", align_corners=True)
