"""The mirror image of a fragment: additional data that no rotation of the world can produce, at no rendering cost."""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.methods.neuralrecon.fragments import LEVELS
from deep3dmap.methods.neuralrecon.voxel_grid import FREE


def mirror_fragment(fragment: dict[str, Any], voxel_size: float) -> dict[str, Any]:
    """Return the fragment mirrored across the x axis of its box; `voxel_size` in metres.

    Images, cameras and targets are mirrored together, so that index i of the coarsest level becomes index last - i. The finer
    levels begin at the same place as the coarsest one but extend further: the part beyond the coarsest level's last voxel, less
    than one of its voxels, has no mirror image and is marked as free.
    """
    coarsest = 1 << (LEVELS - 1)
    length = fragment["tsdf"][0].shape[0] // coarsest - 1
    across = 2 * fragment["vol_origin_partial"][0] + length * coarsest * voxel_size
    mirror = torch.eye(4, device=across.device)
    mirror[0, 0], mirror[0, 3] = -1, across
    camera_mirror = torch.diag(mirror.new_tensor([-1.0, 1, 1, 1]))
    projection = fragment["projection"].clone()
    width = fragment["images"].shape[-1]
    last = projection.new_tensor([(width >> (level + 2)) - 1 for level in range(LEVELS)])[None, :, None]
    projection[:, :, 0] = last * projection[:, :, 2] - projection[:, :, 0]
    return fragment | {
        "images": fragment["images"].flip(-1),
        "projection": projection @ mirror,
        "world_to_aligned_camera": camera_mirror @ fragment["world_to_aligned_camera"] @ mirror,
        "tsdf": [_reversed(values, length, level, FREE) for level, values in enumerate(fragment["tsdf"])],
        "occupancy": [_reversed(values, length, level, False) for level, values in enumerate(fragment["occupancy"])],
    }


def _reversed(values: Tensor, length: int, level: int, beyond: float) -> Tensor:
    """Reverse values (X, Y, Z) of a level along x up to the extent of the coarsest level; levels count fine to coarse."""
    kept = length * (1 << (LEVELS - 1 - level)) + 1
    turned = torch.full_like(values, beyond)
    turned[:kept] = values[:kept].flip(0)
    return turned
