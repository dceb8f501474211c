"""Back-projection in plain torch: the oracle of the native kernels, on any device and in any floating type."""

import torch
from torch import Tensor
from torch.nn import functional


def back_project(features: Tensor, projection: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """See `deep3dmap.ops.back_project`; needs memory for V x C x N features."""
    height, width = features.shape[-2:]
    grid, depth, visible = locate(projection, positions, height, width)
    sampled = functional.grid_sample(features, grid[:, None], mode="bilinear", padding_mode="zeros", align_corners=True)
    weight = visible.to(features.dtype)
    count = visible.sum(0)
    share = count.clamp(min=1).to(features.dtype)
    mean = (sampled[:, :, 0] * weight[:, None]).sum(0).T / share[:, None]
    return mean, (depth * weight).sum(0) / share, count.int()


def locate(projection: Tensor, positions: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return where each view sees each position: (V, N, 2) in [-1, 1], depth (V, N), and whether it does, (V, N) bool.

    The entries of what is not seen are 0: neither a division by 0 nor a projection that is not finite gets any further.
    """
    matrix = projection[:, :3].to(positions.dtype)
    camera = positions @ matrix[:, :, :3].transpose(1, 2) + matrix[:, None, :, 3]
    depth = camera[..., 2]
    front = (depth > 0) & depth.isfinite()
    pixel = camera[..., :2] / torch.where(front, depth, 1)[..., None]
    grid = 2 * pixel / pixel.new_tensor([width - 1, height - 1]) - 1
    visible = front & (grid.abs() <= 1).all(-1)
    return torch.where(visible[..., None], grid, 0), torch.where(visible, depth, 0), visible
