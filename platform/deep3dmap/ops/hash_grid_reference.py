"""The hash grid in plain torch: the reference for the native kernels, on any device and in any floating-point type."""

from collections.abc import Sequence

import torch
from torch import Tensor

_PRIMES = (1, 2654435761, 805459861)


def hash_grid(positions: Tensor, table: Tensor, resolutions: Sequence[int], sizes: Sequence[int]) -> Tensor:
    """See `deep3dmap.ops.hash_grid`; allocates L x N x 8 entries."""
    corners = torch.tensor([[c & 1, c >> 1 & 1, c >> 2 & 1] for c in range(8)], device=positions.device)
    features = [
        _level(positions.clamp(0, 1), entries, resolution, corners)
        for entries, resolution in zip(table.split(list(sizes)), resolutions)
    ]
    return torch.cat(features, 1)


def _level(positions: Tensor, entries: Tensor, resolution: int, corners: Tensor) -> Tensor:
    scaled = positions * resolution
    cell = scaled.detach().long().clamp(max=resolution - 1)
    fraction = (scaled - cell)[:, None]
    weights = torch.where(corners.bool(), fraction, 1 - fraction).prod(-1)
    found = entries[_entry(cell[:, None] + corners, resolution, len(entries))]
    return (weights[..., None] * found).sum(1)


def _entry(corner: Tensor, resolution: int, size: int) -> Tensor:
    side = resolution + 1
    if side**3 <= size:
        return corner[..., 0] + side * (corner[..., 1] + side * corner[..., 2])
    x, y, z = (corner[..., axis] * prime for axis, prime in enumerate(_PRIMES))
    return (x ^ y ^ z) & (size - 1)
