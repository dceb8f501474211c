"""The cost volume of plane-sweep stereo: how well the neighbours of a frame match it at each of many depth planes.

R. Collins, A Space-Sweep Approach to True Multi-Image Matching, CVPR 1996; D. Gallup et al., Real-Time Plane-Sweeping Stereo
with Multiple Sweeping Directions, CVPR 2007 (here: the fronto-parallel direction).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert

NO_MATCH = -1.0
# Variance of grey values below which a window has too little texture to match: one grey level of an 8-bit image.
FLAT = (1 / 255) ** 2
# Number of planes processed at once: their maps fit into the processor's cache, which makes the sweep several times faster.
CHUNK = 8


class GreyFrame(NamedTuple):
    """A grey frame. image: (H, W). intrinsics: (3, 3) pixels, centres at +0.5. world_from_camera: (4, 4) float64, metres."""

    image: Tensor
    intrinsics: Tensor
    world_from_camera: Tensor


class DepthEstimate(NamedTuple):
    """Result of a sweep. depth: (H, W) metres. score: (H, W) best correlation in [-1, 1]. ratio: (H, W) cost of the best plane
    divided by that of the best rival plane; small where the match is unique."""

    depth: Tensor
    score: Tensor
    ratio: Tensor


def inverse_depths(near: float, far: float, planes: int) -> Tensor:
    """Return (D,) inverse depths in 1/m from far to near, evenly spaced, so that steps move pixels by about the same amount."""
    return torch.linspace(1 / far, 1 / near, planes)


def matching_scores(
    reference: GreyFrame, neighbours: Sequence[GreyFrame], planes: Tensor, window: int, min_views: int = 1, flat: float = FLAT
) -> Tensor:
    """Return (D, H, W): the mean correlation over the better half of the neighbours in which a pixel's point on a plane is
    visible.

    Only the better half is used because the others may be occluded (Kang, Szeliski and Chai 2001). planes: (D,) inverse depths.
    window: odd side in pixels. The value is NO_MATCH where fewer than `min_views` neighbours see the point.
    """
    chunks = planes.split(CHUNK)
    return torch.cat([_best_half_scores(reference, neighbours, chunk, window, min_views, flat) for chunk in chunks])


def _best_half_scores(
    reference: GreyFrame, neighbours: Sequence[GreyFrame], planes: Tensor, window: int, min_views: int, flat: float
) -> Tensor:
    scores = [_correlation(reference, other, planes, window, flat) for other in neighbours]
    seen = torch.stack([score > NO_MATCH for score in scores]).sum(0, dtype=torch.int16)
    half = (seen + 1).div_(2, rounding_mode="floor")
    total = torch.zeros_like(scores[0])
    for place, score in enumerate(_sort_descending(scores)):
        total += torch.where(place < half, score, 0)
    return total.div_(half.clamp(min=1)).masked_fill_(seen < min_views, NO_MATCH)


def _sort_descending(values: list[Tensor]) -> list[Tensor]:
    """Sort tensors of equal shape element-wise by exchanges, which for a few is much faster than sorting along an axis."""
    values = list(values)
    for end in range(len(values) - 1, 0, -1):
        for place in range(end):
            first, second = values[place], values[place + 1]
            values[place], values[place + 1] = torch.maximum(first, second), torch.minimum(first, second)
    return values


def best_planes(scores: Tensor, planes: Tensor, apart: int = 2, smooth: Tensor | None = None) -> DepthEstimate:
    """Select the best plane of every pixel, refined between planes by a parabola through its score and those of its neighbours.

    scores: (D, H, W). apart: planes within this distance of the best one do not count as rivals. smooth: (D, H, W) costs after
    aggregation over neighbouring pixels; if given, the plane with the lowest cost is selected.
    """
    count = len(planes)
    index = scores.argmax(0) if smooth is None else smooth.argmin(0)
    score = scores.gather(0, index[None])[0]
    adjacent = [scores.gather(0, (index + step).clamp(0, count - 1)[None])[0] for step in (-1, 1)]
    curvature = adjacent[0] + adjacent[1] - 2 * score
    offset = torch.where(curvature < -1e-6, (adjacent[0] - adjacent[1]) / (2 * curvature.clamp(max=-1e-6)), 0).clamp(-0.5, 0.5)
    # At the first and last plane the true depth may be outside the swept range.
    inside = (index > 0) & (index < count - 1)
    offset = torch.where(inside, offset, 0)
    inverse = planes[index] + offset * (planes[1] - planes[0])
    distance = (torch.arange(count)[:, None, None] - index).abs_()
    rival = scores.masked_fill(distance <= apart, NO_MATCH).amax(0)
    ratio = (1 - score) / (1 - rival).clamp(min=1e-6)
    return DepthEstimate(1 / inverse, torch.where(inside, score, NO_MATCH), ratio)


def warp(source: GreyFrame, reference: GreyFrame, planes: Tensor) -> tuple[Tensor, Tensor]:
    """Sample a source image at the reference's pixels on each plane; returns (D, H, W) values and a visibility mask."""
    height, width = reference.image.shape
    rays, shift = _homographies(source, reference)
    rows, columns = torch.arange(height) + 0.5, torch.arange(width) + 0.5
    base = rays[:, 0, None, None] * columns + rays[:, 1, None, None] * rows[:, None] + rays[:, 2, None, None]
    x, y, z = (base[axis] + planes[:, None, None] * shift[axis] for axis in range(3))
    in_front = z > 1e-6
    z.clamp_(min=1e-6)
    high, wide = source.image.shape
    grid = torch.stack([x.div_(z).mul_(2 / wide).sub_(1), y.div_(z).mul_(2 / high).sub_(1)], -1)
    seen = in_front & (grid.abs() < 1).all(-1)
    sampled = torch.nn.functional.grid_sample(
        source.image[None, None], grid.view(1, -1, width, 2), padding_mode="border", align_corners=False
    )
    return sampled.view(len(planes), height, width), seen


def _homographies(source: GreyFrame, reference: GreyFrame) -> tuple[Tensor, Tensor]:
    """Return A (3, 3) and b (3,) such that reference pixel x at inverse depth w is at A x + b w in the source, up to scale."""
    relative = invert(source.world_from_camera.double()) @ reference.world_from_camera.double()
    intrinsics = source.intrinsics.double()
    rays = intrinsics @ relative[:3, :3] @ torch.linalg.inv(reference.intrinsics.double())
    return rays.float(), (intrinsics @ relative[:3, 3]).float()


def _correlation(reference: GreyFrame, source: GreyFrame, planes: Tensor, window: int, flat: float) -> Tensor:
    """Return (D, H, W) zero-mean normalised cross-correlation of windows, NO_MATCH where the source does not see a pixel."""
    image = reference.image[None]
    warped, seen = warp(source, reference, planes)
    mean, other_mean = _box_mean(image, window), _box_mean(warped, window)
    variance = (_box_mean(image * image, window) - mean * mean).clamp_(min=0)
    other_variance = (_box_mean(warped * warped, window) - other_mean * other_mean).clamp_(min=0)
    covariance = _box_mean(warped * image, window) - mean * other_mean
    scores = covariance / ((variance + flat) * (other_variance + flat)).sqrt_()
    return scores.clamp_(NO_MATCH + 1e-3, 1).masked_fill_(~seen, NO_MATCH)


def _box_mean(values: Tensor, window: int) -> Tensor:
    """Average (D, H, W) over square windows, which are cropped at the image border."""
    half = window // 2
    height, width = values.shape[1:]
    across = _window_sum(torch.nn.functional.pad(values, (half, half)), 2, width, window)
    sums = _window_sum(torch.nn.functional.pad(across, (0, 0, half, half)), 1, height, window)
    return sums.div_(_inside(height, window)[:, None] * _inside(width, window))


def _window_sum(padded: Tensor, axis: int, length: int, window: int) -> Tensor:
    # Added one by one: running sums would lose small variances to rounding, and pooling is slower.
    total = padded.narrow(axis, 0, length).clone()
    for step in range(1, window):
        total += padded.narrow(axis, step, length)
    return total


def _inside(length: int, window: int) -> Tensor:
    """Return (length,): the number of pixels of the window around each pixel that are inside the image."""
    place, half = torch.arange(length), window // 2
    return (place + half + 1).clamp(max=length) - (place - half).clamp(min=0)
