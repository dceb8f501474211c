"""Compositing in plain torch: the reference for the native kernels, on any device and in any floating-point type."""

import torch
from torch import Tensor

OPAQUE = 1000.0  # optical thickness; exp(-1000) is 0 in double precision too


def composite(
    density: Tensor, color: Tensor, distances: Tensor, lengths: Tensor, offsets: Tensor, stop: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """See `deep3dmap.ops.composite`: colour (R, 3), depth (R,), opacity (R,), weights (S,)."""
    rays = len(offsets) - 1
    ray = torch.repeat_interleave(torch.arange(rays, device=density.device), offsets.diff())
    thickness = density * lengths
    # Clamping does not change the transmittance, which is 0 beyond it, and preserves the precision of the sum over all rays.
    before = exclusive_sums(thickness.clamp(max=OPAQUE), ray, offsets)
    open_yet = torch.exp(-before).detach() >= stop
    weights = torch.where(open_yet, torch.exp(-before) * -torch.expm1(-thickness), 0.0)
    gathered = density.new_zeros(rays, 3).index_add(0, ray, weights[:, None] * color)
    depth = density.new_zeros(rays).index_add(0, ray, weights * distances)
    return gathered, depth, density.new_zeros(rays).index_add(0, ray, weights), weights


def exclusive_sums(values: Tensor, ray: Tensor, offsets: Tensor) -> Tensor:
    """Return for each sample the sum of the values (S,) of the preceding samples on the same ray, (S,).

    ray: (S,) ray of each sample. offsets: (R + 1,), first sample of each ray. Computed in double precision, because the sums
    run over all rays.
    """
    running = torch.cat([values.new_zeros(1, dtype=torch.float64), values.double().cumsum(0)])
    return (running[:-1] - running[offsets[:-1]][ray]).to(values.dtype)
