"""Layers on sparse tensors, with the parameter names of torchsparse 1.4."""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from deep3dmap.ops.sparse.backends import SparseBackend
from deep3dmap.ops.sparse.convolution import sparse_conv3d
from deep3dmap.ops.sparse.maps import KernelMap
from deep3dmap.ops.sparse.tensor import SparseTensor


class Conv3d(nn.Module):
    """Sparse convolution with a cubic kernel and no bias.

    Stride 1 preserves the voxels; stride s maps to the cells floor(c / s) of the coarser grid; a transposed convolution maps
    back to the finer voxels that the tensor was derived from. `kernel` is (K, in, out), or (in, out) for kernel size 1 with
    stride 1. Raises ValueError if a size is not positive, and in forward if transposed and the tensor's maps do not contain the
    finer voxels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        transposed: bool = False,
        backend: SparseBackend = "auto",
    ) -> None:
        super().__init__()
        if min(in_channels, out_channels, kernel_size, stride) < 1:
            found = (in_channels, out_channels, kernel_size, stride)
            raise ValueError(f"channels, kernel_size and stride must be positive, got {found}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.transposed, self.backend = kernel_size, stride, transposed, backend
        volume = kernel_size**3
        shape = (in_channels, out_channels) if self.pointwise else (volume, in_channels, out_channels)
        self.kernel = nn.Parameter(torch.empty(shape))
        bound = 1 / math.sqrt((out_channels if transposed else in_channels) * volume)
        nn.init.uniform_(self.kernel, -bound, bound)

    @property
    def pointwise(self) -> bool:
        """Whether each voxel is transformed independently: kernel size 1 and stride 1."""
        return self.kernel_size == 1 and self.stride == 1

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Convolve; the result shares the maps of x."""
        if self.pointwise:
            return x.replace(x.features @ self.kernel)
        stride, pairs = self._upwards(x) if self.transposed else self._downwards(x)
        features = sparse_conv3d(x.features, self.kernel, pairs, self.backend)
        return SparseTensor(features, x.cache.coordinates[stride], stride, x.maps)

    def extra_repr(self) -> str:
        """Return the sizes for `repr`."""
        sizes = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        return sizes + (", transposed=True" if self.transposed else "")

    def _downwards(self, x: SparseTensor) -> tuple[int, KernelMap]:
        stride = x.stride * self.stride
        x.cache.coarser(x.stride, stride)
        return stride, x.cache.kernel_map(self.kernel_size, x.stride, stride, self.backend)

    def _upwards(self, x: SparseTensor) -> tuple[int, KernelMap]:
        stride = x.stride // self.stride
        if stride * self.stride != x.stride or stride not in x.cache.coordinates:
            raise ValueError(
                f"x has no voxels of stride {x.stride} / {self.stride}: a transposed convolution maps back to those x came from"
            )
        return stride, x.cache.kernel_map(self.kernel_size, stride, x.stride, self.backend).reversed()


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over the rows of a sparse tensor, all batch elements together.

    In training, an input with fewer than two rows, which has no variance, is normalised with the running statistics, which are
    not updated.
    """

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Normalise the features."""
        if self.training and len(x.features) < 2 and self.track_running_stats:
            return x.replace(self._by_running_statistics(x.features))
        return x.replace(super().forward(x.features))

    def _by_running_statistics(self, features: Tensor) -> Tensor:
        mean, variance = self.running_mean, self.running_var
        return nn.functional.batch_norm(features, mean, variance, self.weight, self.bias, training=False, eps=self.eps)


class ReLU(nn.ReLU):
    """ReLU on a sparse tensor."""

    def forward(self, x: SparseTensor) -> SparseTensor:  # type: ignore[override]
        """Apply ReLU to the features."""
        return x.replace(super().forward(x.features))


def global_pool(x: SparseTensor, mode: Literal["mean", "max"] = "mean", batch_size: int | None = None) -> Tensor:
    """Pool the rows of each batch element, (B, C); 0 for an element without voxels.

    batch_size: B; by default the highest batch index + 1. Raises ValueError for an unknown mode or a batch index beyond B.
    """
    if mode not in ("mean", "max"):
        raise ValueError(f"mode must be mean or max, not '{mode}'")
    batch = x.coordinates[:, 0].to(torch.int64)
    needed = int(batch.max()) + 1 if len(batch) else 0
    if batch_size is not None and batch_size < needed:
        raise ValueError(f"batch_size is {batch_size}, but there are {needed} batch elements")
    pooled = x.features.new_zeros(needed if batch_size is None else batch_size, x.features.shape[1])
    rows = batch[:, None].expand_as(x.features)
    return pooled.scatter_reduce(0, rows, x.features, "mean" if mode == "mean" else "amax", include_self=False)
