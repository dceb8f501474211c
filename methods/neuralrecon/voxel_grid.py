"""Voxel coordinates of a fragment: the dense coarse grid, its refinement, and positions in the levelled camera."""

import torch
from torch import Tensor

# The truncated signed distance of free space.
FREE = 1.0
# The official network's order of a voxel's children; random subsampling depends on the row order.
CHILDREN = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1))


def dense_grid(size: tuple[int, int, int], interval: int, batch: int, device: torch.device | str = "cpu") -> Tensor:
    """Return every voxel of stride `interval` in a box of `size` finest voxels, (N, 4) int32 (batch, x, y, z), z fastest."""
    axes = [torch.arange(0, length, interval, dtype=torch.int32, device=device) for length in size]
    return torch.cartesian_prod(torch.arange(batch, dtype=torch.int32, device=device), *axes).reshape(-1, 4)


def children(coordinates: Tensor, interval: int) -> Tensor:
    """Split voxels (N, 4) into eight children each, of stride `interval`: (8 N, 4), grouped by parent."""
    offsets = torch.tensor([(0, *offset) for offset in CHILDREN], dtype=coordinates.dtype, device=coordinates.device)
    return (coordinates[:, None] + offsets * interval).reshape(-1, 4)


def rows_of_elements(coordinates: Tensor, batch: int) -> list[int]:
    """Return the number of voxels (N, 4) in each batch element; voxels are ordered by element.

    Splitting by these counts synchronises with the GPU only once, whereas masking would synchronise for each element.
    """
    counts: list[int] = torch.bincount(coordinates[:, 0], minlength=batch).tolist()
    return counts


def world_positions(coordinates: Tensor, origins: Tensor, voxel_size: float) -> Tensor:
    """Return the positions (N, 3) in world metres of voxels (N, 4) in finest units; origins (B, 3): each fragment's lowest."""
    return coordinates[:, 1:].float() * voxel_size + origins.float()[coordinates[:, 0].long()]


def to_aligned_camera(positions: Tensor, batch: Tensor, world_to_aligned_camera: Tensor) -> Tensor:
    """Transform world positions (N, 3) of batch elements (N,) to their levelled cameras (B, 4, 4); returns (N, 3) metres."""
    pose = world_to_aligned_camera.float()[batch.long()]
    return (pose[:, :3, :3] * positions[:, None]).sum(2) + pose[:, :3, 3]
