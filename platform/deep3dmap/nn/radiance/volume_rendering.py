"""Colours of rays from samples of a field, the same number on each; `deep3dmap.ops.composite` is for packed samples."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.render.quadrature import quadrature


class RayColors(NamedTuple):
    """color: (N, 3). depth: (N,) sum of weight times distance, not normalised. opacity: (N,). weights: (N, S)."""

    color: Tensor
    depth: Tensor
    opacity: Tensor
    weights: Tensor


def interval_lengths(distances: Tensor, far: Tensor | None = None) -> Tensor:
    """Return the length (N, S) of the ray from each sample to the next.

    The last reaches to `far` (N,), or without it to infinity (1e10), as the authors' code of NeRF has it.
    """
    last = torch.full_like(distances[:, :1], 1e10) if far is None else far[:, None] - distances[:, -1:]
    return torch.cat([distances.diff(dim=1), last], 1)


def render_rays(
    density: Tensor, color: Tensor, distances: Tensor, lengths: Tensor, background: Tensor | float | None = None
) -> RayColors:
    """Gather colour along rays (NeRF, equation 3).

    density: (N, S), 0 or more, per unit of length. color: (N, S, 3). distances: (N, S) of the samples. lengths: (N, S) of the
    stretches over which they hold. background: (3,), (N, 3) or one number, seen where a ray is not stopped; None adds nothing.
    Raises ValueError for shapes that do not fit. Differentiable in density and color, twice if need be.
    """
    if not density.shape == distances.shape == lengths.shape == color.shape[:-1]:
        shapes = [tuple(value.shape) for value in (density, color, distances, lengths)]
        raise ValueError(f"density, distances and lengths are (N, S) and color is (N, S, 3), got {shapes}")
    weights = quadrature(density, lengths)
    opacity = weights.sum(1)
    gathered = (weights[..., None] * color).sum(1)
    if background is not None:
        gathered = gathered + (1 - opacity)[:, None] * torch.as_tensor(background).to(gathered)
    return RayColors(gathered, (weights * distances).sum(1), opacity, weights)
