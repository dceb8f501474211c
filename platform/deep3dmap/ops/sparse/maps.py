"""Sparse coordinates: unique rows, lookup, and kernel maps, which pair input voxels with output voxels."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.ops.sparse import native_maps, reference
from deep3dmap.ops.sparse.backends import SparseBackend, choose_without_peers


@dataclass(frozen=True)
class KernelMap:
    """Pairs of input and output rows of a sparse convolution, grouped by kernel offset.

    in_rows, out_rows: (P,) int32. splits: (K + 1,) int64 on the CPU; pairs splits[k] to splits[k + 1] belong to offset k.
    inputs, outputs: number of input and output voxels.
    Raises ValueError if these are inconsistent, so that convolutions need no further checks.
    """

    in_rows: Tensor
    out_rows: Tensor
    splits: Tensor
    inputs: int
    outputs: int

    def __post_init__(self) -> None:
        pairs = self.in_rows.shape
        if self.in_rows.dtype != torch.int32 or self.in_rows.dim() != 1 or self.out_rows.dtype != torch.int32:
            raise ValueError(f"in_rows and out_rows must be int32 (P,), got {self.in_rows.dtype} and {self.out_rows.dtype}")
        if self.out_rows.shape != pairs or self.out_rows.device != self.in_rows.device:
            raise ValueError(f"out_rows must match in_rows, {tuple(pairs)}, got {tuple(self.out_rows.shape)}")
        if self.splits.dtype != torch.int64 or self.splits.dim() != 1 or self.splits.device.type != "cpu":
            raise ValueError(f"splits must be int64 (K + 1,) on the CPU, got {self.splits.dtype} {tuple(self.splits.shape)}")
        edges = self.splits.tolist()
        if not edges or edges[0] != 0 or edges[-1] != pairs[0] or edges != sorted(edges):
            raise ValueError(f"splits must run from 0 to the {pairs[0]} pairs without decreasing, got {edges}")
        _check_range("in_rows", self.in_rows, self.inputs)
        _check_range("out_rows", self.out_rows, self.outputs)

    def reversed(self) -> "KernelMap":
        """Return the map of the transposed convolution, from the outputs back to the inputs."""
        return KernelMap._from_valid(self.out_rows, self.in_rows, self.splits, self.outputs, self.inputs)

    @classmethod
    def _from_valid(cls, in_rows: Tensor, out_rows: Tensor, splits: Tensor, inputs: int, outputs: int) -> "KernelMap":
        """Create a map from fields known to be valid: checking the rows would synchronise with the device each time."""
        instance = object.__new__(cls)
        instance.__dict__.update(in_rows=in_rows, out_rows=out_rows, splits=splits, inputs=inputs, outputs=outputs)
        return instance


def unique_coordinates(coordinates: Tensor) -> tuple[Tensor, Tensor]:
    """Return the distinct rows (M, 4) in lexicographic order, and for each input row its index among them, (N,) int64.

    coordinates: (N, 4) int32, columns batch, x, y, z. Raises ValueError for a wrong shape or type, and for values out of range:
    batch must be 0..511, and x, y, z must be -131072..131071.
    """
    check_coordinates("coordinates", coordinates)
    return reference.unique_coordinates(coordinates)


def lookup(coordinates: Tensor, queries: Tensor, backend: SparseBackend = "auto") -> Tensor:
    """Return for each query (Q, 4) int32 its row index in the coordinates (N, 4) int32, which must be unique; -1 if absent.

    Returns (Q,) int64. Raises ValueError as `unique_coordinates` does; queries out of range count as absent.
    """
    check_coordinates("coordinates", coordinates)
    check_rows("queries", queries)
    if choose_without_peers(backend, "sparse_lookup", coordinates.device) == "reference":
        return reference.lookup(coordinates, queries)
    rows: Tensor = native_maps.lookup(coordinates, queries)
    return rows


def kernel_offsets(kernel_size: int, stride: int) -> Tensor:
    """Return the offsets (K, 3) int32 of a cubic kernel, multiplied by the stride of the input tensor, in weight order.

    Odd sizes are centred, with x fastest, then y, then z; even sizes start at 0, with z fastest, then y, then x, as in
    torchsparse 1.4. Raises ValueError unless both arguments are positive.
    """
    if kernel_size < 1 or stride < 1:
        raise ValueError(f"kernel_size and stride must be positive, got {kernel_size} and {stride}")
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    steps = torch.arange(first, first + kernel_size, dtype=torch.int32) * stride
    grid = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    return grid.flip(1) if kernel_size % 2 else grid


def downsample(coordinates: Tensor, stride: int) -> Tensor:
    """Return the distinct cells (M, 4) floor(c / stride) * stride at the new stride, in lexicographic order.

    coordinates: (N, 4) int32. Raises ValueError as `unique_coordinates` does, and if stride is not positive.
    """
    if stride < 1:
        raise ValueError(f"stride must be positive, got {stride}")
    check_coordinates("coordinates", coordinates)
    axes = torch.div(coordinates[:, 1:], stride, rounding_mode="floor") * stride
    return unique_coordinates(torch.cat([coordinates[:, :1], axes], 1))[0]


def kernel_map(in_coordinates: Tensor, out_coordinates: Tensor, offsets: Tensor, backend: SparseBackend = "auto") -> KernelMap:
    """Return all pairs of rows (i, o) with in[i] == out[o] + offset[k] in the same batch element.

    in_coordinates, out_coordinates: (N, 4) and (M, 4) int32 with unique rows. offsets: (K, 3) int32, see `kernel_offsets`.
    Within an offset the output rows are ascending. Raises ValueError for wrong shapes or types and coordinates out of range.
    """
    named = {"in_coordinates": in_coordinates, "out_coordinates": out_coordinates}
    for name, coordinates in named.items():
        check_rows(name, coordinates)
    if offsets.dtype != torch.int32 or offsets.dim() != 2 or offsets.shape[1] != 3:
        raise ValueError(f"offsets must be int32 (K, 3), got {offsets.dtype} {tuple(offsets.shape)}")
    native_runs = choose_without_peers(backend, "sparse_neighbours", in_coordinates.device) == "native"
    run = native_maps.kernel_pairs if native_runs else reference.kernel_pairs
    # On CUDA the kernel checks the coordinates, which avoids a synchronisation.
    if not (native_runs and in_coordinates.is_cuda):
        for name, coordinates in named.items():
            check_coordinates(name, coordinates)
    try:
        in_rows, out_rows, sizes = run(in_coordinates, out_coordinates, offsets)
    except native_maps.CoordinatesError:
        for name, coordinates in named.items():
            check_coordinates(name, coordinates)
        raise
    splits = torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)
    return KernelMap._from_valid(in_rows, out_rows, splits, len(in_coordinates), len(out_coordinates))


def _check_range(name: str, rows: Tensor, count: int) -> None:
    if rows.numel():
        low, high = torch.aminmax(rows)
        if int(low) < 0 or int(high) >= count:
            raise ValueError(f"{name} index voxels {int(low)}..{int(high)}, but there are {count}")


def check_rows(name: str, value: Tensor) -> None:
    """Raise ValueError unless the value is (N, 4) int32."""
    if value.dtype != torch.int32 or value.dim() != 2 or value.shape[1] != 4:
        raise ValueError(f"{name} must be int32 (N, 4) with columns batch, x, y, z, got {value.dtype} {tuple(value.shape)}")


def check_coordinates(name: str, value: Tensor) -> None:
    """Raise ValueError unless the value is (N, 4) int32 with coordinates in range."""
    check_rows(name, value)
    if not value.numel():
        return
    # Read both extremes in one transfer, to synchronise with the GPU once.
    low, high = torch.stack(torch.aminmax(value, dim=0)).tolist()
    limit = reference.AXIS_LIMIT
    if low[0] < 0 or high[0] >= reference.BATCH_LIMIT or min(low[1:]) < -limit or max(high[1:]) >= limit:
        raise ValueError(
            f"{name} must lie from -{limit} to {limit - 1}, batch from 0 to {reference.BATCH_LIMIT - 1}; got {low} to {high}"
        )
