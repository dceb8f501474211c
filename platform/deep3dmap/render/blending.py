"""From the faces at a pixel to its colour and coverage (Liu et al., Soft Rasterizer, ICCV 2019; pytorch3d's `blending`)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops.rasterize_soft import SoftFragments
from deep3dmap.render.renderer import Color

SMALLEST = 1e-10
GammaRange = Literal["surface", "field"]
FIELD_DEPTHS = (1.0, 100.0)  # the depths of which SoftRas and PyTorch3D take shares, whatever they draw


class Blend(NamedTuple):
    """How soft faces are. sigma: edges, squared NDC (the shorter side of the image spans 2). gamma: depth, of `depth_range`.

    depth_range: nearest and farthest depth; inverse depths are taken as shares of it.
    """

    sigma: float = 1e-4
    gamma: float = 1e-4
    depth_range: tuple[float, float] = (1.0, 100.0)


def convert_gamma(gamma: float, given: tuple[float, float], wanted: tuple[float, float]) -> float:
    """Return the gamma that, with shares of the depth range `wanted`, weights faces as `gamma` does with shares of `given`.

    A face that lies d behind another weighs exp(-d / ((far - near) gamma)) as much, so it is the product that counts: SoftRas'
    and PyTorch3D's gamma of 1e-4, with their range of 1 to 100, is a depth of 0.0099.
    """
    return gamma * (given[1] - given[0]) / (wanted[1] - wanted[0])


def coverage(fragments: SoftFragments, sigma: float) -> Tensor:
    """Return how much each face covers each pixel, (H, W, K): sigmoid(-d / sigma), 0 where there is none."""
    height, width, _ = fragments.face_id.shape
    ndc_per_pixel = 2 / min(height, width)
    share = torch.sigmoid(-fragments.distance * (ndc_per_pixel**2 / sigma))
    return torch.where(fragments.face_id >= 0, share, 0.0)


def silhouette(fragments: SoftFragments, sigma: float) -> Tensor:
    """Return the probability that any face covers a pixel, (H, W): 1 - prod(1 - coverage)."""
    return 1 - (1 - coverage(fragments, sigma)).prod(-1)


def softmax_weights(fragments: SoftFragments, blend: Blend) -> tuple[Tensor, Tensor]:
    """Return the weights of the faces, (H, W, K), and of the background, (H, W); together they are 1 at every pixel."""
    near, far = blend.depth_range
    there = fragments.face_id >= 0
    inverse = torch.where(there, (far - fragments.depth) / (far - near), 0.0)
    # The maximum moves with the vertices too, but exp is shifted by it above and below: its gradient cancels.
    largest = inverse.amax(-1, keepdim=True).clamp(min=SMALLEST)
    weights = coverage(fragments, blend.sigma) * torch.exp((inverse - largest) / blend.gamma)
    behind = torch.exp((SMALLEST - largest) / blend.gamma).clamp(min=SMALLEST)
    total = weights.sum(-1, keepdim=True) + behind
    return weights / total, (behind / total)[..., 0]


def softmax_blend(colors: Tensor, fragments: SoftFragments, blend: Blend, background: Color) -> Tensor:
    """Mix the colours (H, W, K, C) of the faces and the background, nearer ones more; returns (H, W, C)."""
    weights, behind = softmax_weights(fragments, blend)
    return (weights[..., None] * colors).sum(-2) + behind[..., None] * colors.new_tensor(background)


def nearest_blend(colors: Tensor, face_id: Tensor, background: Color) -> Tensor:
    """Take the colours (H, W, C) where a face is seen, face_id (H, W) >= 0, and the background elsewhere."""
    return torch.where((face_id >= 0)[..., None], colors, colors.new_tensor(background))
