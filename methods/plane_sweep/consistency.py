"""Cross-checking the depth maps of several frames: points that no other frame confirms are dropped."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, project, unproject


def confirmations(
    reference: int, others: Sequence[int], depths: Mapping[int, Tensor], intrinsics: Tensor, world_from_camera: Tensor,
    tolerance: float,
) -> Tensor:  # fmt: skip
    """Return (H, W) int: the number of other frames whose depth agrees with a pixel's point where they see it.

    depths: of the reference and the others, (H, W) metres, 0 = none. tolerance: largest relative difference in depth.
    """
    depth = depths[reference]
    points = unproject(depth.double(), intrinsics[reference], world_from_camera[reference]).view(-1, 3)
    agreeing = torch.zeros(depth.numel(), dtype=torch.int64)
    for other in others:
        pixels, expected = project(points, intrinsics[other], invert(world_from_camera[other]))
        found = _nearest(depths[other], pixels, expected > 0)
        agreeing += (found > 0) & ((found - expected).abs() < tolerance * expected)
    return agreeing.view(depth.shape).masked_fill(depth <= 0, 0)


def _nearest(depth: Tensor, pixels: Tensor, in_front: Tensor) -> Tensor:
    """Return the depths (N,) at pixels (N, 2) with centres at +0.5, and 0 outside the image."""
    height, width = depth.shape
    column, row = pixels.floor().clamp(-1, max(height, width)).long().unbind(1)
    inside = in_front & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    flat = torch.where(inside, row * width + column, 0)
    return torch.where(inside, depth.view(-1)[flat], 0)
