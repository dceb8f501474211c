"""Fields that fill one space are composed to one field, and the composed field to a picture.

Composition gives every field a share of each point, so that the features, which are many, are only summed once along a ray.
"""

import torch
from torch import Tensor

from deep3dmap.render.quadrature import quadrature

LAST_STEP = 1e10  # length of the step behind the last sample: whatever is dense there ends the ray


def share_by_density(density: Tensor) -> tuple[Tensor, Tensor]:
    """Return the density (...) of F fields together and each one's share (F, ...): its part of the sum (paper, equation 8).

    density: (F, ...), not negative. Where all are zero so are the shares. The share of a single field is 1 everywhere.
    """
    if len(density) == 1:
        return density[0], torch.ones_like(density)
    total = density.sum(0)
    return total, density / torch.where(total == 0, 1e-4, total)


def share_to_densest(density: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest density (...) of F fields and shares (F, ...) that are 1 for that field and 0 for the others."""
    largest, index = density.max(0)
    return largest, torch.nn.functional.one_hot(index, len(density)).movedim(-1, 0).to(density.dtype)


def ray_weights(density: Tensor, depths: Tensor, directions: Tensor, last_step: float = LAST_STEP) -> Tensor:
    """Return the weight (..., S) of every sample of a ray in its picture.

    density: (..., S), not negative. depths: (..., S) in multiples of the direction's length. directions: (..., 3).
    last_step: depth of the step behind the last sample; 0 leaves what is behind the samples out.
    """
    steps = torch.cat([depths.diff(dim=-1), torch.full_like(depths[..., :1], last_step)], -1)
    lengths = steps * directions.norm(dim=-1, keepdim=True)
    return quadrature(density.flatten(0, -2), lengths.expand_as(density).flatten(0, -2)).view_as(density)
