"""A gated recurrent unit whose gates are sparse convolutions (Cho et al. 2014; NeuralRecon, section 3.2)."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from deep3dmap.methods.neuralrecon.point_voxels import PointVoxels
from deep3dmap.ops.sparse import Conv3d, SparseBackend, SparseTensor, devoxelize, trilinear_map

FNV_START, FNV_PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)
HASH_BITS = np.uint64(60)

ResetGate = Literal["intended", "upstream"]


class SConv3d(nn.Module):
    """A sparse 3x3x3 convolution sampled at the points, added to a linear layer on the point features."""

    def __init__(self, inputs: int, outputs: int, voxel_size: float, backend: SparseBackend = "auto") -> None:
        super().__init__()
        self.voxel_size = voxel_size
        self.net = Conv3d(inputs, outputs, backend=backend)
        self.point_transforms = nn.ModuleList([nn.Linear(inputs, outputs)])

    def forward(self, features: Tensor, points: PointVoxels) -> Tensor:
        """Map features (P, inputs) to (P, outputs); points: in cells of `voxel_size`."""
        return points.sampled(self.net(points.voxelized(features))) + self.point_transforms[0](features)

    def with_stale_table(self, features: Tensor, points: PointVoxels) -> Tensor:
        """Reproduce a bug of the official code, which affects the second gate of a pair that shares its points.

        The first gate's call overwrites the positions with voxel units, which are then divided by the voxel size a second time.
        It also leaves its table of cells and weights, which is reused although its row numbers refer to the first gate's cells.
        """
        first = hash_ordered(points.voxelized(features))
        rows, weights = trilinear_map(points.positions, points.batch, first.coordinates, first.stride)
        twice = PointVoxels(points.positions / self.voxel_size, points.batch)
        second = self.net(hash_ordered(twice.voxelized(features)))
        return devoxelize(second.features, rows, weights) + self.point_transforms[0](features)


class ConvGRU(nn.Module):
    """h' = (1 - z) h + z q, with z and r sigmoids of [h, x] and q the tanh of [r h, x].

    reset_gate: "upstream" reproduces the bug with which the official weights were trained; see `SConv3d.with_stale_table`.
    """

    def __init__(
        self,
        hidden: int,
        inputs: int,
        voxel_size: float,
        reset_gate: ResetGate = "intended",
        backend: SparseBackend = "auto",
    ) -> None:
        super().__init__()
        if reset_gate not in ("intended", "upstream"):
            raise ValueError(f"reset_gate is intended or upstream, not '{reset_gate}'")
        self.reset_gate, self.voxel_size = reset_gate, voxel_size
        self.convz = SConv3d(hidden + inputs, hidden, voxel_size, backend)
        self.convr = SConv3d(hidden + inputs, hidden, voxel_size, backend)
        self.convq = SConv3d(hidden + inputs, hidden, voxel_size, backend)

    def forward(self, history: Tensor, current: Tensor, positions: Tensor, batch: Tensor) -> Tensor:
        """Return the new state (P, hidden).

        history: (P, hidden). current: (P, inputs). positions: (P, 3) in metres. batch: (P,).
        """
        points = PointVoxels(positions / self.voxel_size, batch)
        both = torch.cat([history, current], 1)
        reset_conv = self.convr if self.reset_gate == "intended" else self.convr.with_stale_table
        update = torch.sigmoid(self.convz(both, points))
        reset = torch.sigmoid(reset_conv(both, points))
        candidate = torch.tanh(self.convq(torch.cat([reset * history, current], 1), points))
        return (1 - update) * history + update * candidate


def hash_ordered(x: SparseTensor) -> SparseTensor:
    """Return the cells in the order used by torchsparse 1.4: ascending 60-bit FNV-1a hash of (x, y, z, batch)."""
    order = torch.from_numpy(np.argsort(fnv_hash(x.coordinates[:, [1, 2, 3, 0]].cpu().numpy()))).to(x.features.device)
    return SparseTensor(x.features[order], x.coordinates[order], x.stride)


def fnv_hash(cells: np.ndarray) -> np.ndarray:
    """Return the 64-bit FNV-1a hash of int32 rows, word by word, folded to 60 bits, (N,) uint64."""
    code = np.full(len(cells), FNV_START)
    for column in np.ascontiguousarray(cells, dtype=np.int32).view(np.uint32).T:
        code = (code ^ column.astype(np.uint64)) * FNV_PRIME
    return (code >> HASH_BITS) ^ (code & ((np.uint64(1) << HASH_BITS) - np.uint64(1)))
