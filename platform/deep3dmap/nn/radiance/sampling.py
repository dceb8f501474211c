"""Sample placement along rays: evenly spaced, stratified, or by importance."""

import torch
from torch import Tensor

from deep3dmap.render.quadrature import sample_depths

MIN_WEIGHT = 1e-5


def even_distances(near: Tensor, far: Tensor, count: int) -> Tensor:
    """Return `count` distances (N, count) from near (N,) to far (N,), both ends included."""
    share = torch.linspace(0, 1, count, dtype=near.dtype, device=near.device)
    return near[:, None] + (far - near)[:, None] * share


def stratified_distances(near: Tensor, far: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Return one distance in each of `count` equal bins of [near, far], (N, count): random, or the midpoint without generator.

    NeRF, equation 2.
    """
    return sample_depths(even_distances(near, far, count + 1), generator)


def sample_pdf(edges: Tensor, weights: Tensor, uniforms: Tensor, least: float = MIN_WEIGHT) -> Tensor:
    """Draw (N, S) samples from piecewise constant densities by inverting their CDF at uniforms (N, S) in [0, 1].

    edges: (N, B + 1) of the bins. weights: (N, B), unnormalised; `least` is added to each, so that a ray without weight is
    sampled uniformly. Detached from the graph. As in the authors' code of NeRF (section 5.2).
    """
    weights = weights.detach() + least
    density = weights / weights.sum(1, keepdim=True)
    distribution = torch.cat([torch.zeros_like(density[:, :1]), density.cumsum(1)], 1)
    above = torch.searchsorted(distribution, uniforms.contiguous(), right=True)
    low, high = (above - 1).clamp(min=0), above.clamp(max=density.shape[1])
    low_share, high_share = distribution.gather(1, low), distribution.gather(1, high)
    width = high_share - low_share
    share = (uniforms - low_share) / torch.where(width < least, 1.0, width)
    start, end = edges.detach().gather(1, low), edges.detach().gather(1, high)
    return start + share * (end - start)


def importance_distances(distances: Tensor, weights: Tensor, count: int, generator: torch.Generator | None = None) -> Tensor:
    """Return `distances` (N, S) with `count` more where the rendering weights (N, S) are large, sorted, (N, S + count).

    The new ones are drawn between the midpoints of `distances`; without a generator, at evenly spaced quantiles (NeRF, section
    5.2).
    """
    middles = (distances[:, 1:] + distances[:, :-1]) / 2
    if generator is None:
        uniforms = torch.linspace(0, 1, count, dtype=distances.dtype, device=distances.device).expand(len(distances), count)
    else:
        drawn = torch.rand(len(distances), count, generator=generator, dtype=distances.dtype, device=generator.device)
        uniforms = drawn.to(distances.device)
    more = sample_pdf(middles, weights[:, 1:-1], uniforms)
    return torch.cat([distances.detach(), more], 1).sort(1).values
