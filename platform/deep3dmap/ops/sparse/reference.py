"""The sparse ops in plain torch: they say what the kernels mean, run on any device and differentiate in any precision."""

from itertools import pairwise, product

import torch
from torch import Tensor

BATCH_BITS, AXIS_BITS = 9, 18
BATCH_LIMIT, AXIS_LIMIT = 1 << BATCH_BITS, 1 << (AXIS_BITS - 1)
ABSENT = -1


def in_range(coordinates: Tensor) -> Tensor:
    """Say for each row (N, 4) whether its numbers fit a key: batch 0..511, x, y, z from -131072 to 131071."""
    batch, axes = coordinates[:, 0], coordinates[:, 1:]
    return (batch >= 0) & (batch < BATCH_LIMIT) & ((axes >= -AXIS_LIMIT) & (axes < AXIS_LIMIT)).all(1)


def pack(coordinates: Tensor) -> Tensor:
    """Return int64 keys (N,) of rows in range; their order is the lexicographic order of the rows."""
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
    """See `deep3dmap.ops.sparse.lookup`; here queries may be int64, so that they cannot wrap around."""
    return _find(*_sorted_keys(coordinates), queries)


def kernel_pairs(inputs: Tensor, outputs: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, list[int]]:
    """Return input rows and output rows (int32, grouped by offset, outputs ascending), and the size of each group."""
    keys, order = _sorted_keys(inputs)
    in_rows, out_rows, sizes = [], [], []
    for offset in offsets.tolist():
        shift = torch.tensor([0, *offset], device=outputs.device)
        found = _find(keys, order, outputs.to(torch.int64) + shift)
        hits = (found != ABSENT).nonzero()[:, 0]
        in_rows.append(found[hits].to(torch.int32))
        out_rows.append(hits.to(torch.int32))
        sizes.append(len(hits))
    none = torch.empty(0, dtype=torch.int32, device=inputs.device)
    return torch.cat([none, *in_rows]), torch.cat([none, *out_rows]), sizes


def convolve(features: Tensor, weight: Tensor, in_rows: Tensor, out_rows: Tensor, splits: list[int], outputs: int) -> Tensor:
    """Gather, multiply and scatter, one kernel offset after the other."""
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


def trilinear_map(positions: Tensor, batch: Tensor, coordinates: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """See `deep3dmap.ops.sparse.trilinear_map`."""
    keys, order = _sorted_keys(coordinates)
    low = torch.floor(positions / stride)
    ahead = positions / stride - low
    corner = torch.cat([batch[:, None].to(torch.int64), low.to(torch.int64) * stride], 1)
    rows, weights = [], []
    for steps in product((0, 1), repeat=3):
        step = torch.tensor(steps, device=positions.device)
        shift = torch.tensor([0, *steps], device=positions.device) * stride
        rows.append(_find(keys, order, corner + shift))
        weights.append(torch.where(step == 1, ahead, 1 - ahead).prod(1))
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


def _sorted_keys(coordinates: Tensor) -> tuple[Tensor, Tensor]:
    keys, order = torch.sort(pack(coordinates), stable=True)
    return keys, order


def _find(keys: Tensor, order: Tensor, queries: Tensor) -> Tensor:
    absent = torch.full((len(queries),), ABSENT, dtype=torch.int64, device=queries.device)
    if len(keys) == 0:
        return absent
    wanted = pack(queries)
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where((keys[place] == wanted) & in_range(queries), order[place], absent)
