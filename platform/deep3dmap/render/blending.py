"""Blends the faces at a pixel into colour and coverage (Liu et al., Soft Rasterizer, ICCV 2019; pytorch3d's `blending`)."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from deep3dmap.ops.rasterize_soft import SoftFragments
from deep3dmap.render.renderer import Color

SMALLEST = 1e-10
GammaRange = Literal["surface", "field"]
FIELD_DEPTHS = (1.0, 100.0)  # the fixed depth range that SoftRas and PyTorch3D use for normalisation


class Blend(NamedTuple):
    """Softness of faces. sigma: of edges, in squared NDC (the shorter image side spans 2). gamma: in depth, see below.

    depth_range: nearest and farthest depth, used to normalise depths; gamma is relative to it.
    """

    sigma: float = 1e-4
    gamma: float = 1e-4
    depth_range: tuple[float, float] = (1.0, 100.0)


def convert_gamma(gamma: float, given: tuple[float, float], wanted: tuple[float, float]) -> float:
    """Convert a gamma relative to the depth range `given` to the equivalent one relative to the range `wanted`.

    A face at distance d behind another has exp(-d / ((far - near) gamma)) times its weight, so only the product matters:
    SoftRas' and PyTorch3D's gamma of 1e-4, with their range of 1 to 100, corresponds to a depth of 0.0099.
    """
    return gamma * (given[1] - given[0]) / (wanted[1] - wanted[0])


def coverage(fragments: SoftFragments, sigma: float) -> Tensor:
    """Return the coverage of each pixel by each face, (H, W, K): sigmoid(-d / sigma), 0 for empty entries."""
    height, width, _ = fragments.face_id.shape
    ndc_per_pixel = 2 / min(height, width)
    share = torch.sigmoid(-fragments.distance * (ndc_per_pixel**2 / sigma))
    return torch.where(fragments.face_id >= 0, share, 0.0)


def silhouette(fragments: SoftFragments, sigma: float) -> Tensor:
    """Return the probability that any face covers a pixel, (H, W): 1 - prod(1 - coverage)."""
    return 1 - (1 - coverage(fragments, sigma)).prod(-1)


def softmax_weights(fragments: SoftFragments, blend: Blend) -> tuple[Tensor, Tensor]:
    """Return the weights of the faces, (H, W, K), and of the background, (H, W), which sum to 1 at every pixel."""
    near, far = blend.depth_range
    there = fragments.face_id >= 0
    inverse = torch.where(there, (far - fragments.depth) / (far - near), 0.0)
    # The maximum depends on the vertices too, but shifts numerator and denominator alike, so its gradient cancels.
    largest = inverse.amax(-1, keepdim=True).clamp(min=SMALLEST)
    weights = coverage(fragments, blend.sigma) * torch.exp((inverse - largest) / blend.gamma)
    behind = torch.exp((SMALLEST - largest) / blend.gamma).clamp(min=SMALLEST)
    total = weights.sum(-1, keepdim=True) + behind
    return weights / total, (behind / total)[..., 0]


def softmax_blend(colors: Tensor, fragments: SoftFragments, blend: Blend, background: Color) -> Tensor:
    """Blend the colours (H, W, K, C) of the faces and the background, weighting nearer faces more; returns (H, W, C)."""
    weights, behind = softmax_weights(fragments, blend)
    return (weights[..., None] * colors).sum(-2) + behind[..., None] * colors.new_tensor(background)


def nearest_blend(colors: Tensor, face_id: Tensor, background: Color) -> Tensor:
    """Return the colours (H, W, C) where a face is visible, face_id (H, W) >= 0, and the background elsewhere."""
    return torch.where((face_id >= 0)[..., None], colors, colors.new_tensor(background))
