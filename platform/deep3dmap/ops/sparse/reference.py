"""The sparse ops in plain torch: the reference for the kernels, on any device and differentiable in any precision."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise, product

import torch
from torch import Tensor

BATCH_BITS, AXIS_BITS = 9, 18
BATCH_LIMIT, AXIS_LIMIT = 1 << BATCH_BITS, 1 << (AXIS_BITS - 1)
ABSENT = -1


def in_range(coordinates: Tensor, margin: int = 0) -> Tensor:
    """Return for each row (N, 4) whether it fits a key: batch 0..511, x, y, z from -131072 to 131071, less the margin."""
    batch, axes = coordinates[:, 0], coordinates[:, 1:]
    limit = AXIS_LIMIT - margin
    return (batch >= 0) & (batch < BATCH_LIMIT) & ((axes >= -limit) & (axes < limit)).all(1)


def pack(coordinates: Tensor) -> Tensor:
    """Return int64 keys (N,) of rows in range; they sort in the lexicographic order of the rows."""
    batch, x, y, z = coordinates.to(torch.int64).unbind(1)
    key = batch
    for axis in (x, y, z):
        key = (key << AXIS_BITS) | (axis + AXIS_LIMIT)
    return key


def unpack(keys: Tensor) -> Tensor:
    """Return the int32 rows (N, 4) of keys; the inverse of `pack`."""
    mask = (1 << AXIS_BITS) - 1
    axes = [((keys >> (AXIS_BITS * place)) & mask) - AXIS_LIMIT for place in (2, 1, 0)]
    return torch.stack([keys >> (3 * AXIS_BITS), *axes], 1).to(torch.int32)


def unique_coordinates(coordinates: Tensor) -> tuple[Tensor, Tensor]:
    """See `deep3dmap.ops.sparse.unique_coordinates`."""
    keys, inverse = torch.unique(pack(coordinates), return_inverse=True)
    return unpack(keys), inverse


def lookup(coordinates: Tensor, queries: Tensor) -> Tensor:
    """See `deep3dmap.ops.sparse.lookup`."""
    return next(neighbours(coordinates, queries, [(0, 0, 0)]))


def kernel_pairs(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Return input rows and output rows (int32, grouped by offset, outputs ascending), and the group sizes."""
    in_rows, out_rows, sizes = [], [], []
    for found in neighbours(inputs, outputs, offsets.tolist()):
        hits = (found != ABSENT).nonzero()[:, 0]
        in_rows.append(found[hits].to(torch.int32))
        out_rows.append(hits.to(torch.int32))
        sizes.append(len(hits))
    none = torch.empty(0, dtype=torch.int32, device=inputs.device)
    return torch.cat([none, *in_rows]), torch.cat([none, *out_rows]), sizes


def convolve(features: Tensor, weight: Tensor, in_rows: Tensor, out_rows: Tensor, splits: list[int], outputs: int) -> Tensor:
    """Gather, multiply and scatter, one kernel offset at a time."""
    result = features.new_zeros(outputs, weight.shape[2])
    for k, (start, stop) in enumerate(pairwise(splits)):
        gathered = features.index_select(0, in_rows[start:stop])
        result.index_add_(0, out_rows[start:stop], (gathered @ weight[k]).to(result.dtype))
    return result


def voxelize_mean(features: Tensor, rows: Tensor, cells: int) -> Tensor:
    """See `deep3dmap.ops.sparse.voxelize_mean`."""
    kept = (rows != ABSENT).nonzero()[:, 0]
    rows = rows.index_select(0, kept)
    counts = torch.bincount(rows, minlength=cells).clamp(min=1).to(features.dtype)
    sums = features.new_zeros(cells, features.shape[1]).index_add(0, rows, features.index_select(0, kept))
    return sums / counts[:, None]


def trilinear_map(
    positions: Tensor, batch: Tensor, coordinates: Tensor, stride: int, find: Callable[..., Iterable[Tensor]] | None = None
) -> tuple[Tensor, Tensor]:
    """See `deep3dmap.ops.sparse.trilinear_map`; `find` replaces `neighbours` if given."""
    low = torch.floor(positions / stride)
    ahead = positions / stride - low
    # Clamping leaves values out of range; casting larger ones to int64 could produce arbitrary values.
    cell = low.clamp(-2 * AXIS_LIMIT, 2 * AXIS_LIMIT).to(torch.int64)
    corner = torch.cat([batch[:, None].to(torch.int64), cell * stride], 1)
    steps = list(product((0, 1), repeat=3))
    rows = list((find or neighbours)(coordinates, corner, [[stride * step for step in corner_of] for corner_of in steps]))
    sides = (1 - ahead).unbind(1), ahead.unbind(1)
    weights = [sides[dx][0] * sides[dy][1] * sides[dz][2] for dx, dy, dz in steps]
    found = torch.stack(rows, 1)
    weight = torch.where(found == ABSENT, 0, torch.stack(weights, 1))
    return found, weight / (weight.sum(1, keepdim=True) + 1e-8)


def devoxelize(features: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """See `deep3dmap.ops.sparse.devoxelize`."""
    if len(features) == 0:
        return features.new_zeros(len(rows), features.shape[1]) + features.sum()
    weights = torch.where(rows == ABSENT, 0, weights).to(features.dtype)
    result = features.new_zeros(len(rows), features.shape[1])
    for corner in range(rows.shape[1]):
        result = result + weights[:, corner, None] * features.index_select(0, rows[:, corner].clamp(min=0))
    return result


def neighbours(coordinates: Tensor, centres: Tensor, offsets: Sequence[Sequence[int]]) -> Iterator[Tensor]:
    """Yield for each offset the row (Q,) int64 of every centre + offset in the coordinates, -1 = absent."""
    keys, order = torch.sort(pack(coordinates), stable=True)
    centres = centres.to(torch.int64)
    packed, reach = pack(centres), max((abs(step) for offset in offsets for step in offset), default=0)
    # Offsets can be added to keys directly as long as no axis overflows into the next.
    roomy = bool(in_range(centres, reach).all())
    for offset in offsets:
        # Steps longer than an axis always lead out of range; they are clamped so that int64 does not overflow.
        steps = [max(-2 * AXIS_LIMIT, min(2 * AXIS_LIMIT, step)) for step in offset]
        found = _find(keys, order, packed + sum(step << (AXIS_BITS * (2 - axis)) for axis, step in enumerate(steps)))
        shift = torch.tensor([0, *steps], device=centres.device)
        yield found if roomy else torch.where(in_range(centres + shift), found, ABSENT)


def _find(keys: Tensor, order: Tensor, queries: Tensor) -> Tensor:
    if len(keys) == 0:
        return torch.full_like(queries, ABSENT)
    place = torch.searchsorted(keys, queries).clamp_(max=len(keys) - 1)
    return torch.where(keys[place] == queries, order[place], ABSENT)
