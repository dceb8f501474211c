"""Volume rendering with the same number of samples on each ray; see `deep3dmap.ops.composite` for packed samples."""

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
    """Return the length (N, S) of the interval from each sample to the next.

    The last interval ends at `far` (N,), or by default at infinity (1e10), as in the authors' code of NeRF.
    """
    last = torch.full_like(distances[:, :1], 1e10) if far is None else far[:, None] - distances[:, -1:]
    return torch.cat([distances.diff(dim=1), last], 1)


def render_rays(
    density: Tensor, color: Tensor, distances: Tensor, lengths: Tensor, background: Tensor | float | None = None
) -> RayColors:
    """Composite colour along rays (NeRF, equation 3).

    density: (N, S), non-negative, per unit of length. color: (N, S, 3). distances: (N, S) of the samples. lengths: (N, S) of
    the intervals that they represent. background: (3,), (N, 3) or a number, blended in with weight 1 - opacity; None adds
    nothing. Raises ValueError for inconsistent shapes. Twice differentiable in density and color.
    """
    if not density.shape == distances.shape == lengths.shape == color.shape[:-1]:
        shapes = [tuple(value.shape) for value in (density, color, distances, lengths)]
        raise ValueError(f"density, distances and lengths must be (N, S) and color (N, S, 3), got {shapes}")
    weights = quadrature(density, lengths)
    opacity = weights.sum(1)
    gathered = (weights[..., None] * color).sum(1)
    if background is not None:
        gathered = gathered + (1 - opacity)[:, None] * torch.as_tensor(background).to(gathered)
    return RayColors(gathered, (weights * distances).sum(1), opacity, weights)
