"""Volume-rendering compositing of packed samples, with a varying number per ray (Mildenhall et al., NeRF, ECCV 2020)."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import composite_reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._registration import native_op

TRANSPARENT = 1e-4


class Composited(NamedTuple):
    """color: (R, 3), without background. depth: (R,) sum of weight times distance. opacity: (R,). weights: (S,)."""

    color: Tensor
    depth: Tensor
    opacity: Tensor
    weights: Tensor


def composite(
    density: Tensor,
    color: Tensor,
    distances: Tensor,
    lengths: Tensor,
    offsets: Tensor,
    stop: float = TRANSPARENT,
    backend: Backend = "auto",
) -> Composited:
    """Composite the samples along each ray (equation 3): weight_i = T_i (1 - exp(-density_i length_i)).

    density: (S,) float32, non-negative, per unit of length; float64 only in the reference, which `auto` then selects.
    color: (S, 3). distances: (S,) from the camera centre. lengths: (S,) of the ray segments that the samples represent.
    offsets: (R + 1,) int64; ray i has the samples offsets[i] to offsets[i + 1], nearest first. stop: a ray terminates once its
    transmittance is below this value, and the samples behind have no weight and no gradient; 0 never terminates it.
    Differentiable once, in density and color, through all four results; bitwise identical for any number of threads.
    Raises ValueError naming the argument whose shape, type or device is wrong, and on the CPU for offsets that decrease or do
    not run from 0 to S. On CUDA the offsets are not checked, as that would synchronise on every call: invalid offsets never
    access memory beyond the S samples, but the results are then meaningless.
    """
    _check(density, color, distances, lengths, offsets)
    if density.dtype == torch.float64 and backend == "auto":
        backend = "reference"
    given = (density, color.to(density), distances.detach().to(density), lengths.detach().to(density), offsets)
    if choose(backend, density.device.type) == "reference":
        return Composited(*composite_reference.composite(*given, stop))
    if density.dtype != torch.float32:
        raise ValueError("density must be float32 in the native kernel; use backend=reference for float64")
    return Composited(*_native_composite(*given, stop))


def _check(density: Tensor, color: Tensor, distances: Tensor, lengths: Tensor, offsets: Tensor) -> None:
    samples = tuple(density.shape)
    if density.dim() != 1 or not density.is_floating_point():
        raise ValueError(f"density must be float (S,), got {density.dtype} {samples}")
    for name, value, shape in (
        ("color", color, (*samples, 3)),
        ("distances", distances, samples),
        ("lengths", lengths, samples),
    ):
        if tuple(value.shape) != shape:
            raise ValueError(f"{name} must be {shape}, got {tuple(value.shape)}")
    if offsets.dim() != 1 or len(offsets) < 1 or offsets.dtype != torch.int64:
        raise ValueError(f"offsets must be int64 (R + 1,), got {offsets.dtype} {tuple(offsets.shape)}")
    for name, value in (("color", color), ("distances", distances), ("lengths", lengths), ("offsets", offsets)):
        if value.device != density.device:
            raise ValueError(f"{name} is on {value.device}, but density is on {density.device}")
    if offsets.device.type == "cpu" and not _are_valid_offsets(offsets, len(density)):
        raise ValueError(f"offsets must run from 0 to the number of samples, {len(density)}, without decreasing")


def _are_valid_offsets(offsets: Tensor, samples: int) -> bool:
    return bool(offsets[0] == 0) and bool(offsets[-1] == samples) and bool((offsets[1:] >= offsets[:-1]).all())


@native_op("deep3dmap::composite")
def _native_composite(
    density: Tensor, color: Tensor, distances: Tensor, lengths: Tensor, offsets: Tensor, stop: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    results = _results(density, offsets)
    given = [value.contiguous() for value in (density, color, distances, lengths, offsets)]
    run_native("composite_forward", density.device, *given, *results, stop)
    return results


@_native_composite.register_fake
def _(
    density: Tensor, color: Tensor, distances: Tensor, lengths: Tensor, offsets: Tensor, stop: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return _results(density, offsets)


def _results(density: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rays = offsets.shape[0] - 1
    depth, opacity = density.new_empty(rays), density.new_empty(rays)
    return density.new_empty(rays, 3), depth, opacity, density.new_empty(density.shape[0])


@native_op("deep3dmap::composite_backward")
def _native_backward(
    density: Tensor,
    color: Tensor,
    distances: Tensor,
    lengths: Tensor,
    offsets: Tensor,
    on_color: Tensor,
    on_depth: Tensor,
    on_opacity: Tensor,
    on_weights: Tensor,
    stop: float,
) -> tuple[Tensor, Tensor]:
    results = density.new_empty(density.shape), density.new_empty(color.shape)
    given = (density, color, distances, lengths, offsets, on_color, on_depth, on_opacity, on_weights)
    run_native("composite_backward", density.device, *(value.contiguous() for value in given), *results, stop)
    return results


@_native_backward.register_fake
def _(density: Tensor, color: Tensor, *_: Any) -> tuple[Tensor, Tensor]:
    return density.new_empty(density.shape), density.new_empty(color.shape)


def _save_for_backward(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, Tensor, Tensor, float], output: object) -> None:
    *tensors, ctx.stop = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
    on_density, on_color = _native_backward(*ctx.saved_tensors, *gradients, ctx.stop)
    return on_density, on_color, None, None, None, None


_native_composite.register_autograd(_backward, setup_context=_save_for_backward)
