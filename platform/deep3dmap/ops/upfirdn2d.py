"""Upsample, filter, downsample: the resampling of StyleGAN2 (Karras et al., CVPR 2020, appendix B)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from deep3dmap.ops import upfirdn2d_reference as reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._checks import check_image
from deep3dmap.ops._half import upcast_half
from deep3dmap.ops._registration import native_op

Factors = int | Sequence[int]
MAX_SAMPLES = 2**30  # along a side, including the inserted zeros: kernels use 32-bit indices


def upfirdn2d(
    images: Tensor,
    kernel: Tensor,
    *,
    up: Factors = 1,
    down: Factors = 1,
    padding: Sequence[int] = (0, 0, 0, 0),
    backend: Backend = "auto",
) -> Tensor:
    """Return images (N, C, H, W) upsampled, convolved with one kernel (kh, kw) and downsampled; (N, C, H', W').

    Inserts `up - 1` zeros after each sample, pads the borders, convolves with the kernel (flipped, as in signal processing) and
    keeps every `down`-th sample: W' = (W * up + x0 + x1 - kw) // down + 1.
    up, down: a factor, or one for x and one for y. padding: zeros x0, x1, y0, y1 left, right, above, below; negative values
    crop. Images are float32 or float64; half precision is computed in float32 and returned in the input's type. Differentiable
    any number of times in the images; the kernel receives no gradient.
    Raises ValueError naming the argument whose shape, type or value is wrong.
    """
    steps = (_pair("up", up), _pair("down", down))
    _check(images, kernel, steps, padding)
    wide = upcast_half(images)
    taps = kernel.detach().to(wide.dtype)
    if choose(backend, images.device.type) == "reference":
        return reference.upfirdn2d(wide, taps, *steps, tuple(padding)).to(images.dtype)
    x0, _, y0, _ = padding
    size = output_size(images, kernel, steps, padding)
    return _native(wide, taps, [*steps[0], *steps[1], x0, y0], *size).to(images.dtype)


def output_size(images: Tensor, kernel: Tensor, steps: tuple[tuple[int, int], ...], padding: Sequence[int]) -> tuple[int, int]:
    """Return the height and width of the output of `upfirdn2d`."""
    (up_x, up_y), (down_x, down_y) = steps
    x0, x1, y0, y1 = padding
    height = (images.shape[2] * up_y + y0 + y1 - kernel.shape[0]) // down_y + 1
    return height, (images.shape[3] * up_x + x0 + x1 - kernel.shape[1]) // down_x + 1


def _pair(name: str, value: Factors) -> tuple[int, int]:
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"{name} must be a factor of at least 1, or one for x and one for y, got {value}")
    return pair[0], pair[1]


def _check(images: Tensor, kernel: Tensor, steps: tuple[tuple[int, int], ...], padding: Sequence[int]) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(f"images must be floating (N, C, H, W), got {images.dtype} {tuple(images.shape)}")
    if kernel.dim() != 2 or not kernel.numel() or not kernel.is_floating_point():
        raise ValueError(f"kernel must be floating (kh, kw), got {kernel.dtype} {tuple(kernel.shape)}")
    if kernel.device != images.device:
        raise ValueError(f"kernel is on {kernel.device}, but images are on {images.device}")
    if len(padding) != 4:
        raise ValueError(f"padding must be x0, x1, y0, y1, got {padding}")
    spans = [
        side * up + sum(map(abs, pads)) for side, up, pads in zip(images.shape[:1:-1], steps[0], (padding[:2], padding[2:]))
    ]
    if max(spans) > MAX_SAMPLES:
        raise ValueError(f"images {tuple(images.shape)} upsampled by {steps[0]} and padded by {tuple(padding)} are too large")
    if min(output_size(images, kernel, steps, padding)) < 1:
        raise ValueError(f"nothing is left of images {tuple(images.shape)} after the kernel {tuple(kernel.shape)}: pad more")


@native_op("deep3dmap::upfirdn2d")
def _native(images: Tensor, kernel: Tensor, geometry: list[int], height: int, width: int) -> Tensor:
    """geometry: up x, y; down x, y; padding on the left and at the top."""
    check_image(height, width)
    count, channels = images.shape[:2]
    out = images.new_empty(count, channels, height, width)
    planes = images.contiguous().view(count * channels, *images.shape[2:])
    run_native("upfirdn2d", images.device, planes, kernel.contiguous(), out.view(-1, height, width), *geometry)
    return out


@_native.register_fake
def _(images: Tensor, kernel: Tensor, geometry: list[int], height: int, width: int) -> Tensor:
    return images.new_empty(*images.shape[:2], height, width)


def _save_for_backward(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    images, kernel, ctx.geometry, *_ = inputs
    ctx.save_for_backward(kernel)
    ctx.size = images.shape[2:]


def _gradient(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Return the adjoint: the same op with the factors exchanged and the kernel flipped."""
    (kernel,) = ctx.saved_tensors
    up_x, up_y, down_x, down_y, x0, y0 = ctx.geometry
    pads = [kernel.shape[1] - 1 - x0, kernel.shape[0] - 1 - y0]
    flipped = kernel.flip((0, 1))
    return _native(gradient, flipped, [down_x, down_y, up_x, up_y, *pads], *ctx.size), None, None, None, None


_native.register_autograd(_gradient, setup_context=_save_for_backward)
