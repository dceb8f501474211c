"""What a set of depth maps sees, as an axis-aligned box."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import unproject


def frustum_corners(intrinsics: Any, world_from_camera: Any, width: int, height: int, depth: float) -> Tensor:
    """Return the camera centre and the four image corners at `depth`, (5, 3) float64 in the world."""
    lens, pose = (torch.as_tensor(value, dtype=torch.float64) for value in (intrinsics, world_from_camera))
    corners = torch.tensor([[0.0, 0.0], [width, 0.0], [width, height], [0.0, height]], dtype=torch.float64)
    rays = torch.cat([(corners - lens[:2, 2]) / lens.diagonal()[:2], torch.ones(4, 1, dtype=torch.float64)], 1)
    points = torch.cat([torch.zeros(1, 3, dtype=torch.float64), rays * depth])
    return points @ pose[:3, :3].T + pose[:3, 3]


def bounds_of_depths(
    depths: Iterable[Tensor], intrinsics: Any, world_from_camera: Any, max_depth: float, stride: int = 4
) -> tuple[Tensor, Tensor] | None:
    """Return (lower, upper), each (3,) float64, of the surface points in the depth maps; None if no pixel is valid.

    depths: V maps (H, W). intrinsics: (V, 3, 3). world_from_camera: (V, 4, 4). Every `stride`-th pixel is looked at.
    """
    lower = torch.full((3,), torch.inf, dtype=torch.float64)
    upper = -lower
    for depth, lens, pose in zip(depths, intrinsics, world_from_camera):
        valid = torch.isfinite(depth) & (depth > 0) & (depth <= max_depth)
        chosen = valid[::stride, ::stride]
        if not chosen.any():
            continue
        points = unproject(torch.nan_to_num(depth.double()), lens, pose)[::stride, ::stride][chosen]
        lower, upper = torch.minimum(lower, points.amin(0)), torch.maximum(upper, points.amax(0))
    return (lower, upper) if bool(torch.isfinite(lower).all()) else None
