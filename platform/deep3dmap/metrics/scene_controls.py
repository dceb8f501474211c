"""Measures from images alone whether the controls of a scene generator work as intended.

Translating an object must move it in the image, rotating it must not change the background, and changing its appearance must
not change its outline. Each metric has a counterpart, because a generator whose objects are invisible or do not respond at all
leaves backgrounds and outlines unchanged as well.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from deep3dmap.metrics.silhouette import binary_mask, intersection_over_union

MIN_DISPLACEMENT = 1e-6  # pixels; smaller displacements are rounding errors


class Change(NamedTuple):
    """Mean absolute colour differences in [0, 1]: of pixels never covered by the object, and of those covered in all images."""

    background: float
    object: float


def object_evidence(images: Any, background: Any) -> Tensor:
    """Return the absolute difference of each pixel from the background, (N, H, W), averaged over the channels.

    images: (N, 3, H, W). background: the same scenes without the object, (N, 3, H, W) or (1, 3, H, W). Raises ValueError for
    inconsistent shapes.
    """
    images, background = torch.as_tensor(images).double(), torch.as_tensor(background).double()
    if images.dim() != 4 or background.shape[1:] != images.shape[1:] or len(background) not in (1, len(images)):
        raise ValueError(
            f"background must match images, {tuple(images.shape)}, or be one for all, got {tuple(background.shape)}"
        )
    return (images - background).abs().mean(1)


def centroids(weights: Any) -> Tensor:
    """Return the centroids (N, 2), x and y with pixel centres at +0.5, of maps (N, H, W); NaN where a map is empty.

    weights: masks, opacities or `object_evidence`, non-negative.
    """
    weights = torch.as_tensor(weights).double()
    height, width = weights.shape[1:]
    rows, columns = (torch.arange(side, dtype=torch.float64, device=weights.device) + 0.5 for side in (height, width))
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) * columns).sum(1) / total, (weights.sum(2) * rows).sum(1) / total], 1)


def displacement_correlation(seen: Any, commanded: Any) -> float:
    """Return the correlation, from -1 to 1, of an object's observed and commanded positions.

    seen: (N, 2) centroids of an object in N images. commanded: (N, 2) commanded positions of its centre, projected to pixels.
    The scalar product of the displacements from their means, divided by the product of their norms: 1 for an object that
    follows its commands, up to a factor. 0 if it is not commanded to move, is invisible in an image, or does not move. Raises
    ValueError for wrong shapes or fewer than two images.
    """
    seen, commanded = torch.as_tensor(seen).double(), torch.as_tensor(commanded).double()
    if seen.shape != commanded.shape or seen.dim() != 2 or seen.shape[1] != 2 or len(seen) < 2:
        raise ValueError(f"seen and commanded must be (N, 2), N >= 2, got {tuple(seen.shape)} and {tuple(commanded.shape)}")
    first, second = seen - seen.mean(0), commanded - commanded.mean(0)
    lengths = torch.stack([first.norm(), second.norm()])
    if not torch.isfinite(lengths).all() or lengths.min() < MIN_DISPLACEMENT:
        return 0.0
    return float((first * second).sum() / lengths.prod())


def colour_change(images: Any, masks: Any, margin: int = 0) -> Change:
    """Return the changes of background and object over images of a scene whose object is rotated or recoloured.

    images: (N, 3, H, W) with N >= 2. masks: (N, H, W) of the object in each. margin: width in pixels of the border around the
    object that counts as neither, for generators whose last layers blur. Differences are relative to the first image. The
    background change is 0 if every pixel is covered, and the object change is 0 if no pixel is covered in all images. Raises
    ValueError for wrong shapes.
    """
    images, masks = torch.as_tensor(images).double(), binary_mask(masks)
    if len(images) < 2 or masks.shape != (len(images), *images.shape[2:]):
        raise ValueError(
            f"images must be (N, 3, H, W), N >= 2, and masks (N, H, W), got {tuple(images.shape)}, {tuple(masks.shape)}"
        )
    difference = (images[1:] - images[:1]).abs().mean((0, 1))
    ever_covered, always_covered = masks.any(0), masks.all(0)
    if margin:
        ever_covered = max_pool2d(ever_covered[None].double(), 2 * margin + 1, stride=1, padding=margin)[0] > 0
    return Change(_mean(difference[~ever_covered]), _mean(difference[always_covered]))


def outline_agreement(masks: Any) -> float:
    """Return the mean intersection over union of an object's masks (N, H, W), N >= 2, with the first one."""
    masks = binary_mask(masks)
    if masks.dim() != 3 or len(masks) < 2:
        raise ValueError(f"masks must be (N, H, W) with N >= 2, got {tuple(masks.shape)}")
    return sum(intersection_over_union(mask, masks[0]) for mask in masks[1:]) / (len(masks) - 1)


def _mean(values: Tensor) -> float:
    return values.mean().item() if values.numel() else 0.0
