"""Lifting image features into 3D: the mean feature over the views that see a point (NeuralRecon, section 3.1)."""

from typing import Any

import torch
from torch import Tensor

from deep3dmap.ops import back_project_reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._checks import check_image
from deep3dmap.ops._fixed import fixed_sums, needs_fixed_sums
from deep3dmap.ops._half import upcast_half
from deep3dmap.ops._registration import native_op


def back_project(
    features: Tensor, projection: Tensor, positions: Tensor, backend: Backend = "auto"
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean feature (N, C), the mean depth (N,) and the number of views (N,) int32 that see each position.

    features: (V, C, H, W) float32; half precision is converted to float32; float64 only in the reference, which `auto` selects.
    projection: (V, 3, 4) or (V, 4, 4), pixel from world, with pixel centres of the feature map at integer coordinates.
    positions: (N, 3) in world coordinates; depth is in the same unit. All tensors must be on one device.
    A view sees a position that is in front of it (z > 0) and projects into [0, W - 1] x [0, H - 1]; features are sampled
    bilinearly there. A view with a non-finite projection sees nothing; positions that no view sees get zeros.
    Differentiable in features. Results are bitwise identical on the CPU for any number of threads, and on CUDA from run to run
    if torch's deterministic algorithms are enabled.
    Raises ValueError naming the argument whose shape, type or device is wrong.
    """
    _check(features, projection, positions)
    features = upcast_half(features)
    cameras, points = projection.detach()[:, :3].to(features.dtype), positions.detach().to(features.dtype)
    if features.dtype == torch.float64 and backend == "auto":
        backend = "reference"
    if choose(backend, features.device.type) == "reference":
        return back_project_reference.back_project(features, cameras, points)
    if features.dtype != torch.float32:
        raise ValueError("features must be float32 in the native kernel; use backend=reference for float64")
    mean, depth, count = _native_back_project(features, cameras, points)
    return mean, depth, count


def _check(features: Tensor, projection: Tensor, positions: Tensor) -> None:
    if features.dim() != 4 or not features.is_floating_point():
        raise ValueError(f"features must be floating (V, C, H, W), got {features.dtype} {tuple(features.shape)}")
    if features.shape[1] < 1 or min(features.shape[2:]) < 2:
        raise ValueError(f"features must have a channel and at least 2 x 2 pixels, got {tuple(features.shape)}")
    if projection.dim() != 3 or projection.shape[0] != len(features) or tuple(projection.shape[1:]) not in ((3, 4), (4, 4)):
        raise ValueError(f"projection must be ({len(features)}, 3 or 4, 4), got {tuple(projection.shape)}")
    if positions.dim() != 2 or positions.shape[1] != 3:
        raise ValueError(f"positions must be (N, 3), got {tuple(positions.shape)}")
    for name, value in (("projection", projection), ("positions", positions)):
        if value.device != features.device:
            raise ValueError(f"{name} is on {value.device}, but features are on {features.device}")


@native_op("deep3dmap::back_project")
def _native_back_project(features: Tensor, projection: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    mean, depth, count = _outputs(features, positions)
    given = (features.permute(0, 2, 3, 1).contiguous(), projection.contiguous(), positions.contiguous())
    run_native("back_project_forward", features.device, *given, mean, depth, count)
    return mean, depth, count


@_native_back_project.register_fake
def _(features: Tensor, projection: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _outputs(features, positions)


def _outputs(features: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    points = len(positions)
    count = torch.empty(points, dtype=torch.int32, device=features.device)
    return features.new_empty(points, features.shape[1]), features.new_empty(points), count


@native_op("deep3dmap::back_project_backward")
def _native_backward(
    grad_mean: Tensor, projection: Tensor, positions: Tensor, count: Tensor, height: int, width: int
) -> Tensor:
    check_image(height, width)  # before memory is allocated for it
    shape = (len(projection), height, width, grad_mean.shape[1])
    given = (grad_mean.contiguous(), projection.contiguous(), positions.contiguous(), count)
    if needs_fixed_sums(grad_mean):
        # Each position adds to a pixel at most four times.
        fixed = fixed_sums(shape, grad_mean, 4 * len(positions))
        run_native("back_project_backward_fixed", grad_mean.device, *given, *fixed)
        return fixed.floats().permute(0, 3, 1, 2)
    gradient = grad_mean.new_zeros(shape)
    run_native("back_project_backward", grad_mean.device, *given, gradient)
    return gradient.permute(0, 3, 1, 2)


@_native_backward.register_fake
def _(grad_mean: Tensor, projection: Tensor, positions: Tensor, count: Tensor, height: int, width: int) -> Tensor:
    return grad_mean.new_empty(len(projection), height, width, grad_mean.shape[1]).permute(0, 3, 1, 2)


def _save_for_backward(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
    features, projection, positions = inputs
    ctx.save_for_backward(projection, positions, output[2])
    ctx.mark_non_differentiable(output[1], output[2])
    ctx.size = features.shape[2:]


def _backward(ctx: Any, grad_mean: Tensor, *_: object) -> tuple[Tensor, None, None]:
    height, width = ctx.size
    return _native_backward(grad_mean, *ctx.saved_tensors, height, width), None, None


_native_back_project.register_autograd(_backward, setup_context=_save_for_backward)
