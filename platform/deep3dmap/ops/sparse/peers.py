"""Sparse convolution with spconv and torchsparse on our kernel maps; both libraries are optional, for comparison."""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.ops.sparse.maps import KernelMap


def spconv_convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Convolve with spconv 2.3 (Apache 2.0), algorithm `Native`; float32, arguments as in `sparse_conv3d`."""
    from spconv.core import ConvAlgo
    from spconv.pytorch import functional, ops

    if not torch.cuda.is_available():
        # Its backward pass queries the CUDA stream even for CPU tensors, which fails if torch has no CUDA.
        ops.get_current_stream = lambda: 0
    sizes = kernel_map.splits.diff()
    longest = max(int(sizes.max()), 1)
    if len(features) == 0 or not kernel_map.outputs:
        return _empty_result(features, weight, kernel_map.outputs)
    pairs = torch.full((2, len(sizes), longest), -1, dtype=torch.int32)
    filled = torch.arange(longest) < sizes[:, None]
    pairs[0, filled], pairs[1, filled] = kernel_map.in_rows.cpu(), kernel_map.out_rows.cpu()
    filters = weight.permute(2, 0, 1)[:, :, None, None].contiguous()
    counts = sizes.to(torch.int32).to(features.device)
    arguments = (features, filters, pairs.to(features.device), counts, kernel_map.outputs, ConvAlgo.Native)
    result: Tensor = functional.indice_conv(*arguments)
    return result


def torchsparse_convolve(features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
    """Convolve with torchsparse 1.4 or 2.1 (MIT), gather-scatter; float32, arguments as in `sparse_conv3d`."""
    if len(features) == 0 or not kernel_map.outputs or not len(kernel_map.in_rows):
        return _empty_result(features, weight, kernel_map.outputs)
    result: Tensor = _Torchsparse.apply(features, weight, kernel_map)
    return result


class _Torchsparse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, kernel_map: KernelMap) -> Tensor:
        pairs = torch.stack([kernel_map.in_rows, kernel_map.out_rows], 1).contiguous()
        sizes = kernel_map.splits.diff().to(torch.int32)
        if len(sizes) % 2:
            # With an odd kernel and equal numbers of inputs and outputs, torchsparse assumes that each voxel is its own centre,
            # which does not hold for strided convolutions; an additional empty offset makes the kernel even.
            sizes = torch.cat([sizes, sizes.new_zeros(1)])
            weight = torch.cat([weight, torch.zeros_like(weight[:1])])
        features, weight = features.contiguous(), weight.contiguous()
        ctx.save_for_backward(features, weight, pairs, sizes)
        ctx.offsets = len(kernel_map.splits) - 1
        return _forward(features, weight, pairs, sizes, kernel_map.outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        import torchsparse.backend as library

        features, weight, pairs, sizes = ctx.saved_tensors
        of_features, of_weight = torch.zeros_like(features), torch.zeros_like(weight)
        outputs = (features, of_features, gradients[0].contiguous(), weight, of_weight, pairs, sizes, False)
        _kernel(library, "backward", features.device)(*outputs)
        return of_features, of_weight[: ctx.offsets], None


def _forward(features: Tensor, weight: Tensor, pairs: Tensor, sizes: Tensor, outputs: int) -> Tensor:
    import torchsparse.backend as library

    run = _kernel(library, "forward", features.device)
    if features.is_cuda and hasattr(library, "conv_forward_gather_scatter_cuda"):
        none = torch.empty(0, dtype=torch.int32, device=features.device)
        # Mode 0 is the plain gather-scatter of version 1.4, which needs neither masks nor a buffer.
        result: Tensor = run(features, weight, pairs, sizes, none, none, outputs, 0.0, 0, 0, False, features.new_empty(0))
        return result
    result = features.new_zeros(outputs, weight.shape[2])
    run(features, result, weight, pairs, sizes, False)
    return result


def _kernel(library: Any, direction: str, device: torch.device) -> Any:
    new = f"conv_{direction}_gather_scatter_{device.type}"
    return getattr(library, new) if hasattr(library, new) else getattr(library, f"convolution_{direction}_{device.type}")


def _empty_result(features: Tensor, weight: Tensor, outputs: int) -> Tensor:
    return features.new_zeros(outputs, weight.shape[2]) + 0 * (features.sum() + weight.sum())
