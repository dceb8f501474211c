"""Points and the voxels they fall into; what depends on their places only is computed once and used by many layers."""

import torch
from torch import Tensor

from deep3dmap.ops.sparse import MapCache, SparseTensor, devoxelize, lookup, trilinear_map, unique_coordinates, voxelize_mean


class PointVoxels:
    """Cells of edge 1 around points.

    positions: (P, 3) float in voxels, of any sign. batch: (P,) integer. Convolutions on its tensors share their kernel maps.
    """

    def __init__(self, positions: Tensor, batch: Tensor) -> None:
        self.positions, self.batch = positions, batch
        self.coordinates, rows = unique_coordinates(self._cells(1))
        self.maps = MapCache()
        self._rows = {1: rows}
        self._tables: dict[int, tuple[Tensor, Tensor]] = {}

    def voxelized(self, features: Tensor) -> SparseTensor:
        """Return the cells that hold points with the mean features of their points. features: (P, C)."""
        mean = voxelize_mean(features, self._rows[1], len(self.coordinates), known=True)
        return SparseTensor(mean, self.coordinates, 1, self.maps)

    def averaged(self, features: Tensor, like: SparseTensor) -> SparseTensor:
        """Return the mean features (P, C) of the points in each cell of `like`, a tensor that came from these points."""
        if like.stride not in self._rows:
            self._rows[like.stride] = lookup(like.coordinates, self._cells(like.stride))
        return like.replace(voxelize_mean(features, self._rows[like.stride], len(like.coordinates), known=True))

    def sampled(self, x: SparseTensor) -> Tensor:
        """Return the trilinear sample (P, C) at the points of a tensor that came from them."""
        if x.stride not in self._tables:
            self._tables[x.stride] = trilinear_map(self.positions, self.batch, x.coordinates, x.stride)
        return devoxelize(x.features, *self._tables[x.stride], known=True)

    def _cells(self, stride: int) -> Tensor:
        cells = torch.floor(self.positions / stride) * stride
        return torch.cat([self.batch[:, None].to(torch.int32), cells.to(torch.int32)], 1)
