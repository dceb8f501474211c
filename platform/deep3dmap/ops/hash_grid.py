"""Multiresolution hash grid encoding (Mueller et al., Instant-NGP, SIGGRAPH 2022, section 3)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deep3dmap.ops import hash_grid_reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._fixed import fixed_sums, needs_fixed_sums
from deep3dmap.ops._registration import native_op

MAX_LEVELS = 32


@dataclass(frozen=True)
class HashGridLevels:
    """The levels of a grid, from coarse to fine.

    resolutions: cells along each side of a level. sizes: entries of each level. A level whose (resolution + 1)^3 corners fit
    into its size has one entry per corner; any other level is hashed, and its size must be a power of two.
    Raises ValueError if these conditions are not met.
    """

    resolutions: tuple[int, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.resolutions) != len(self.sizes) or not 1 <= len(self.sizes) <= MAX_LEVELS:
            raise ValueError(f"1 to {MAX_LEVELS} levels with one size each are needed, got {self.resolutions} and {self.sizes}")
        for resolution, size in zip(self.resolutions, self.sizes):
            if not 1 <= resolution < 2**20 or not 1 <= size <= 2**31:
                raise ValueError(f"resolutions must lie in 1 .. 2^20 and sizes in 1 .. 2^31, got {resolution} and {size}")
            if (resolution + 1) ** 3 > size and size & (size - 1):
                raise ValueError(f"the size of a hashed level must be a power of two, got {size} for resolution {resolution}")

    @classmethod
    def between(cls, coarsest: int, finest: int, levels: int, log2_size: int) -> "HashGridLevels":
        """Return levels in geometric progression (equations 2 and 3 of the paper), each with at most 2^log2_size entries."""
        growth = (finest / coarsest) ** (1 / max(levels - 1, 1))
        # The small offset corrects integers that rounding has made slightly too small.
        resolutions = tuple(int(coarsest * growth**level + 1e-6) for level in range(levels))
        return cls(resolutions, tuple(min(2**log2_size, (resolution + 1) ** 3) for resolution in resolutions))

    @property
    def entries(self) -> int:
        """Number of rows of the table, which concatenates all levels."""
        return sum(self.sizes)


def hash_grid(positions: Tensor, table: Tensor, levels: HashGridLevels, backend: Backend = "auto") -> Tensor:
    """Return the features (N, L * F) at positions: per level, trilinear interpolation of the cell's eight corner entries.

    positions: (N, 3) float, clamped to [0, 1]. table: (levels.entries, F) float32; float64 only in the reference, which `auto`
    then selects. Corner (x, y, z) of a hashed level uses the entry (x xor 2654435761 y xor 805459861 z) mod size.
    Differentiable once in table and positions. Results are bitwise identical on the CPU for any number of threads, and on CUDA
    from run to run if torch's deterministic algorithms are enabled.
    Raises ValueError naming the argument whose shape, type or device is wrong.
    """
    _check(positions, table, levels)
    if table.dtype == torch.float64 and backend == "auto":
        backend = "reference"
    points = positions.to(table.dtype)
    if choose(backend, table.device.type) == "reference":
        return hash_grid_reference.hash_grid(points, table, levels.resolutions, levels.sizes)
    if table.dtype != torch.float32:
        raise ValueError("table must be float32 in the native kernel; use backend=reference for float64")
    return _native_hash_grid(points, table, list(levels.resolutions), list(levels.sizes))


def _check(positions: Tensor, table: Tensor, levels: HashGridLevels) -> None:
    if positions.dim() != 2 or positions.shape[1] != 3 or not positions.is_floating_point():
        raise ValueError(f"positions must be float (N, 3), got {positions.dtype} {tuple(positions.shape)}")
    if table.dim() != 2 or len(table) != levels.entries or table.shape[1] < 1 or not table.is_floating_point():
        raise ValueError(f"table must be float ({levels.entries}, F), got {table.dtype} {tuple(table.shape)}")
    if positions.device != table.device:
        raise ValueError(f"positions are on {positions.device}, but table is on {table.device}")


@native_op("deep3dmap::hash_grid")
def _native_hash_grid(positions: Tensor, table: Tensor, resolutions: list[int], sizes: list[int]) -> Tensor:
    output = table.new_empty(len(positions), len(sizes) * table.shape[1])
    run_native("hash_grid_forward", table.device, positions.contiguous(), table.contiguous(), output, resolutions, sizes)
    return output


@_native_hash_grid.register_fake
def _(positions: Tensor, table: Tensor, resolutions: list[int], sizes: list[int]) -> Tensor:
    return table.new_empty(len(positions), len(sizes) * table.shape[1])


@native_op("deep3dmap::hash_grid_backward_table")
def _native_backward_table(positions: Tensor, grad_output: Tensor, resolutions: list[int], sizes: list[int]) -> Tensor:
    levels = HashGridLevels(tuple(resolutions), tuple(sizes))
    shape = (levels.entries, grad_output.shape[1] // len(sizes))
    given = (positions.contiguous(), grad_output.contiguous())
    if needs_fixed_sums(grad_output):
        fixed = fixed_sums(shape, grad_output, 8 * len(positions))
        run_native("hash_grid_backward_table_fixed", grad_output.device, *given, *fixed, resolutions, sizes)
        return fixed.floats()
    gradient = grad_output.new_zeros(shape)
    run_native("hash_grid_backward_table", grad_output.device, *given, gradient, resolutions, sizes)
    return gradient


@_native_backward_table.register_fake
def _(positions: Tensor, grad_output: Tensor, resolutions: list[int], sizes: list[int]) -> Tensor:
    return grad_output.new_empty(sum(sizes), grad_output.shape[1] // len(sizes))


@native_op("deep3dmap::hash_grid_backward_positions")
def _native_backward_positions(
    positions: Tensor, table: Tensor, grad_output: Tensor, resolutions: list[int], sizes: list[int]
) -> Tensor:
    gradient = torch.empty_like(positions, memory_format=torch.contiguous_format)
    given = (positions.contiguous(), table.contiguous(), grad_output.contiguous(), gradient)
    run_native("hash_grid_backward_positions", grad_output.device, *given, resolutions, sizes)
    return gradient


@_native_backward_positions.register_fake
def _(positions: Tensor, table: Tensor, grad_output: Tensor, resolutions: list[int], sizes: list[int]) -> Tensor:
    return torch.empty_like(positions, memory_format=torch.contiguous_format)


def _save_for_backward(ctx: Any, inputs: tuple[Tensor, Tensor, list[int], list[int]], output: Tensor) -> None:
    positions, table, ctx.resolutions, ctx.sizes = inputs
    ctx.save_for_backward(positions, table)


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
    positions, table = ctx.saved_tensors
    on_positions = on_table = None
    if ctx.needs_input_grad[0]:
        on_positions = _native_backward_positions(positions, table, grad_output, ctx.resolutions, ctx.sizes)
    if ctx.needs_input_grad[1]:
        on_table = _native_backward_table(positions, grad_output, ctx.resolutions, ctx.sizes)
    return on_positions, on_table, None, None


_native_hash_grid.register_autograd(_backward, setup_context=_save_for_backward)
