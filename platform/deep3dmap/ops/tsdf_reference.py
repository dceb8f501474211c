"""TSDF integration in plain torch: slow, but easy to verify."""

import torch
from torch import Tensor


def integrate(
    tsdf: Tensor,
    weight: Tensor,
    color: Tensor,
    depth: Tensor,
    image: Tensor,
    intrinsics: Tensor,
    camera_from_world: Tensor,
    origin: Tensor,
    voxel_size: float,
    truncation: float,
    max_depth: float,
) -> None:
    """Integrate one frame in place; arguments as in `ops.tsdf.integrate`, with an empty `color` for none."""
    index = torch.stack(torch.meshgrid(*(torch.arange(n, device=tsdf.device) for n in tsdf.shape), indexing="ij"), -1)
    points = origin + index * voxel_size
    camera = points @ camera_from_world[:3, :3].T + camera_from_world[:3, 3]
    x, y, z = camera.unbind(-1)
    front = z > 1e-6
    inverse = 1 / torch.where(front, z, torch.ones_like(z))
    u = intrinsics[0, 0] * (x * inverse) + intrinsics[0, 2]
    v = intrinsics[1, 1] * (y * inverse) + intrinsics[1, 2]
    height, width = depth.shape
    inside = front & (u >= 0) & (v >= 0) & (u < width) & (v < height)
    pixel = torch.where(inside, v.clamp(0, height - 1).long() * width + u.clamp(0, width - 1).long(), 0)
    measured = depth.flatten()[pixel]
    distance = measured - z
    update = inside & (measured > 0) & (measured <= max_depth) & (distance >= -truncation)
    value = (distance / truncation).clamp(max=1)
    grown = weight + 1
    tsdf.copy_(torch.where(update, (tsdf * weight + value) / grown, tsdf))
    weight.copy_(torch.where(update, grown, weight))
    if color.numel():
        seen = image.flatten(1)[:, pixel]
        color.copy_(torch.where(update, color + (seen - color) / weight.clamp(min=1), color))
