"""Lambertian shading of a relief by a directional and an ambient light (Wu, Rupprecht and Vedaldi, CVPR 2020)."""

from typing import NamedTuple

import torch
from torch import Tensor


class ReliefLight(NamedTuple):
    """ambient, diffuse: (N,). direction: (N, 3), unit vectors, pointing away from the camera like a relief's normals."""

    ambient: Tensor
    diffuse: Tensor
    direction: Tensor


def decode_light(light: Tensor) -> ReliefLight:
    """Decode lights (N, 4): ambient and diffuse, mapped from [-1, 1] to [0, 1], then x and y of the direction at z = 1."""
    return ReliefLight(light[:, 0] / 2 + 0.5, light[:, 1] / 2 + 0.5, direction(light[:, 2], light[:, 3]))


def direction(x: Tensor, y: Tensor) -> Tensor:
    """Return the unit vectors (N, 3) along (x, y, 1)."""
    return torch.nn.functional.normalize(torch.stack([x, y, torch.ones_like(x)], 1), dim=1)


def diffuse_term(normals: Tensor, direction: Tensor) -> Tensor:
    """Return max(0, <n, l>) (N, 1, H, W) for normals (N, H, W, 3) and light directions (N, 3)."""
    return torch.einsum("nhwc,nc->nhw", normals, direction).clamp(min=0)[:, None]


def apply_light(albedo: Tensor, term: Tensor, ambient: Tensor, diffuse: Tensor) -> Tensor:
    """Shade an albedo in [-1, 1] to a texture (N, C, H, W); not clamped, so strong lights can exceed [-1, 1]."""
    shading = ambient[:, None, None, None] + diffuse[:, None, None, None] * term
    return (albedo / 2 + 0.5) * shading * 2 - 1
