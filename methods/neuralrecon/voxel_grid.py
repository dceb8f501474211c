"""Voxel coordinates of a fragment: the dense coarse grid, its refinement, and where a voxel lies in the levelled camera."""

import torch
from torch import Tensor

# The truncated signed distance of free space.
FREE = 1.0
# The order in which the official network lists a voxel's children; row order is what random subsampling draws on.
CHILDREN = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))


def dense_grid(size: tuple[int, int, int], interval: int, batch: int, device: torch.device | str = "cpu") -> Tensor:
    """Return every voxel of stride `interval` in a box of `size` finest voxels, (N, 4) int32: batch, x, y, z, z fastest."""
    axes = [torch.arange(0, length, interval, dtype=torch.int32, device=device) for length in size]
    return torch.cartesian_prod(torch.arange(batch, dtype=torch.int32, device=device), *axes).reshape(-1, 4)


def children(coordinates: Tensor, interval: int) -> Tensor:
    """Split voxels (N, 4) into their eight parts of stride `interval`, (8 N, 4), those of one voxel together."""
    offsets = torch.tensor([(0, *offset) for offset in CHILDREN], dtype=coordinates.dtype, device=coordinates.device)
    return (coordinates[:, None] + offsets * interval).reshape(-1, 4)


def rows_of_elements(coordinates: Tensor, batch: int) -> list[int]:
    """Return how many voxels (N, 4) each batch element has; they lie in the order of the elements.

    Splitting by these numbers waits for a GPU once, where a mask for each element would wait each time.
    """
    counts: list[int] = torch.bincount(coordinates[:, 0], minlength=batch).tolist()
    return counts


def world_positions(coordinates: Tensor, origins: Tensor, voxel_size: float) -> Tensor:
    """Return where voxels (N, 4) in finest units lie, (N, 3) world metres; origins (B, 3) metres is each fragment's lowest."""
    return coordinates[:, 1:].float() * voxel_size + origins.float()[coordinates[:, 0].long()]


def to_aligned_camera(positions: Tensor, batch: Tensor, world_to_aligned_camera: Tensor) -> Tensor:
    """Take world positions (N, 3) of batch elements (N,) into their levelled camera (B, 4, 4), (N, 3) metres."""
    pose = world_to_aligned_camera.float()[batch.long()]
    return (pose[:, :3, :3] * positions[:, None]).sum(2) + pose[:, :3, 3]
