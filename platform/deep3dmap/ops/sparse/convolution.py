"""Sparse 3D convolution over a kernel map: submanifold, strided and transposed convolutions differ only in their maps."""

import torch
from torch import Tensor

from deep3dmap.ops._half import upcast_half
from deep3dmap.ops.sparse import native_features, peers, reference
from deep3dmap.ops.sparse.backends import SparseBackend, choose
from deep3dmap.ops.sparse.maps import KernelMap


def sparse_conv3d(features: Tensor, weight: Tensor, kernel_map: KernelMap, backend: SparseBackend = "auto") -> Tensor:
    """Convolve the rows of a sparse tensor: out[o] = sum over pairs (i, o) of offset k of features[i] @ weight[k].

    features: (N, Cin) floating point. weight: (K, Cin, Cout) of the same type. kernel_map: with N inputs and K offsets.
    Returns (kernel_map.outputs, Cout), 0 for outputs without inputs. Differentiable in features and weight any number of times.
    On CUDA precision follows torch's matrix products: under autocast both operands are cast to its type, float32 is rounded to
    TF32 if torch.backends.cuda.matmul.allow_tf32 is set, and sums are accumulated in float32. On the CPU, which has no
    half-precision kernels, autocast converts half types to float32.
    This is a cross-correlation (no flip), as in Choy et al. 2019 (Minkowski) and Tang et al. 2020 (SPVNAS).
    Raises ValueError if shapes or types do not match.
    """
    if torch.is_autocast_enabled(features.device.type):
        features, weight = _cast(features), _cast(weight)
    _check(features, weight, kernel_map)
    chosen = choose(backend, "sparse_conv_forward", features.device, features.dtype)
    if chosen == "spconv":
        return peers.spconv_convolve(features, weight, kernel_map)
    if chosen == "torchsparse":
        return peers.torchsparse_convolve(features, weight, kernel_map)
    rows = kernel_map.in_rows, kernel_map.out_rows
    if chosen == "native":
        result: Tensor = native_features.convolve(features, weight, *rows, kernel_map.splits, kernel_map.outputs)
        return result
    return reference.convolve(features, weight, *rows, kernel_map.splits.tolist(), kernel_map.outputs)


def _cast(values: Tensor) -> Tensor:
    return values.to(torch.get_autocast_dtype("cuda")) if values.is_cuda else upcast_half(values)


def _check(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> None:
    if features.dim() != 2 or len(features) != kernel_map.inputs:
        raise ValueError(f"features must be ({kernel_map.inputs}, Cin) to match the kernel map, got {tuple(features.shape)}")
    offsets = len(kernel_map.splits) - 1
    if weight.dim() != 3 or tuple(weight.shape[:2]) != (offsets, features.shape[1]):
        raise ValueError(f"weight must be ({offsets}, {features.shape[1]}, Cout), got {tuple(weight.shape)}")
    if features.dtype != weight.dtype or not features.is_floating_point():
        raise ValueError(f"features and weight must have one floating-point type, got {features.dtype} and {weight.dtype}")
    if not features.device == weight.device == kernel_map.in_rows.device:
        raise ValueError(
            f"features are on {features.device}, weight on {weight.device}, kernel_map on {kernel_map.in_rows.device}"
        )
