"""Texture sampling."""

from torch import Tensor
from torch.nn import functional

from deep3dmap.render.renderer import Texels


def sample_texture(texture: Tensor, uv: Tensor, texels: Texels = "areas") -> Tensor:
    """Sample a texture (3, h, w) bilinearly at uv (N, 2) in [0, 1], v up, clamped to the border; returns colours (N, 3).

    The first row is at v = 1. areas: texels together cover [0, 1], so the centre of the first is half a texel inside.
    points: the first and last texels are at 0 and 1, as in PyTorch3D's textures and in position maps.
    """
    grid = uv.clone()
    grid[:, 0], grid[:, 1] = 2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]
    sampled = functional.grid_sample(
        texture[None].to(uv), grid[None, None], mode="bilinear", padding_mode="border", align_corners=texels == "points"
    )
    return sampled[0, :, 0].T
