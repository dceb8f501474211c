"""Encodings of positions and directions that enable small networks to represent fine detail."""

import torch
from torch import Tensor, nn


def frequency_encoding(values: Tensor, octaves: int, dim: int = -1) -> Tensor:
    """Return x, sin(x), cos(x), sin(2 x), cos(2 x), ..., cos(2^(octaves - 1) x), concatenated along `dim`.

    Omits the factor pi of the paper's equation 4, as the authors' code does (Mildenhall et al., NeRF, ECCV 2020).
    C channels become C (2 octaves + 1).
    """
    scaled = [values * 2.0**octave for octave in range(octaves)]
    return torch.cat([values] + [wave for angle in scaled for wave in (angle.sin(), angle.cos())], dim)


def frequency_channels(channels: int, octaves: int) -> int:
    """Return the number of channels that `frequency_encoding` produces from `channels`."""
    return channels * (2 * octaves + 1)


class SphericalHarmonics(nn.Module):
    """Real spherical harmonics of unit directions up to degree 3: (N, 3) to (N, 16).

    Sorted by degree l, then order m from -l to l; orthonormal over the sphere; without the Condon-Shortley phase. Used by
    Instant-NGP (Mueller et al., SIGGRAPH 2022) to encode view directions.
    """

    channels = 16

    def forward(self, directions: Tensor) -> Tensor:
        """Evaluate all sixteen functions."""
        x, y, z = directions.unbind(-1)
        xx, yy, zz = x * x, y * y, z * z
        return torch.stack(
            [
                torch.full_like(x, 0.28209479177387814),
                0.4886025119029199 * y,
                0.4886025119029199 * z,
                0.4886025119029199 * x,
                1.0925484305920792 * x * y,
                1.0925484305920792 * y * z,
                0.31539156525252005 * (3 * zz - 1),
                1.0925484305920792 * x * z,
                0.5462742152960396 * (xx - yy),
                0.5900435899266435 * y * (3 * xx - yy),
                2.890611442640554 * x * y * z,
                0.4570457994644658 * y * (5 * zz - 1),
                0.3731763325901154 * z * (5 * zz - 3),
                0.4570457994644658 * x * (5 * zz - 1),
                1.445305721320277 * z * (xx - yy),
                0.5900435899266435 * x * (xx - 3 * yy),
            ],
            -1,
        )
