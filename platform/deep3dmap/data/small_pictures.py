"""Small square images for generative methods, cropped from photographs of any shape."""

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
    """Centre crop to a square, followed by a resize.

    crop: side of the square in pixels, 0 for the largest possible. size: side of the result, 0 for no resize.
    """

    crop: int = 0
    size: int = 0

    def __call__(self, planes: Image, file: Path) -> Image:
        """Convert (C, H, W) to (C, size, size), averaging when downsizing; raises UserError if the crop exceeds the image."""
        height, width = planes.shape[1:]
        side = self.crop or min(height, width)
        if side > min(height, width):
            raise UserError(f"{file}: dataset.crop={side} exceeds the image size {width}x{height}; make it smaller")
        return resize(middle(planes, side), self.size or side, self.size or side)


class KeptImages:
    """Images read by index. The first `keep` images requested are cached in memory; all images are rounded to 8 bits."""

    def __init__(self, read: Callable[[int], Image], keep: int) -> None:
        self._read, self._keep = read, keep
        self._kept: dict[int, NDArray[np.uint8]] = {}

    def __getitem__(self, index: int) -> Image:
        """Return an image (3, H, W) in [0, 1], identical whether it is cached or read."""
        pixels = self._kept.get(index)
        if pixels is None:
            pixels = np.round(self._read(index) * 255).astype(np.uint8)
            if len(self._kept) < self._keep:
                self._kept[index] = pixels
        return np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)
