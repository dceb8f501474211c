"""Segments an object in front of a plain background without a network."""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

THRESHOLD = 0.06


def plain_background_mask(image: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Return a mask (H, W), 1 on the object: the largest component that differs by more than `threshold` from the background.

    image: (3, H, W) in [0, 1]. The background colour is the median along the top border and the upper halves of the sides, so
    objects may touch the bottom. Holes are filled. An image without an object gives an empty mask.
    """
    picture = image.detach().cpu().double()
    half = picture.shape[1] // 2
    border = torch.cat([picture[:, 0], picture[:, :half, 0], picture[:, :half, -1]], 1)
    apart = (picture - border.median(1).values[:, None, None]).abs().amax(0)
    pieces, count = ndimage.label((apart > threshold).numpy())
    if not count:
        return torch.zeros(image.shape[1:], device=image.device)
    sizes = np.bincount(pieces.ravel())[1:]
    whole = ndimage.binary_fill_holes(pieces == 1 + int(sizes.argmax()))
    return torch.from_numpy(np.asarray(whole, np.float32)).to(image.device)
