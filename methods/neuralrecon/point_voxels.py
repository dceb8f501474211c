"""Points and their voxels; results that depend only on the positions are computed once and shared by many layers."""

import torch
from torch import Tensor

from deep3dmap.ops.sparse import MapCache, SparseTensor, devoxelize, lookup, trilinear_map, unique_coordinates, voxelize_mean


class PointVoxels:
    """Unit-sized cells around points.

    positions: (P, 3) float in voxels, may be negative. batch: (P,) integer. Convolutions on its tensors share kernel maps.
    """

    def __init__(self, positions: Tensor, batch: Tensor) -> None:
        self.positions, self.batch = positions, batch
        self.coordinates, rows = unique_coordinates(self._cells(1))
        self.maps = MapCache()
        self._rows = {1: rows}
        self._tables: dict[int, tuple[Tensor, Tensor]] = {}

    def voxelized(self, features: Tensor) -> SparseTensor:
        """Return the cells that contain points, with the mean features of their points. features: (P, C)."""
        mean = voxelize_mean(features, self._rows[1], len(self.coordinates), known=True)
        return SparseTensor(mean, self.coordinates, 1, self.maps)

    def averaged(self, features: Tensor, like: SparseTensor) -> SparseTensor:
        """Return the mean features (P, C) of the points in each cell of `like`, a tensor derived from these points."""
        if like.stride not in self._rows:
            self._rows[like.stride] = lookup(like.coordinates, self._cells(like.stride))
        return like.replace(voxelize_mean(features, self._rows[like.stride], len(like.coordinates), known=True))

    def sampled(self, x: SparseTensor) -> Tensor:
        """Return the trilinear samples (P, C) at the points, of a tensor derived from them."""
        if x.stride not in self._tables:
            self._tables[x.stride] = trilinear_map(self.positions, self.batch, x.coordinates, x.stride)
        return devoxelize(x.features, *self._tables[x.stride], known=True)

    def _cells(self, stride: int) -> Tensor:
        cells = torch.floor(self.positions / stride) * stride
        return torch.cat([self.batch[:, None].to(torch.int32), cells.to(torch.int32)], 1)
