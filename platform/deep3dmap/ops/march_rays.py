"""Marching along rays through an occupancy grid: samples where something may be (Instant-NGP, appendix E.1)."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops import march_rays_reference
from deep3dmap.ops._backend import Backend, choose, run_native
from deep3dmap.ops._registration import native_op

MOST_STEPS = 2**20


class PackedSamples(NamedTuple):
    """The samples of R rays, one ray after the other, S in all.

    offsets: (R + 1,) int64; ray i has the samples offsets[i] to offsets[i + 1]. rays: (S,) int64, the ray of each.
    distances: (S,) middles of the stretches that the samples stand for. lengths: (S,) of these stretches.
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
    """Cut the rays into steps from near to far and keep those whose middle lies in an occupied cell.

    origins, directions: (R, 3) float32 in the frame in which the scene's box is [-1, 1]^3; directions per unit of distance.
    near, far: (R,) distances; a ray with near >= far has no sample. occupied: (G, G, G) bool, x first, over [-1, 1]^3; with
    `contracted` over [-2, 2]^3, into which all of space is contracted (`march_rays_reference.contract`).
    step: length of a step; with `cone` it grows with the distance, max(step, cone * distance). jitter: (R,) in [0, 1), the
    share of its first step by which a ray begins later. Steps of a ray do not depend on which cells are empty.
    Two passes: memory is needed for the samples that are kept only. Not differentiable.
    Raises ValueError that names the argument of a wrong shape, type or range, or a step too small for the distances.
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
        raise ValueError(f"occupied lies on {occupied.device}, origins on {origins.device}")
    if not step > 0 or not cone >= 0:
        raise ValueError(f"step is positive and cone not negative, got {step} and {cone}")


def _check_ranges(near: Tensor, far: Tensor, jitter: Tensor, step: float) -> None:
    if not len(near):
        return
    # Where a ray that misses the scene begins does not matter. All in one tensor: reading from CUDA waits for the device.
    begins = torch.where(near < far, near, 0.0)
    nearest, farthest, least, most = torch.stack([begins.amin(), far.amax(), jitter.amin(), jitter.amax()]).tolist()
    if not -nearest <= step * MOST_STEPS:
        raise ValueError(f"near reaches {nearest:g}, more than {MOST_STEPS} steps of {step:g} behind the eye; bound the rays")
    if not farthest <= step * MOST_STEPS:
        raise ValueError(f"far reaches {farthest:g}, more than {MOST_STEPS} steps of {step:g}; bound the rays")
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
