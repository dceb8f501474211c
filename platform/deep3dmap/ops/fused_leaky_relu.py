"""Bias, leaky ReLU and gain in one pass over memory, as StyleGAN2 applies them after every convolution."""

import math
from typing import Any

import torch
from torch import Tensor

from deep3dmap.ops import fused_leaky_relu_reference as reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._half import upcast_half
from deep3dmap.ops._registration import native_op


def fused_leaky_relu(
    values: Tensor, bias: Tensor | None = None, slope: float = 0.2, gain: float = math.sqrt(2), backend: Backend = "auto"
) -> Tensor:
    """Return gain * leaky_relu(values + bias), with the shape of the values (N, C, ...).

    bias: (C,), any floating-point type. slope: non-negative factor for negative values and, in gradients, at exactly 0.
    gain: positive, so that the output has the sign of its input, from which the gradient is computed; sqrt(2) preserves the
    variance. Values are float32 or float64; half precision is computed in float32 and returned in the input's type.
    Differentiable any number of times.
    Raises ValueError naming the argument whose shape, type or value is wrong.
    """
    _check(values, bias, slope, gain)
    wide = upcast_half(values)
    shift = None if bias is None else bias.to(wide.dtype)
    # On CUDA torch's own kernels are faster (docs/ops.md), so the native one runs there only if requested explicitly.
    if (backend == "auto" and values.is_cuda) or choose(backend, values.device.type) == "reference":
        return reference.fused_leaky_relu(wide, shift, slope, gain).to(values.dtype)
    return _native(wide, shift, slope, gain).to(values.dtype)


def _check(values: Tensor, bias: Tensor | None, slope: float, gain: float) -> None:
    if not (slope >= 0 and gain > 0):
        raise ValueError(f"slope must be at least 0 and gain positive, got {slope} and {gain}")
    if values.dim() < 2 or not values.is_floating_point():
        raise ValueError(f"values must be floating (N, C, ...), got {values.dtype} {tuple(values.shape)}")
    if bias is None:
        return
    if tuple(bias.shape) != (values.shape[1],) or not bias.is_floating_point():
        raise ValueError(f"bias must be floating ({values.shape[1]},), got {bias.dtype} {tuple(bias.shape)}")
    if bias.device != values.device:
        raise ValueError(f"bias is on {bias.device}, but values are on {values.device}")


def _run(values: Tensor, bias: Tensor | None, like: Tensor | None, slope: float, gain: float) -> Tensor:
    count, channels = values.shape[:2]
    out = torch.empty_like(values, memory_format=torch.contiguous_format)
    shape = (count, channels, math.prod(values.shape[2:]))
    given = [values.new_empty(0) if one is None else one.contiguous() for one in (bias, like)]
    run_native("leaky_relu", values.device, values.contiguous().view(shape), *given, out.view(shape), slope, gain)
    return out


@native_op("deep3dmap::fused_leaky_relu")
def _native(values: Tensor, bias: Tensor | None, slope: float, gain: float) -> Tensor:
    return _run(values, bias, None, slope, gain)


@native_op("deep3dmap::leaky_slope")
def _slope(values: Tensor, like: Tensor, slope: float, gain: float) -> Tensor:
    """Multiply the values by gain where `like` is positive, and by gain times slope elsewhere."""
    return _run(values, None, like, slope, gain)


@_native.register_fake
def _(values: Tensor, bias: Tensor | None, slope: float, gain: float) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


@_slope.register_fake
def _(values: Tensor, like: Tensor, slope: float, gain: float) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, bias, *ctx.settings = inputs
    ctx.has_bias = bias is not None
    # The output has the same sign as the input, so the input does not have to be saved.
    ctx.save_for_backward(output)


def _gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    through = _slope(gradient, ctx.saved_tensors[0].detach(), *ctx.settings)
    others = [axis for axis in range(through.dim()) if axis != 1]
    return through, through.sum(others) if ctx.has_bias else None, None, None


def _save_for_slope_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, like, *ctx.settings = inputs
    ctx.save_for_backward(like)


def _slope_gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Return the adjoint of a diagonal map, which is the map itself; its signs are constant almost everywhere."""
    return _slope(gradient, ctx.saved_tensors[0], *ctx.settings), None, None, None


_native.register_autograd(_gradient, setup_context=_save_for_backward)
_slope.register_autograd(_slope_gradient, setup_context=_save_for_slope_backward)
