"""Ray marching in plain torch: the reference for the native kernels. It stores every step, including those in empty cells."""

import torch
from torch import Tensor


def contract(points: Tensor) -> Tensor:
    """Contract all of space (..., 3) into (-2, 2)^3; the cube [-1, 1]^3 is unchanged.

    x becomes (2 - 1 / |x|) x / |x| where |x| > 1, with the maximum norm in place of mip-NeRF 360's Euclidean norm
    (Barron et al., CVPR 2022, equation 10), so that a cubic grid is filled.
    """
    norm = points.abs().amax(-1, keepdim=True).clamp(min=1)
    return points * ((2 - 1 / norm) / norm)


def march_rays(
    origins: Tensor,
    directions: Tensor,
    near: Tensor,
    far: Tensor,
    jitter: Tensor,
    occupied: Tensor,
    contracted: bool,
    step: float,
    cone: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """See `deep3dmap.ops.march_rays`; returns counts (R,), and distances and lengths (S,) of the samples kept."""
    start, steps = near + jitter * (cone * near).clamp(min=step), []
    while bool((start < far).any()):
        length = (cone * start).clamp(min=step)
        steps.append((start + 0.5 * length, length))
        start = start + length
    if not steps:
        return near.new_zeros(len(near), dtype=torch.int64), near.new_zeros(0), near.new_zeros(0)
    middle, length = (torch.stack(values, 1) for values in zip(*steps))
    kept = (middle < far[:, None]) & _inside(origins[:, None] + middle[..., None] * directions[:, None], occupied, contracted)
    return kept.sum(1), middle[kept], length[kept]


def _inside(points: Tensor, occupied: Tensor, contracted: bool) -> Tensor:
    """Return whether points (R, T, 3) lie in occupied cells."""
    unit = contract(points) / 2 if contracted else points
    place = (unit + 1) * 0.5 * len(occupied)
    within = ((place >= 0) & (place < len(occupied))).all(-1)
    x, y, z = torch.where(within[..., None], place, 0.0).long().unbind(-1)
    return within & occupied[x, y, z].bool()
