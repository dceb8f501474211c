"""Sparse tensors and point clouds with features."""

from dataclasses import dataclass, field, replace

from torch import Tensor

from deep3dmap.ops.sparse.backends import SparseBackend
from deep3dmap.ops.sparse.maps import KernelMap, check_rows, downsample, kernel_map, kernel_offsets


@dataclass
class MapCache:
    """Cached coordinates by stride, and kernel maps by (kernel size, stride in, stride out), shared by related tensors."""

    coordinates: dict[int, Tensor] = field(default_factory=dict)
    kernel_maps: dict[tuple[int, int, int], KernelMap] = field(default_factory=dict)

    def coarser(self, stride_in: int, stride_out: int) -> Tensor:
        """Return the coordinates at stride_out, computed from those at stride_in on the first call."""
        if stride_out not in self.coordinates:
            self.coordinates[stride_out] = downsample(self.coordinates[stride_in], stride_out)
        return self.coordinates[stride_out]

    def kernel_map(self, kernel_size: int, stride_in: int, stride_out: int, backend: SparseBackend = "auto") -> KernelMap:
        """Return the kernel map between two strides with known coordinates, computed on the first call."""
        key = (kernel_size, stride_in, stride_out)
        if key not in self.kernel_maps:
            inputs, outputs = self.coordinates[stride_in], self.coordinates[stride_out]
            offsets = kernel_offsets(kernel_size, stride_in)
            self.kernel_maps[key] = kernel_map(inputs, outputs, offsets, backend)
        return self.kernel_maps[key]


@dataclass
class SparseTensor:
    """Features on voxels.

    features: (N, C). coordinates: (N, 4) int32, unique, columns batch, x, y, z, in units of the finest voxel; x, y, z are
    multiples of stride. maps: shared by tensors derived from one another, which must agree on the coordinates of each stride.
    Raises ValueError for wrong shapes, or if the shared maps contain other coordinates for this stride.
    """

    features: Tensor
    coordinates: Tensor
    stride: int = 1
    maps: MapCache | None = None

    def __post_init__(self) -> None:
        check_rows("coordinates", self.coordinates)
        if self.features.dim() != 2 or len(self.features) != len(self.coordinates):
            raise ValueError(f"features must be ({len(self.coordinates)}, C), got {tuple(self.features.shape)}")
        if self.maps is None:
            self.maps = MapCache()
        known = self.maps.coordinates.setdefault(self.stride, self.coordinates)
        if known is not self.coordinates and not (known.shape == self.coordinates.shape and known.equal(self.coordinates)):
            raise ValueError(
                f"the shared maps contain other coordinates of stride {self.stride}; omit `maps` to create new ones"
            )

    @property
    def cache(self) -> MapCache:
        """The tensor's maps, created if there are none."""
        if self.maps is None:
            self.maps = MapCache({self.stride: self.coordinates})
        return self.maps

    def replace(self, features: Tensor) -> "SparseTensor":
        """Return a tensor with other features on the same voxels."""
        return SparseTensor(features, self.coordinates, self.stride, self.maps)


@dataclass
class PointTensor:
    """Features on points: features (P, C), positions (P, 3) float in units of the finest voxel, batch (P,) integer.

    Raises ValueError if the numbers of rows differ.
    """

    features: Tensor
    positions: Tensor
    batch: Tensor

    def __post_init__(self) -> None:
        if not (len(self.features) == len(self.positions) == len(self.batch)) or tuple(self.positions.shape[1:]) != (3,):
            shapes = f"{tuple(self.features.shape)}, {tuple(self.positions.shape)}, {tuple(self.batch.shape)}"
            raise ValueError(f"features, positions and batch must be (P, C), (P, 3) and (P,), got {shapes}")

    def replace(self, features: Tensor) -> "PointTensor":
        """Return a tensor with other features on the same points."""
        return replace(self, features=features)
