"""Ray marching through an occupancy grid: samples are placed in occupied cells only (Instant-NGP, appendix E.1)."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import march_rays_reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._registration import native_op

MAX_STEPS = 2**20


class PackedSamples(NamedTuple):
    """The S samples of R rays, concatenated ray by ray.

    offsets: (R + 1,) int64; ray i has the samples offsets[i] to offsets[i + 1]. rays: (S,) int64, the ray of each sample.
    distances: (S,) midpoints of the ray segments that the samples represent. lengths: (S,) of these segments.
    """

    offsets: Tensor
    rays: Tensor
    distances: Tensor
    lengths: Tensor


def march_rays(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    occupied: Tensor,
    step: float,
    *,
    cone: float = 0.0,
    contracted: bool = False,
    jitter: Tensor | None = None,
    backend: Backend = "auto",
) -> PackedSamples:
    """Divide the rays into steps from near to far and keep those whose midpoint lies in an occupied cell.

    origins, directions: (R, 3) float32 in the frame where the scene box is [-1, 1]^3; directions are per unit of distance.
    near, far: (R,) distances; a ray with near >= far has no samples. occupied: (G, G, G) bool, x first, over [-1, 1]^3, or with
    `contracted` over [-2, 2]^3, into which all of space is contracted (`march_rays_reference.contract`).
    step: step length; with `cone` it grows with the distance as max(step, cone * distance). jitter: (R,) in [0, 1), the
    fraction of the first step by which the start of a ray is delayed. The steps do not depend on which cells are empty.
    Runs in two passes, so that memory is allocated only for the samples kept. Not differentiable.
    Raises ValueError naming the argument whose shape, type or range is wrong, or if step is too small for the distances.
    """
    _check(origins, directions, near, far, occupied, step, cone)
    shift = torch.zeros_like(near) if jitter is None else jitter.to(near)
    if shift.shape != near.shape:
        raise ValueError(f"jitter must be {tuple(near.shape)}, got {tuple(shift.shape)}")
    _check_ranges(near, far, shift, step)
    cells = occupied.contiguous().view(torch.uint8)
    origins, directions, near, far, shift = (one.detach().contiguous() for one in (origins, directions, near, far, shift))
    given = (origins, directions, near, far, shift, cells)
    if choose(backend, origins.device.type) == "reference":
        counts, distances, lengths = march_rays_reference.march_rays(*given, contracted, step, cone)
        offsets = _sums(counts)
    else:
        offsets = _sums(_native_count(*given, contracted, step, cone))
        distances, lengths = _native_fill(*given, offsets, int(offsets[-1]), contracted, step, cone)
    rays = torch.repeat_interleave(torch.arange(len(near), device=near.device), offsets.diff(), output_size=len(distances))
    return PackedSamples(offsets, rays, distances, lengths)


def _sums(counts: Tensor) -> Tensor:
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)])


def _check(origins: Tensor, directions: Tensor, near: Tensor, far: Tensor, occupied: Tensor, step: float, cone: float) -> None:
    rays = len(origins)
    shapes = (
        ("origins", origins, (rays, 3)),
        ("directions", directions, (rays, 3)),
        ("near", near, (rays,)),
        ("far", far, (rays,)),
    )
    for name, value, shape in shapes:
        if tuple(value.shape) != shape or value.dtype != torch.float32 or value.device != origins.device:
            raise ValueError(f"{name} must be float32 {shape} on {origins.device}, got {value.dtype} {tuple(value.shape)}")
    if occupied.dim() != 3 or len(set(occupied.shape)) != 1 or occupied.dtype != torch.bool or not occupied.numel():
        raise ValueError(f"occupied must be bool (G, G, G), got {occupied.dtype} {tuple(occupied.shape)}")
    if occupied.device != origins.device:
        raise ValueError(f"occupied is on {occupied.device}, but origins are on {origins.device}")
    if not step > 0 or not cone >= 0:
        raise ValueError(f"step must be positive and cone non-negative, got {step} and {cone}")


def _check_ranges(near: Tensor, far: Tensor, jitter: Tensor, step: float) -> None:
    if not len(near):
        return
    # The start of a ray that misses the scene is irrelevant. All values are read in one transfer, which synchronises with CUDA.
    begins = torch.where(near < far, near, 0.0)
    nearest, farthest, least, most = torch.stack([begins.amin(), far.amax(), jitter.amin(), jitter.amax()]).tolist()
    if not -nearest <= step * MAX_STEPS:
        raise ValueError(f"near reaches {nearest:g}, more than {MAX_STEPS} steps of {step:g} behind the origin; bound the rays")
    if not farthest <= step * MAX_STEPS:
        raise ValueError(f"far reaches {farthest:g}, more than {MAX_STEPS} steps of {step:g}; bound the rays")
    if not (least >= 0 and most < 1):
        raise ValueError(f"jitter must lie in [0, 1), got {least:g} to {most:g}")


@native_op("deep3dmap::march_count")
def _native_count(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    jitter: Tensor,
    occupied: Tensor,
    contracted: bool,
    step: float,
    cone: float,
) -> Tensor:
    counts = near.new_empty(near.shape, dtype=torch.int64)
    run_native("march_count", near.device, origins, directions, near, far, jitter, occupied, counts, contracted, step, cone)
    return counts


@_native_count.register_fake
def _(origins: Tensor, directions: Tensor, near: Tensor, *_: object) -> Tensor:
    return near.new_empty(near.shape, dtype=torch.int64)


@native_op("deep3dmap::march_fill")
def _native_fill(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    jitter: Tensor,
    occupied: Tensor,
    offsets: Tensor,
    samples: int,
    contracted: bool,
    step: float,
    cone: float,
) -> tuple[Tensor, Tensor]:
    found = near.new_empty(samples), near.new_empty(samples)
    given = (origins, directions, near, far, jitter, occupied, offsets)
    run_native("march_fill", near.device, *given, *found, contracted, step, cone)
    return found


@_native_fill.register_fake
def _(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    jitter: Tensor,
    occupied: Tensor,
    offsets: Tensor,
    samples: int,
    *_: object,
) -> tuple[Tensor, Tensor]:
    return near.new_empty(samples), near.new_empty(samples)
