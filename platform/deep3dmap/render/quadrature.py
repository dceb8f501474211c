"""Quadrature along rays through a medium, for volume renderers."""

import torch
from torch import Tensor


def quadrature(density: Tensor, steps: Tensor) -> Tensor:
    """Return the weights (N, S) of samples along rays, from their densities (N, S) and interval lengths (N, S).

    weight_i = T_i (1 - exp(-density_i step_i)), T_i = exp(-sum over j < i of density_j step_j), which is exact for piecewise
    constant density. The weights of a ray sum to its opacity.
    """
    thickness = density * steps
    # Not computed as the inclusive sum minus the last term: a huge last term would cancel the digits of the others.
    before = torch.cat([torch.zeros_like(thickness[:, :1]), thickness[:, :-1].cumsum(1)], 1)
    return torch.exp(-before) * -torch.expm1(-thickness)


def sample_depths(edges: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return one depth (N, S) in each interval between edges (N, S + 1): random with a generator, else the midpoint."""
    lengths = edges.diff(dim=1)
    if generator is None:
        return edges[:, :-1] + lengths / 2
    share = torch.rand(lengths.shape, generator=generator, dtype=edges.dtype, device=generator.device)
    return edges[:, :-1] + lengths * share.to(edges.device)


def laplace_density(distance: Tensor, beta: float | Tensor) -> Tensor:
    """Convert signed distances, positive outside, to density: Psi(-distance) / beta.

    Psi is the CDF of the Laplace distribution with scale beta (Yariv et al., VolSDF, NeurIPS 2021, equation 3).
    """
    tail = 0.5 * torch.exp(-distance.abs() / beta)
    return torch.where(distance > 0, tail, 1 - tail) / beta
