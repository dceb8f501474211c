"""Operations on latent codes between mapping and synthesis: style mixing, truncation and statistics."""

import torch
from torch import Tensor

from deep3dmap.nn.stylegan2.generator import MappingNetwork


def mix_styles(first: Tensor, second: Tensor, latents: int, crossover: int) -> Tensor:
    """Return (N, latents, D): w (N, D) of `first` before layer `crossover`, and of `second` from that layer on."""
    early = torch.arange(latents, device=first.device) < crossover
    return torch.where(early[None, :, None], first[:, None], second[:, None])


def truncate(w: Tensor, mean: Tensor, strength: float) -> Tensor:
    """Interpolate between the mean (D,) or (1, D), strength 0, and w (..., D), strength 1 (the truncation trick)."""
    return torch.lerp(mean.expand_as(w), w, strength)


@torch.no_grad()
def latent_statistics(mapping: MappingNetwork, samples: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean (1, D) of w over random z, and the root mean squared distance to it, a scalar."""
    weight = next(mapping.parameters())
    w = mapping(torch.randn(samples, weight.shape[1], generator=generator, device=weight.device))
    mean = w.mean(0, keepdim=True)
    return mean, (w - mean).square().sum(1).mean().sqrt()


def mean_latent(mapping: MappingNetwork, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean w (1, D) over random z."""
    return latent_statistics(mapping, samples, generator)[0]
