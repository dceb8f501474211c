"""Blurring, doubling and halving pictures with the binomial filter (1, 3, 3, 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deep3dmap.ops.upfirdn2d import upfirdn2d

BINOMIAL = (1.0, 3.0, 3.0, 1.0)


class Resample(nn.Module):
    """Filter (N, C, H, W) pictures with the outer product of the taps, which sums to `gain`; see `upfirdn2d`."""

    kernel: Tensor

    def __init__(
        self, *, up: int = 1, down: int = 1, padding: tuple[int, int], gain: float = 1.0, taps: Sequence[float] = BINOMIAL
    ):
        super().__init__()
        line = torch.tensor(taps)
        kernel = torch.outer(line, line)
        # Not stored in checkpoints: it follows from the taps.
        self.register_buffer("kernel", kernel * (gain / kernel.sum()), persistent=False)
        self.up, self.down, self.padding = up, down, (*padding, *padding)

    def forward(self, images: Tensor) -> Tensor:
        """Return the filtered pictures."""
        return upfirdn2d(images, self.kernel, up=self.up, down=self.down, padding=self.padding)


def doubling() -> Resample:
    """Return a filter that doubles height and width and keeps constants."""
    return Resample(up=2, padding=(2, 1), gain=4)
