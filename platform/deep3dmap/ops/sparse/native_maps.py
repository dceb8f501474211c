"""Native kernels that find rows and pairs of rows, as torch operators; csrc/cpu/sparse.h documents their arguments."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from deep3dmap.ops._backend import run_native
from deep3dmap.ops._registration import native_op

FAR = 1 << 30
PART = 256  # number of outputs whose pairs are counted together on CUDA


@native_op("deep3dmap::sparse_lookup")
def lookup(coordinates: Tensor, queries: Tensor) -> Tensor:
    """See `deep3dmap.ops.sparse.lookup`."""
    rows = torch.empty(len(queries), dtype=torch.int64, device=queries.device)
    run_native("sparse_lookup", coordinates.device, coordinates.contiguous(), queries.contiguous(), rows)
    return rows


@lookup.register_fake
def _(coordinates: Tensor, queries: Tensor) -> Tensor:
    return queries.new_empty(queries.shape[0], dtype=torch.int64)


def neighbours(coordinates: Tensor, centres: Tensor, offsets: Sequence[Sequence[int]]) -> Iterable[Tensor]:
    """Compute the same result as `reference.neighbours` with one lookup."""
    shifts = torch.tensor([(0, *offset) for offset in offsets], device=centres.device)
    # Values out of range remain out of range and fit into int32.
    queries = (centres + shifts[:, None]).clamp(-FAR, FAR).to(torch.int32)
    rows: Tensor = lookup(coordinates, queries.reshape(-1, 4))
    return rows.reshape(len(offsets), -1)


@native_op("deep3dmap::sparse_neighbours")
def table(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> Tensor:
    """Return the row of each output + offset in the inputs, (K, M) int32, -1 = absent."""
    rows = torch.empty(len(offsets), len(outputs), dtype=torch.int32, device=inputs.device)
    given = inputs.contiguous()
    # The kernel does half the work if inputs and outputs are the same array.
    same = outputs.data_ptr() == inputs.data_ptr() and outputs.shape == inputs.shape and outputs.stride() == inputs.stride()
    centres = given if same else outputs.contiguous()
    run_native("sparse_neighbours", inputs.device, given, centres, offsets.to(inputs.device).contiguous(), rows)
    return rows


@table.register_fake
def _(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> Tensor:
    return outputs.new_empty(offsets.shape[0], outputs.shape[0])


def kernel_pairs(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Compute the same result as `reference.kernel_pairs`; on CUDA raises CoordinatesError for coordinates out of range."""
    if inputs.is_cuda:
        return _pairs_on_cuda(inputs.contiguous(), outputs.contiguous(), offsets.cpu().contiguous())
    rows = table(inputs, outputs, offsets)
    counts = torch.empty(len(offsets), dtype=torch.int64, device=inputs.device)
    run_native("sparse_pair_counts", inputs.device, rows, counts)
    sizes = counts.tolist()
    splits = torch.tensor([0, *sizes], dtype=torch.int64).cumsum(0)
    in_rows = torch.empty(sum(sizes), dtype=torch.int32, device=inputs.device)
    out_rows = torch.empty_like(in_rows)
    run_native("sparse_pairs", inputs.device, rows, splits, in_rows, out_rows)
    return in_rows, out_rows, sizes


class CoordinatesError(ValueError):
    """Raised if coordinates are out of range."""


def _pairs_on_cuda(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Find the pairs, synchronising with the device once to read their number."""

    def empty(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=inputs.device)

    slots = 1 << max(1, (2 * len(inputs) - 1).bit_length())
    rows = empty(len(offsets), len(outputs), dtype=torch.int32)
    places, heads = empty(len(offsets), -(-len(outputs) // PART)), empty(len(offsets) + 2)
    scratch = (empty(slots), empty(slots, dtype=torch.int32))
    run_native("sparse_map", inputs.device, inputs, outputs, offsets, *scratch, rows, places, heads)
    *starts, out_of_range = heads.tolist()
    if out_of_range:
        raise CoordinatesError("coordinates are out of range")
    in_rows, out_rows = empty(starts[-1], dtype=torch.int32), empty(starts[-1], dtype=torch.int32)
    run_native("sparse_map_pairs", inputs.device, rows, places, in_rows, out_rows)
    return in_rows, out_rows, [stop - start for start, stop in pairwise(starts)]
