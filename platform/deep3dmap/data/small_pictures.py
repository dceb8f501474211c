"""Photographs of any shape as the small square pictures that generative methods learn from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.resizing import middle, resize

Image = NDArray[np.float32]


@dataclass(frozen=True)
class SquareCrop:
    """Cuts a square out of the middle and resizes it.

    crop: side of the square, 0 for the largest there is. size: side it is resized to, 0 leaves it as it is.
    """

    crop: int = 0
    size: int = 0

    def __call__(self, planes: Image, file: Path) -> Image:
        """(C, H, W) to (C, size, size), averaged where it is made smaller; raises UserError for a crop beyond the picture."""
        height, width = planes.shape[1:]
        side = self.crop or min(height, width)
        if side > min(height, width):
            raise UserError(f"{file}: dataset.crop={side} is more than the picture's {width}x{height}; make it smaller")
        return resize(middle(planes, side), self.size or side, self.size or side)


class KeptImages:
    """Images read by their number, of which the first `keep` asked for stay in memory, rounded to 8 bits as all are."""

    def __init__(self, read: Callable[[int], Image], keep: int) -> None:
        self._read, self._keep = read, keep
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __getitem__(self, index: int) -> Image:
        """Return an image (3, H, W) in [0, 1], the same whether it was kept or read."""
        pixels = self._kept.get(index)
        if pixels is None:
            pixels = np.round(self._read(index) * 255).astype(np.uint8)
            if len(self._kept) < self._keep:
                self._kept[index] = pixels
        return np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)
