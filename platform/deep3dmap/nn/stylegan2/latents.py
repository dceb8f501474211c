"""What is done to latent codes between mapping and synthesis: style mixing, truncation, the mean."""

import torch
from torch import Tensor

from deep3dmap.nn.stylegan2.generator import MappingNetwork


def mix_styles(first: Tensor, second: Tensor, latents: int, crossover: int) -> Tensor:
    """Return (N, latents, D): the w (N, D) of `first` up to layer `crossover`, that of `second` from there."""
    early = torch.arange(latents, device=first.device) < crossover
    return torch.where(early[None, :, None], first[:, None], second[:, None])


def truncate(w: Tensor, mean: Tensor, strength: float) -> Tensor:
    """Move w (..., D) towards the mean (D,) or (1, D): strength 1 leaves it, 0 gives the mean (the truncation trick)."""
    return torch.lerp(mean.expand_as(w), w, strength)


@torch.no_grad()
def latent_statistics(mapping: MappingNetwork, samples: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Return the mean (1, D) of the w of random z, and the root of their mean squared distance to it, a scalar."""
    weight = next(mapping.parameters())
    w = mapping(torch.randn(samples, weight.shape[1], generator=generator, device=weight.device))
    mean = w.mean(0, keepdim=True)
    return mean, (w - mean).square().sum(1).mean().sqrt()


def mean_latent(mapping: MappingNetwork, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """Return the mean w (1, D) of random z."""
    return latent_statistics(mapping, samples, generator)[0]
