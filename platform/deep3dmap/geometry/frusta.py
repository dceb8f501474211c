"""Axis-aligned bounds of the space seen by a set of cameras or depth maps."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import transform


def bounds(intrinsics: Any, world_from_camera: Any, width: int, height: int, near: float, far: float) -> tuple[Tensor, Tensor]:
    """Return the bounds (lower, upper), each (3,) float64, of the camera frusta between two depths.

    intrinsics: (V, 3, 3). world_from_camera: (V, 4, 4). near, far: metres along the optical axis.
    Raises ValueError unless there is at least one camera and 0 <= near < far.
    """
    if not 0 <= near < far or len(intrinsics) == 0:
        raise ValueError(f"bounds need cameras and 0 <= near < far, got {len(intrinsics)} cameras, {near} and {far}")
    parts = []
    for matrix, pose in zip(intrinsics, world_from_camera):
        rays = _corner_rays(matrix, width, height)
        parts.append(transform(torch.cat([rays * near, rays * far]), pose))
    points = torch.cat(parts)
    return points.amin(0), points.amax(0)


def bounds_of_depths(
    depths: Iterable[Any], intrinsics: Any, world_from_camera: Any, max_depth: float, stride: int = 4
) -> tuple[Tensor, Tensor] | None:
    """Return (lower, upper), each (3,) float64, of the surface points in the depth maps; None if no pixel is valid.

    depths: V maps (H, W). intrinsics: (V, 3, 3). world_from_camera: (V, 4, 4). Only every `stride`-th pixel is used.
    """
    lower = torch.full((3,), torch.inf, dtype=torch.float64)
    upper = -lower
    for depth, matrix, pose in zip(depths, intrinsics, world_from_camera):
        sparse = torch.as_tensor(depth)[::stride, ::stride]
        row, column = (torch.isfinite(sparse) & (sparse > 0) & (sparse <= max_depth)).nonzero(as_tuple=True)
        if len(row) == 0:
            continue
        pixels = torch.stack([column * stride + 0.5, row * stride + 0.5, torch.ones_like(row)], 1).double()
        rays = pixels @ torch.linalg.inv(torch.as_tensor(matrix, dtype=torch.float64)).T
        points = transform(rays * sparse[row, column, None].double(), pose)
        lower, upper = torch.minimum(lower, points.amin(0)), torch.maximum(upper, points.amax(0))
    return (lower, upper) if bool(torch.isfinite(lower).all()) else None


def _corner_rays(intrinsics: Any, width: int, height: int) -> Tensor:
    """Return the rays (4, 3) float64 with depth 1 through the image corners, in camera axes."""
    corners = torch.tensor([[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=torch.float64)
    return corners @ torch.linalg.inv(torch.as_tensor(intrinsics, dtype=torch.float64)).T
