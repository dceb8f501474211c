"""Composition of several fields in the same space, and the rendering of the composed field.

Composition assigns each field a share of each point, so that the high-dimensional features are summed only once per ray.
"""

import torch
from torch import Tensor

from deep3dmap.render.quadrature import quadrature

LAST_STEP = 1e10  # length of the step after the last sample: any density there absorbs the rest of the ray


def share_by_density(density: Tensor) -> tuple[Tensor, Tensor]:
    """Return the total density (...) of F fields and each field's share (F, ...) of it (paper, equation 8).

    density: (F, ...), not negative. Shares are 0 where all densities are 0. The share of a single field is 1 everywhere.
    """
    if len(density) == 1:
        return density[0], torch.ones_like(density)
    total = density.sum(0)
    return total, density / torch.where(total == 0, 1e-4, total)


def share_to_densest(density: Tensor) -> tuple[Tensor, Tensor]:
    """Return the maximum density (...) of F fields, and shares (F, ...): 1 for the densest field and 0 for the others."""
    largest, index = density.max(0)
    return largest, torch.nn.functional.one_hot(index, len(density)).movedim(-1, 0).to(density.dtype)


def ray_weights(density: Tensor, depths: Tensor, directions: Tensor, last_step: float = LAST_STEP) -> Tensor:
    """Return the rendering weights (..., S) of the samples of each ray.

    density: (..., S), not negative. depths: (..., S) in multiples of the direction's length. directions: (..., 3).
    last_step: depth of the step after the last sample; 0 ignores what is behind the samples.
    """
    steps = torch.cat([depths.diff(dim=-1), torch.full_like(depths[..., :1], last_step)], -1)
    lengths = steps * directions.norm(dim=-1, keepdim=True)
    return quadrature(density.flatten(0, -2), lengths.expand_as(density).flatten(0, -2)).view_as(density)
