"""Image resizing shared by all readers."""

import numpy as np
from numpy.typing import NDArray

Planes = NDArray[np.float32]


def resize(planes: Planes, height: int, width: int) -> Planes:
    """Resize (C, H, W) bilinearly with antialiasing, clamped to the range of the input values."""
    import torch

    planes = np.ascontiguousarray(planes)
    if planes.shape[1:] == (height, width):
        return planes
    whole = torch.from_numpy(planes)[None]
    resized = torch.nn.functional.interpolate(whole, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return resized[0].clamp(whole.min(), whole.max()).numpy()


def middle(planes: Planes, side: int) -> Planes:
    """Return the central square of (C, H, W) with the given side, which must not exceed H or W."""
    top, left = ((length - side) // 2 for length in planes.shape[1:])
    return planes[:, top : top + side, left : left + side]
