"""Sparse 3D convolution and point-voxel conversion; docs/ops.md shows how to use them standalone."""

from deep3dmap.ops.sparse.backends import SparseBackend, available_sparse_backends
from deep3dmap.ops.sparse.convolution import sparse_conv3d
from deep3dmap.ops.sparse.maps import KernelMap, downsample, kernel_map, kernel_offsets, lookup, unique_coordinates
from deep3dmap.ops.sparse.modules import BatchNorm, Conv3d, ReLU, global_pool
from deep3dmap.ops.sparse.point_voxel import devoxelize, trilinear_map, voxelize_mean
from deep3dmap.ops.sparse.tensor import MapCache, PointTensor, SparseTensor

__all__ = [
    "BatchNorm",
    "Conv3d",
    "KernelMap",
    "MapCache",
    "PointTensor",
    "ReLU",
    "SparseBackend",
    "SparseTensor",
    "available_sparse_backends",
    "devoxelize",
    "downsample",
    "global_pool",
    "kernel_map",
    "kernel_offsets",
    "lookup",
    "sparse_conv3d",
    "trilinear_map",
    "unique_coordinates",
    "voxelize_mean",
]
