"""Sums along rays through a medium, for renderers of volumes."""

import torch
from torch import Tensor


def quadrature(density: Tensor, steps: Tensor) -> Tensor:
    """Return how much each sample (N, S) of a ray adds, from its density and the length (N, S) over which that is constant.

    weight_i = T_i (1 - exp(-density_i step_i)), T_i = exp(-sum over j < i of density_j step_j): exact for such a
    medium. A ray's weights sum to its coverage.
    """
    thickness = density * steps
    # Not the sum less the last term: where that term is huge, what came before it would be lost to rounding.
    before = torch.cat([torch.zeros_like(thickness[:, :1]), thickness[:, :-1].cumsum(1)], 1)
    return torch.exp(-before) * -torch.expm1(-thickness)


def sample_depths(edges: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return one depth in each of the intervals between edges (N, S + 1): at random with a generator, else its middle."""
    lengths = edges.diff(dim=1)
    if generator is None:
        return edges[:, :-1] + lengths / 2
    share = torch.rand(lengths.shape, generator=generator, dtype=edges.dtype, device=generator.device)
    return edges[:, :-1] + lengths * share.to(edges.device)


def laplace_density(distance: Tensor, beta: float | Tensor) -> Tensor:
    """Return the density of a surface from signed distances, positive outside: Psi(-distance) / beta.

    Psi is the cumulative distribution of Laplace's law with scale beta (Yariv et al., VolSDF, NeurIPS 2021, equation 3).
    """
    tail = 0.5 * torch.exp(-distance.abs() / beta)
    return torch.where(distance > 0, tail, 1 - tail) / beta
