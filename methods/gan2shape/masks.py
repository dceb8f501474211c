"""Object masks from the labels of a parsing network, and resizing of pictures to the working size."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

# The 19 classes of the face-parsing network: 0 background, 1 to 13 skin, brows, eyes, ears, nose and mouth, 16 cloth.
_FACE = (*range(1, 16), 17, 18)
_INNER = tuple(range(1, 14))
_SYNTHETIC = tuple(range(1, 15))


def face_mask(labels: Tensor, kind: Literal["face", "synface"] = "face") -> Tensor:
    """Return the mask (N, 1, H, W) from face part labels (N, H, W).

    For "face", the face is 1, neck, hair and hat are 0.5, and the rest is 0. For "synface", all but hair and cloth are 1.
    """
    if kind == "synface":
        return _any_of(labels, _SYNTHETIC)
    return (_any_of(labels, _FACE) + _any_of(labels, _INNER)) / 2


def _any_of(labels: Tensor, classes: tuple[int, ...]) -> Tensor:
    return torch.isin(labels, torch.tensor(classes, device=labels.device))[:, None].float()


def resize(images: Tensor, side: int) -> Tensor:
    """Resize (N, C, H, W) to side x side: by area averaging when shrinking, bilinearly when enlarging."""
    if images.shape[2] > side:
        return interpolate(images, (side, side), mode="area")
    return interpolate(images, (side, side), mode="bilinear", align_corners=False)


def center_crop(images: Tensor, side: int) -> Tensor:
    """Crop the central side x side pixels of (N, C, H, W)."""
    top, left = (images.shape[2] - side) // 2, (images.shape[3] - side) // 2
    return images[:, :, top : top + side, left : left + side]


def background_color(picture: Tensor, mask: Tensor) -> Tensor:
    """Return the mean colour (N, 3, 1, 1) of pictures (N, 3, S, S) outside the masks (N, 1, S, S); 0 for full masks."""
    outside = 1 - mask
    return (picture * outside).sum((2, 3), keepdim=True) / outside.sum((2, 3), keepdim=True).clamp(min=1)
