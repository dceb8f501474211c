"""Blurring, upsampling and downsampling with the binomial filter (1, 3, 3, 1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deep3dmap.ops.upfirdn2d import upfirdn2d

BINOMIAL = (1.0, 3.0, 3.0, 1.0)


class Resample(nn.Module):
    """Filters images (N, C, H, W) with the outer product of the taps, normalised to sum to `gain`; see `upfirdn2d`."""

    kernel: Tensor

    def __init__(
        self, *, up: int = 1, down: int = 1, padding: tuple[int, int], gain: float = 1.0, taps: Sequence[float] = BINOMIAL
    ):
        super().__init__()
        line = torch.tensor(taps)
        kernel = torch.outer(line, line)
        # Not stored in checkpoints, as it is determined by the taps.
        self.register_buffer("kernel", kernel * (gain / kernel.sum()), persistent=False)
        self.up, self.down, self.padding = up, down, (*padding, *padding)

    def forward(self, images: Tensor) -> Tensor:
        """Return the filtered images."""
        return upfirdn2d(images, self.kernel, up=self.up, down=self.down, padding=self.padding)


def doubling() -> Resample:
    """Return a filter that doubles height and width and preserves constant images."""
    return Resample(up=2, padding=(2, 1), gain=4)
