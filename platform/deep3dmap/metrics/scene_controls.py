"""Whether the controls of a generator of scenes do what they say, judged by its pictures alone.

Moving an object must move what is seen of it, turning it must leave the background alone, and another appearance must leave
its outline alone. Each number comes with its counterpart, because a generator whose objects are not to be seen, or do not
answer at all, leaves backgrounds and outlines alone as well.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from deep3dmap.metrics.silhouette import intersection_over_union

STILL = 1e-6  # pixels; less is rounding


class Change(NamedTuple):
    """Mean absolute differences of colour in [0, 1]: of the pixels no object covers, and of those it covers in all pictures."""

    background: float
    object: float


def object_evidence(images: Any, background: Any) -> Tensor:
    """Return how much each pixel differs from the background alone, (N, H, W), mean over the channels.

    images: (N, 3, H, W). background: the same scenes without the object, (N, 3, H, W) or (1, 3, H, W).
    """
    images, background = torch.as_tensor(images).double(), torch.as_tensor(background).double()
    if images.dim() != 4 or background.shape[1:] != images.shape[1:] or len(background) not in (1, len(images)):
        raise ValueError(f"background is as images, {tuple(images.shape)}, or one for all, got {tuple(background.shape)}")
    return (images - background).abs().mean(1)


def centroids(weights: Any) -> Tensor:
    """Return the centroids (N, 2), x and y with pixel centres at +0.5, of maps (N, H, W); NaN where a map is empty.

    weights: masks, opacities or `object_evidence`, not negative.
    """
    weights = torch.as_tensor(weights).double()
    height, width = weights.shape[1:]
    rows, columns = (torch.arange(side, dtype=torch.float64, device=weights.device) + 0.5 for side in (height, width))
    total = weights.sum((1, 2))
    return torch.stack([(weights.sum(1) * columns).sum(1) / total, (weights.sum(2) * rows).sum(1) / total], 1)


def displacement_correlation(seen: Any, commanded: Any) -> float:
    """Return how well the places at which an object is seen follow those it was sent to, from -1 to 1.

    seen: (N, 2) centroids of one object in N pictures. commanded: (N, 2) where its middle should be, projected to pixels.
    The scalar product of both displacements from their means, over the product of their lengths: 1 for an object that moves
    along, by whatever factor. 0 where it was not sent anywhere, is not seen in a picture, or does not move.
    """
    seen, commanded = torch.as_tensor(seen).double(), torch.as_tensor(commanded).double()
    if seen.shape != commanded.shape or seen.dim() != 2 or seen.shape[1] != 2 or len(seen) < 2:
        raise ValueError(f"seen and commanded are (N, 2) with N >= 2, got {tuple(seen.shape)} and {tuple(commanded.shape)}")
    first, second = seen - seen.mean(0), commanded - commanded.mean(0)
    lengths = torch.stack([first.norm(), second.norm()])
    if not torch.isfinite(lengths).all() or lengths.min() < STILL:
        return 0.0
    return float((first * second).sum() / lengths.prod())


def colour_change(images: Any, masks: Any, margin: int = 0) -> Change:
    """Return how much the background and the object change in pictures of one scene whose object is turned or recoloured.

    images: (N, 3, H, W) with N >= 2. masks: (N, H, W) of the object in each. margin: pixels around the object that count as
    neither, for generators whose last layers blur. Differences are taken to the first picture. Where every pixel is covered
    the background's change is 0, and the object's where none is covered in all.
    """
    images, masks = torch.as_tensor(images).double(), _binary(masks)
    if len(images) < 2 or masks.shape != (len(images), *images.shape[2:]):
        raise ValueError(
            f"images are (N, 3, H, W) with N >= 2, masks (N, H, W), got {tuple(images.shape)}, {tuple(masks.shape)}"
        )
    difference = (images[1:] - images[:1]).abs().mean((0, 1))
    ever, always = masks.any(0), masks.all(0)
    if margin:
        ever = max_pool2d(ever[None].double(), 2 * margin + 1, stride=1, padding=margin)[0] > 0
    return Change(_mean(difference[~ever]), _mean(difference[always]))


def outline_agreement(masks: Any) -> float:
    """Return the mean intersection over union of an object's masks (N, H, W), N >= 2, with its first one."""
    masks = _binary(masks)
    if masks.dim() != 3 or len(masks) < 2:
        raise ValueError(f"masks are (N, H, W) with N >= 2, got {tuple(masks.shape)}")
    return sum(intersection_over_union(mask, masks[0]) for mask in masks[1:]) / (len(masks) - 1)


def _binary(masks: Any) -> Tensor:
    masks = torch.as_tensor(masks)
    return masks if masks.dtype == torch.bool else masks > 0.5


def _mean(values: Tensor) -> float:
    return values.mean().item() if values.numel() else 0.0
