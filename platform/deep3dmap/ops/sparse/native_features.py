"""Native kernels that operate on features, as torch operators with gradients; csrc/cpu/sparse.h lists them.

They support float32; the convolution also supports half types on devices with tensor cores.
"""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.ops._backend import run_native
from deep3dmap.ops._fixed import needs_fixed_sums
from deep3dmap.ops._registration import native_op
from deep3dmap.ops._segments import scatter_sum
from deep3dmap.ops.sparse import tensor_cores


@native_op("deep3dmap::sparse_convolve")
def convolve(features: Tensor, weight: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor, outputs: int) -> Tensor:
    """Compute the same result as `reference.convolve`."""
    if tensor_cores.is_supported(features.device, features.dtype):
        return tensor_cores.convolve(features, weight, in_rows, out_rows, splits, outputs)
    result = features.new_empty(outputs, weight.shape[2])
    _run("sparse_conv_forward", features, weight, in_rows, out_rows, splits, result)
    return result


@convolve.register_fake
def _(features: Tensor, weight: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor, outputs: int) -> Tensor:
    return features.new_empty(outputs, weight.shape[2])


@native_op("deep3dmap::sparse_convolve_weight_gradient")
def weight_gradient(features: Tensor, gradient: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor) -> Tensor:
    """Return the gradient with respect to the weight, (K, Cin, Cout)."""
    if tensor_cores.is_supported(features.device, features.dtype):
        return tensor_cores.weight_gradient(features, gradient, in_rows, out_rows, splits)
    result = features.new_empty(len(splits) - 1, features.shape[1], gradient.shape[1])
    _run("sparse_conv_weight_gradient", features, gradient, in_rows, out_rows, splits, result)
    return result


@weight_gradient.register_fake
def _(features: Tensor, gradient: Tensor, in_rows: Tensor, out_rows: Tensor, splits: Tensor) -> Tensor:
    return features.new_empty(splits.shape[0] - 1, features.shape[1], gradient.shape[1])


def _save_for_convolution_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:5])


def _convolution_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    features, weight, in_rows, out_rows, splits = ctx.saved_tensors
    of_features = of_weight = None
    if ctx.needs_input_grad[0]:
        of_features = convolve(gradient, weight.transpose(1, 2), out_rows, in_rows, splits, features.shape[0])
    if ctx.needs_input_grad[1]:
        of_weight = weight_gradient(features, gradient, in_rows, out_rows, splits)
    return of_features, of_weight, None, None, None, None


convolve.register_autograd(_convolution_backward, setup_context=_save_for_convolution_backward)


def _save_for_gradient_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradient_backward(ctx: Any, twice: Tensor) -> tuple[Tensor | None, ...]:
    features, gradient, in_rows, out_rows, splits = ctx.saved_tensors
    of_features = of_gradient = None
    if ctx.needs_input_grad[0]:
        of_features = convolve(gradient, twice.transpose(1, 2), out_rows, in_rows, splits, features.shape[0])
    if ctx.needs_input_grad[1]:
        of_gradient = convolve(features, twice, in_rows, out_rows, splits, gradient.shape[0])
    return of_features, of_gradient, None, None, None


weight_gradient.register_autograd(_gradient_backward, setup_context=_save_for_gradient_backward)


@native_op("deep3dmap::sparse_voxelize")
def voxelize(features: Tensor, rows: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """Return the mean feature of the points in each cell, (cells, C), and their number, (cells,) int32."""
    mean = features.new_empty(cells, features.shape[1])
    counts = torch.empty(cells, dtype=torch.int32, device=features.device)
    _run("sparse_voxelize_forward", features, rows, mean, counts)
    if needs_fixed_sums(features):
        mean = scatter_sum(features, rows, cells) / counts.clamp(min=1)[:, None]
    return mean, counts


@voxelize.register_fake
def _(features: Tensor, rows: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    return features.new_empty(cells, features.shape[1]), features.new_empty(cells, dtype=torch.int32)


@native_op("deep3dmap::sparse_voxelize_backward")
def voxelize_backward(gradient: Tensor, rows: Tensor, counts: Tensor) -> Tensor:
    """Return the gradient with respect to the points' features, (P, C)."""
    result = gradient.new_empty(len(rows), gradient.shape[1])
    _run("sparse_voxelize_backward", gradient, rows, counts, result)
    return result


@voxelize_backward.register_fake
def _(gradient: Tensor, rows: Tensor, counts: Tensor) -> Tensor:
    return gradient.new_empty(rows.shape[0], gradient.shape[1])


def _save_for_voxelization_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(inputs[1], output[1])
    ctx.mark_non_differentiable(output[1])


def _voxelization_backward(ctx: Any, gradient: Tensor, _: Tensor | None) -> tuple[Tensor, None, None]:
    return voxelize_backward(gradient, *ctx.saved_tensors), None, None


voxelize.register_autograd(_voxelization_backward, setup_context=_save_for_voxelization_backward)


@native_op("deep3dmap::sparse_devoxelize")
def devoxelize(features: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Compute the same result as `reference.devoxelize`; differentiable in the features only."""
    result = features.new_empty(len(rows), features.shape[1])
    _run("sparse_devoxelize_forward", features, rows, weights, result)
    return result


@devoxelize.register_fake
def _(features: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    return features.new_empty(rows.shape[0], features.shape[1])


@native_op("deep3dmap::sparse_devoxelize_backward")
def devoxelize_backward(gradient: Tensor, rows: Tensor, weights: Tensor, cells: int) -> Tensor:
    """Return the gradient with respect to the cells' features, (cells, C)."""
    if needs_fixed_sums(gradient):
        return scatter_sum(gradient, rows.reshape(-1), cells, weights.reshape(-1))
    result = gradient.new_empty(cells, gradient.shape[1])
    _run("sparse_devoxelize_backward", gradient, rows, weights, result)
    return result


@devoxelize_backward.register_fake
def _(gradient: Tensor, rows: Tensor, weights: Tensor, cells: int) -> Tensor:
    return gradient.new_empty(cells, gradient.shape[1])


def _save_for_samples_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:])
    ctx.cells = inputs[0].shape[0]


def _samples_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    return devoxelize_backward(gradient, *ctx.saved_tensors, ctx.cells), None, None


devoxelize.register_autograd(_samples_backward, setup_context=_save_for_samples_backward)


def _run(kernel: str, *arguments: Tensor) -> None:
    run_native(kernel, arguments[0].device, *(value.contiguous() for value in arguments))
