"""Back-projection in plain torch: the reference for the native kernels, on any device and in any floating-point type."""

import torch
from torch import Tensor
from torch.nn import functional


def back_project(features: Tensor, projection: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """See `deep3dmap.ops.back_project`; allocates V x C x N features."""
    height, width = features.shape[-2:]
    grid, depth, visible = locate(projection, positions, height, width)
    sampled = functional.grid_sample(features, grid[:, None], mode="bilinear", padding_mode="zeros", align_corners=True)
    weight = visible.to(features.dtype)
    count = visible.sum(0)
    share = count.clamp(min=1).to(features.dtype)
    mean = (sampled[:, :, 0] * weight[:, None]).sum(0).T / share[:, None]
    return mean, (depth * weight).sum(0) / share, count.int()


def locate(projection: Tensor, positions: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Project each position into each view: grid coordinates (V, N, 2) in [-1, 1], depth (V, N) and visibility (V, N) bool.

    Entries of positions that are not visible are 0, so that divisions by 0 and non-finite projections do not propagate.
    """
    matrix = projection[:, :3].to(positions.dtype)
    camera = positions @ matrix[:, :, :3].transpose(1, 2) + matrix[:, None, :, 3]
    depth = camera[..., 2]
    front = (depth > 0) & depth.isfinite()
    pixel = camera[..., :2] / torch.where(front, depth, 1)[..., None]
    grid = 2 * pixel / pixel.new_tensor([width - 1, height - 1]) - 1
    visible = front & (grid.abs() <= 1).all(-1)
    return torch.where(visible[..., None], grid, 0), torch.where(visible, depth, 0), visible
