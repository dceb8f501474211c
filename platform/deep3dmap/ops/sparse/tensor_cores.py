"""Sparse convolution as gathered matrix products on a GPU: half types and TF32 on tensor cores, and plain float32."""

import torch
from torch import Tensor
from torch.nn import functional

from deep3dmap.ops._backend import native, run_native
from deep3dmap.ops._half import HALF_TYPES

PIECE = 16  # bytes per vectorised copy
SEGMENT, MAX_SEGMENTS = 32, 800  # for the weight gradient: pairs per step, and thread blocks that share the pairs
SCRATCH = 1 << 26  # bytes for partial sums; exceeded only if one sum per offset needs more


def is_supported(device: torch.device, dtype: torch.dtype) -> bool:
    """Return whether the kernels support this device and type."""
    if device.type != "cuda" or dtype not in (torch.float32, *HALF_TYPES):
        return False
    return hasattr(native(), "sparse_tensor_forward_cuda") and torch.cuda.get_device_capability(device) >= (8, 0)


def tf32_allowed() -> bool:
    """Return whether matrix products of float32 may be rounded to TF32, by either of torch's settings."""
    matmul = torch.backends.cuda.matmul
    # The newer setting exists since torch 2.9, where reading the older one fails if the two have been mixed.
    return bool(matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32)


def convolve(features: Tensor, weight: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor, outputs: int) -> Tensor:
    """Compute `reference.convolve` with operands in the precision of the type and sums in float32."""
    table = torch.empty(len(splits) - 1, outputs, dtype=torch.int32, device=features.device)
    result = features.new_empty(outputs, weight.shape[2])
    given = (
        _align_rows(features),
        _align_rows(weight.transpose(1, 2)),
        in_rows.contiguous(),
        out_rows.contiguous(),
        splits.contiguous(),
    )
    run_native("sparse_tensor_forward", features.device, *given, table, result, tf32_allowed())
    return result


def weight_gradient(features: Tensor, gradient: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor) -> Tensor:
    """Return the gradient with respect to the weight, (K, Cin, Cout), in the type of features."""
    left, right = _align_rows(features), _align_rows(gradient)
    sizes = splits.diff()
    slice_bytes = left.shape[1] * right.shape[1] * 4
    shares = max(1, min(MAX_SEGMENTS, SCRATCH // max(slice_bytes, 1)))
    length = SEGMENT * max(8, -(-len(in_rows) // (shares * SEGMENT)))
    sums = torch.empty(
        int((sizes + length - 1).div(length, rounding_mode="floor").sum()), left.shape[1], right.shape[1], device=left.device
    )
    result = left.new_empty(len(sizes), left.shape[1], right.shape[1])
    given = (left, right, in_rows.contiguous(), out_rows.contiguous(), splits.contiguous())
    run_native("sparse_tensor_weight_gradient", left.device, *given, length, sums, result, tf32_allowed())
    return result[:, : features.shape[1], : gradient.shape[1]].contiguous()


def _align_rows(values: Tensor) -> Tensor:
    """Return the values with rows zero-padded to whole pieces and the memory aligned for vectorised copies."""
    missing = -values.shape[-1] % (PIECE // values.element_size())
    whole = functional.pad(values, (0, missing)).contiguous() if missing else values.contiguous()
    return whole.clone() if whole.data_ptr() % PIECE else whole
