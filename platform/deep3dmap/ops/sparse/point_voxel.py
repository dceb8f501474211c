"""Point-voxel conversion: the mean of the points in each cell, and trilinear interpolation of cells at each point."""

import torch
from torch import Tensor

from deep3dmap.ops._half import upcast_half
from deep3dmap.ops.sparse import native_features, native_maps, reference
from deep3dmap.ops.sparse.backends import SparseBackend, choose_without_peers
from deep3dmap.ops.sparse.maps import check_coordinates


def voxelize_mean(features: Tensor, rows: Tensor, cells: int, backend: SparseBackend = "auto", known: bool = False) -> Tensor:
    """Return the mean feature of the points in each cell, (cells, C); 0 in a cell without points.

    features: (P, C); half precision is converted to float32 for the sums. rows: (P,) int64, the cell of each point, -1 = none
    (see `lookup`). Differentiable in features. known: the rows are known to be in range, such as those from
    `unique_coordinates` and `lookup`; this avoids a check that would synchronise with the GPU.
    Raises ValueError for wrong shapes or types and, unless known, for rows out of range.
    """
    if features.dim() != 2 or rows.dtype != torch.int64 or tuple(rows.shape) != (len(features),):
        found = f"{tuple(features.shape)} and {rows.dtype} {tuple(rows.shape)}"
        raise ValueError(f"features must be (P, C) and rows int64 (P,), got {found}")
    if not known:
        _check_range(rows, cells)
    features = upcast_half(features)
    if choose_without_peers(backend, "sparse_voxelize_forward", features.device, features.dtype) == "reference":
        return reference.voxelize_mean(features, rows, cells)
    mean: Tensor = native_features.voxelize(features, rows, cells)[0]
    return mean


def trilinear_map(
    positions: Tensor, batch: Tensor, coordinates: Tensor, stride: int, backend: SparseBackend = "auto"
) -> tuple[Tensor, Tensor]:
    """Find the eight cells around each point and their trilinear weights.

    positions: (P, 3) float in units of the finest voxel. batch: (P,) integer. coordinates: (N, 4) int32, unique, with x, y, z
    multiples of stride. Returns rows (P, 8) int64, -1 = absent, corners with z fastest, then y, then x; and weights (P, 8) of
    the type of positions: 0 for absent corners, the others divided by (their sum + 1e-8). Points without any corner cells have
    weights 0. As in torchsparse 1.4 for the point-voxel convolution of Tang et al. 2020.
    Raises ValueError for wrong shapes or types, non-finite positions and coordinates out of range.
    """
    check_coordinates("coordinates", coordinates)
    if positions.dim() != 2 or positions.shape[1] != 3 or not positions.is_floating_point():
        raise ValueError(f"positions must be floating point (P, 3), got {positions.dtype} {tuple(positions.shape)}")
    if tuple(batch.shape) != (len(positions),) or batch.is_floating_point():
        raise ValueError(f"batch must be integer ({len(positions)},), got {batch.dtype} {tuple(batch.shape)}")
    if stride < 1:
        raise ValueError(f"stride must be positive, got {stride}")
    if not bool(torch.isfinite(positions).all()):
        raise ValueError("positions must be finite")
    native_runs = choose_without_peers(backend, "sparse_lookup", coordinates.device) == "native"
    find = native_maps.neighbours if native_runs else None
    return reference.trilinear_map(positions.detach(), batch, coordinates, stride, find)


def devoxelize(features: Tensor, rows: Tensor, weights: Tensor, backend: SparseBackend = "auto", known: bool = False) -> Tensor:
    """Return the weighted sum of cell features at each point, (P, C). Differentiable in features.

    features: (N, C); half precision is converted to float32. rows: (P, 8) int64, -1 = absent. weights: (P, 8); see
    `trilinear_map`. known: the rows are known to be in range, such as those from `trilinear_map`; see `voxelize_mean`.
    Raises ValueError for wrong shapes or types and, unless known, for rows out of range.
    """
    if features.dim() != 2 or rows.dim() != 2 or rows.dtype != torch.int64 or rows.shape != weights.shape:
        found = f"{tuple(features.shape)}, {rows.dtype} {tuple(rows.shape)}, {tuple(weights.shape)}"
        raise ValueError(f"features must be (N, C), rows int64 (P, 8), weights (P, 8), got {found}")
    if not known:
        _check_range(rows, len(features))
    features = upcast_half(features)
    # Only the reference supports gradients with respect to the weights.
    chosen = choose_without_peers(backend, "sparse_devoxelize_forward", features.device, features.dtype)
    if weights.requires_grad or chosen == "reference":
        return reference.devoxelize(features, rows, weights)
    sampled: Tensor = native_features.devoxelize(features, rows, weights.to(features.dtype))
    return sampled


def _check_range(rows: Tensor, count: int) -> None:
    if rows.numel() and not (int(rows.min()) >= reference.ABSENT and int(rows.max()) < count):
        raise ValueError(f"rows index {int(rows.min())}..{int(rows.max())}, but there are {count} cells (-1 = absent)")
