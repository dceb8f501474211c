"""Convolutions with TensorFlow's SAME padding, which torch's own `padding` cannot express for even kernels."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the padding before and after an axis of `size` that yields ceil(size / stride) outputs (TensorFlow's SAME)."""
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + kernel - size)
    return total // 2, total - total // 2


class SameConv2d(nn.Module):
    """A convolution without bias: (B, in, H, W) -> (B, out, ceil(H / stride), ceil(W / stride)). weight: (out, in, k, k)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Pad and convolve."""
        kernel = self.weight.shape[-1]
        top, bottom = same_padding(images.shape[-2], kernel, self.stride)
        left, right = same_padding(images.shape[-1], kernel, self.stride)
        if (top, left) == (bottom, right):
            return functional.conv2d(images, self.weight, stride=self.stride, padding=(top, left))
        return functional.conv2d(functional.pad(images, (left, right, top, bottom)), self.weight, stride=self.stride)


class SameConvTranspose2d(nn.Module):
    """A transposed 4x4 convolution without bias: (B, in, H, W) -> (B, out, H * stride, W * stride). weight: (in, out, 4, 4).

    padding "tf" is the exact adjoint of `SameConv2d`. "legacy" matches the older deep3dmap port, which with stride 1 pads below
    and to the right before the convolution, shifting the result one pixel up and left. Raises ValueError for another padding.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, padding: str = "tf") -> None:
        super().__init__()
        if padding not in ("tf", "legacy"):
            raise ValueError(f"padding must be 'tf' or 'legacy', got '{padding}'")
        self.stride, self.padding = stride, padding
        self.weight = nn.Parameter(torch.empty(inputs, outputs, 4, 4))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve and crop to the first H * stride rows and W * stride columns."""
        height, width = images.shape[-2] * self.stride, images.shape[-1] * self.stride
        if self.padding == "legacy" and self.stride == 1:
            return functional.conv_transpose2d(functional.pad(images, (0, 1, 0, 1)), self.weight, padding=2)
        full = functional.conv_transpose2d(images, self.weight, stride=self.stride, padding=1)
        return full[..., :height, :width]
