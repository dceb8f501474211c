"""Reading a texture at atlas coordinates."""

from torch import Tensor
from torch.nn import functional


def sample_texture(texture: Tensor, uv: Tensor) -> Tensor:
    """Return the colours (N, 3) of a texture (3, h, w) at uv (N, 2) in [0, 1], v up, bilinearly; beyond the border its edge.

    The texture covers [0, 1] with its areas: the centre of its first texel lies half a texel inside, first row at v = 1.
    """
    grid = uv.clone()
    grid[:, 0], grid[:, 1] = 2 * uv[:, 0] - 1, 1 - 2 * uv[:, 1]
    sampled = functional.grid_sample(
        texture[None].to(uv), grid[None, None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[0, :, 0].T
