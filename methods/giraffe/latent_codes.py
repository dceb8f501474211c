"""Sampling and interpolation of latent codes."""

from typing import NamedTuple

import torch
from torch import Tensor


class Codes(NamedTuple):
    """Latent codes of B scenes.

    shape, appearance: (B, K, Z) of K objects. background_shape, background_appearance: (B, Zb).
    """

    shape: Tensor
    appearance: Tensor
    background_shape: Tensor
    background_appearance: Tensor


def sample_codes(
    scenes: int, objects: int, latent: int, background: int, generator: torch.Generator, temperature: float = 1.0
) -> Codes:
    """Sample codes from a normal distribution with standard deviation `temperature`.

    latent, background: lengths Z and Zb of an object's and the background's codes.
    """
    sizes = ((scenes, objects, latent), (scenes, objects, latent), (scenes, background), (scenes, background))
    return Codes(*(temperature * torch.randn(*size, generator=generator) for size in sizes))


def interpolate_on_sphere(first: Tensor, second: Tensor, place: Tensor) -> Tensor:
    """Interpolate codes (..., Z) along the arc between their directions; place: (T,) in [0, 1]. Returns (T, ..., Z)."""
    unit = (code / code.norm(dim=-1, keepdim=True) for code in (first, second))
    angle = torch.arccos(torch.linalg.vecdot(*unit)[..., None])
    place = place.view(-1, *[1] * first.dim())
    return (torch.sin((1 - place) * angle) * first + torch.sin(place * angle) * second) / torch.sin(angle)
