"""Square face crops: similarity transforms between a photograph and the crop that a network receives.

Pixel conventions. This module uses the package's convention: the pixel in row r and column c has its centre at
(c + 0.5, r + 0.5). PRNet and face3d place centres at integers and map the corners of the crop square to pixels 0 and size - 1,
so the scale is (size - 1) / side; the same pixels are sampled here, and `from_integer_centers` converts.
Positions are (x, y, z): x right, y down, z towards the camera in the same unit, with an arbitrary offset.
After YadiraF/PRNet, api.py (inference) and YadiraF/face3d, examples/8_generate_posmap_300WLP.py (training).
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Similarity = NDArray[np.float64]

INFERENCE_FACTOR = 1.6
TRAINING_FACTOR = 1.5
DETECTOR_FACTOR = 1.58
DETECTOR_SHIFT = 0.14


def crop_from_landmarks(
    landmarks: NDArray[Any], size: int = 256, factor: float = INFERENCE_FACTOR, rng: np.random.Generator | None = None
) -> Similarity:
    """Crop around (N, 2) or (N, 3) landmarks in image pixels; returns crop_from_image, (3, 3).

    The side of the crop is `factor` times the mean side of their box: 1.6 for inference, 1.5 for training. With `rng` the crop
    is jittered for training: the centre by up to 10 % of the box, the side by up to 10 %. Raises ValueError for an empty or too
    small box.
    """
    points = np.asarray(landmarks, np.float64)[:, :2] - 0.5
    centre, mean_side = _centre_and_side(*points.min(0), *points.max(0))
    side = float(int(factor * mean_side))
    if rng is not None:
        centre = centre + rng.uniform(-0.1, 0.1, 2) * mean_side
        side *= rng.uniform(0.9, 1.1)
    return _square_to_crop(centre, side, size)


def crop_from_detector_box(box: NDArray[Any], size: int = 256) -> Similarity:
    """Crop around the box of a face detector: left, top, right, bottom in image pixels; returns crop_from_image, (3, 3).

    Detector boxes cut off the chin and include the forehead, so the centre is moved down by 14 % of the side; the crop is 1.58
    times as large. Raises ValueError for an empty or too small box.
    """
    centre, mean_side = _centre_and_side(*(np.asarray(box, np.float64) - 0.5))
    centre[1] += DETECTOR_SHIFT * mean_side
    return _square_to_crop(centre, float(int(DETECTOR_FACTOR * mean_side)), size)


def detector_box_of_square(left: float, top: float, side: float) -> NDArray[np.float32]:
    """Return the detector box whose crop is the given square: the inverse of `crop_from_detector_box` up to rounding."""
    inner = side / DETECTOR_FACTOR
    centre_x, centre_y = left + side / 2, top + side / 2 - DETECTOR_SHIFT * inner
    corners = (centre_x - inner / 2, centre_y - inner / 2, centre_x + inner / 2, centre_y + inner / 2)
    return np.array(corners, np.float32)


def warp(image: NDArray[Any], crop_from_image: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Resample an image (C, H, W) into a crop (C, size, size): bilinear, zero outside the image."""
    height, width = image.shape[1:]
    centres = np.arange(size) + 0.5
    x, y = np.meshgrid(centres, centres)
    where = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(crop_from_image).T
    # With align_corners=False, -1 and 1 are the outer edges of the image, which matches the +0.5 convention.
    grid = 2 * where[..., :2] / (width, height) - 1
    source = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None]
    target = torch.from_numpy(grid.astype(np.float32))[None]
    crop = torch.nn.functional.grid_sample(source, target, mode="bilinear", padding_mode="zeros", align_corners=False)
    return crop[0].numpy()


def positions_to_image(positions: NDArray[Any], crop_from_image: NDArray[Any]) -> NDArray[np.float32]:
    """Transform positions (3, ...) from the crop to the image: x, y by the inverse similarity, z divided by its scale."""
    return _move(positions, np.linalg.inv(crop_from_image))


def positions_to_crop(positions: NDArray[Any], crop_from_image: NDArray[Any]) -> NDArray[np.float32]:
    """Transform positions (3, ...) from the image to the crop: x, y by the similarity, z multiplied by its scale."""
    return _move(positions, np.asarray(crop_from_image, np.float64))


def scale_of(similarity: NDArray[Any]) -> float:
    """Return the scale sqrt(a^2 + b^2) of a similarity [[a, -b, x], [b, a, y], [0, 0, 1]]."""
    return float(np.hypot(similarity[0, 0], similarity[1, 0]))


def from_integer_centers(similarity: NDArray[Any]) -> Similarity:
    """Convert a transform between images with integer pixel centres to the package's +0.5 convention."""
    return _shift(0.5) @ np.asarray(similarity, np.float64) @ _shift(-0.5)


def _centre_and_side(left: float, top: float, right: float, bottom: float) -> tuple[NDArray[np.float64], float]:
    if not (right > left and bottom > top):
        raise ValueError(f"a box must be left, top, right, bottom with positive sides, got {(left, top, right, bottom)}")
    return np.array([(left + right) / 2, (top + bottom) / 2]), (right - left + bottom - top) / 2


def _square_to_crop(centre: NDArray[np.float64], side: float, size: int) -> Similarity:
    if side < 1:
        raise ValueError(f"the crop would be {side} pixels wide; the box is too small")
    scale = (size - 1) / side
    offset = -scale * (centre - side / 2)
    integer = np.array([[scale, 0, offset[0]], [0, scale, offset[1]], [0, 0, 1]], np.float64)
    return from_integer_centers(integer)


def _move(positions: NDArray[Any], similarity: Similarity) -> NDArray[np.float32]:
    positions = np.asarray(positions, np.float64)
    flat = positions.reshape(3, -1)
    xy = similarity[:2, :2] @ flat[:2] + similarity[:2, 2:]
    moved = np.concatenate([xy, scale_of(similarity) * flat[2:]])
    return moved.reshape(positions.shape).astype(np.float32)


def _shift(amount: float) -> Similarity:
    return np.array([[1, 0, amount], [0, 1, amount], [0, 0, 1]], np.float64)
