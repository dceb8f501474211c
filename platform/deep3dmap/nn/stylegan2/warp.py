"""Alias-free affine warps of images, using a wavelet's two filters so that the identity warp is exact."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deep3dmap.ops.upfirdn2d import upfirdn2d

# Low-pass filter of the sym6 wavelet (Daubechies, 1992): orthonormal to its shifts by two, nearly symmetric.
SYM6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
_REACH = len(SYM6) // 2


def warp_pictures(images: Tensor, matrices: Tensor) -> Tensor:
    """Warp images (N, C, H, W) by matrices (N, 3, 3) that map source to target points, in pixels from the image centre.

    Borders are mirrored. Twice differentiable in the images, not differentiable in the matrices.
    """
    height, width = images.shape[2:]
    inverse = torch.linalg.inv(matrices.detach().float())
    margin = _margin(inverse, height, width)
    padded = functional.pad(images, (margin[0], margin[0], margin[1], margin[1]), mode="reflect")
    line = torch.tensor(SYM6, device=images.device)
    kernel = torch.outer(line, line)
    double = upfirdn2d(padded, kernel * 2, up=2, padding=(_REACH, _REACH - 1, _REACH, _REACH - 1))
    # Sample beyond the border by the reach of the second filter, so that it needs no padding.
    extra = _REACH - 1
    grid = _places(inverse, 2 * height + 2 * extra, 2 * width + 2 * extra, padded.shape[2], padded.shape[3])
    sampled = _Sample.apply(double, grid.to(double.dtype))
    return upfirdn2d(sampled, kernel.flip((0, 1)) / 2, down=2)


def _margin(inverse: Tensor, height: int, width: int) -> tuple[int, int]:
    """Return how many pixels beyond the borders the warps read along x and y, limited to what mirroring can provide."""
    x, y = width / 2 + _REACH, height / 2 + _REACH
    corners = torch.tensor([[-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]], device=inverse.device)
    reach = (inverse @ corners.T)[:, :2].abs().amax((0, 2)).tolist()
    wanted = (math.ceil(reach[0] - width / 2) + _REACH, math.ceil(reach[1] - height / 2) + _REACH)
    return min(max(wanted[0], 0), width - 1), min(max(wanted[1], 0), height - 1)


def _places(inverse: Tensor, rows: int, columns: int, height: int, width: int) -> Tensor:
    """Return the positions of the half-size pixels in the padded image, for `grid_sample`; (N, rows, columns, 2)."""
    # The filter's largest tap is half a tap before its centre, so the finer pixels are offset by that amount.
    x = (torch.arange(columns, device=inverse.device) + 1 - columns / 2) / 2
    y = (torch.arange(rows, device=inverse.device) + 1 - rows / 2) / 2
    points = torch.stack([x.expand(rows, -1), y[:, None].expand(-1, columns), torch.ones(rows, columns, device=x.device)], -1)
    source = torch.einsum("nij,hwj->nhwi", inverse[:, :2], points) - 0.25
    return source / source.new_tensor([width / 2, height / 2])


class _Sample(torch.autograd.Function):
    """Bilinear sampling whose gradient with respect to the images is differentiable, unlike torch's."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.shape = images.shape
        return functional.grid_sample(images, grid, align_corners=False)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _SampleAdjoint.apply(gradients[0], ctx.saved_tensors[0], ctx.shape), None


class _SampleAdjoint(torch.autograd.Function):
    """The adjoint of `_Sample`."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, grid: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        blank = values.new_zeros(1).expand(shape)
        needed = [True, False]
        return torch.ops.aten.grid_sampler_2d_backward(values.contiguous(), blank, grid, 0, 0, False, needed)[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _Sample.apply(gradients[0], ctx.saved_tensors[0]), None, None
