"""Rays through pixels for radiance fields, with unit directions, so that the ray parameter is the distance from the origin."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from deep3dmap.render.volume import Rays


def pixel_centres(height: int, width: int, device: torch.device | None = None) -> Tensor:
    """Return the centres (H * W, 2) of the pixels as x, y, row by row; the first is (0.5, 0.5)."""
    rows, columns = (torch.arange(count, dtype=torch.float32, device=device) + 0.5 for count in (height, width))
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).reshape(-1, 2)


def rays_through(pixels: Tensor, intrinsics: Any, world_from_camera: Any) -> Rays:
    """Return the rays through pixels (..., 2), x and y with centres at +0.5: origins and unit directions, (..., 3) each.

    intrinsics: (..., 3, 3) pixels. world_from_camera: (..., 3 or 4, 4), OpenCV axes. Leading axes are broadcast against those
    of the pixels, so that all pixels can share one camera or each pixel have its own. Computed in the type of `pixels`;
    differentiable in all three.
    """
    matrix, pose = (torch.as_tensor(value).to(pixels) for value in (intrinsics, world_from_camera))
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1)
    across = _times(torch.linalg.inv(matrix), homogeneous)
    directions = normalize(_times(pose[..., :3, :3], across), dim=-1)
    return Rays(pose[..., :3, 3].expand_as(directions), directions)


def _times(matrix: Tensor, vectors: Tensor) -> Tensor:
    """Return matrix (..., 3, 3) times vectors (..., 3) in full precision, regardless of the matmul settings of a run."""
    return (matrix * vectors[..., None, :]).sum(-1)


def camera_image_rays(height: int, width: int, intrinsics: Any, world_from_camera: Any) -> Rays:
    """Return the rays (H * W, 3) of all pixels of one camera, row by row, in float32 on the CPU."""
    return rays_through(pixel_centres(height, width), intrinsics, world_from_camera)


def axial_depth(distance: Tensor, directions: Tensor, world_from_camera: Any) -> Tensor:
    """Convert distances (...) along unit directions (..., 3) to depth along the camera's optical axis."""
    forward = torch.as_tensor(world_from_camera).to(directions)[..., :3, 2]
    return distance * (directions * forward).sum(-1)
