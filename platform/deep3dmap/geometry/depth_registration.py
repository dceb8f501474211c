"""Registers depth maps of a depth sensor to a separate colour camera."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def register_depth(
    depth: NDArray[np.float32], depth_intrinsics: Any, color_intrinsics: Any, color_from_depth: Any, size: tuple[int, int]
) -> NDArray[np.float32]:
    """Return depth (H, W) along the colour camera's optical axis, in metres; 0 where there is no measurement.

    depth: of the sensor, in metres, 0 = invalid. depth_intrinsics, color_intrinsics: (3, 3) pixels, centres at +0.5.
    color_from_depth: (4, 4) rigid, metres. size: height and width of the result. If the cameras differ only in their
    intrinsics, each pixel looks up the sensor pixel it falls into. Otherwise each measurement is projected into the colour
    image and the nearest one per pixel is kept; pixels outside the sensor's view, or between its samples, remain empty.
    """
    if np.allclose(color_from_depth, np.eye(4), atol=1e-9):
        return _look_up_depth(depth, np.asarray(depth_intrinsics), np.asarray(color_intrinsics), size)
    rows, columns = np.nonzero(depth > 0)
    z = depth[rows, columns].astype(np.float64)
    rays = np.stack([columns + 0.5, rows + 0.5, np.ones(len(rows))]) * z
    motion = np.asarray(color_from_depth, np.float64)
    points = motion[:3, :3] @ np.linalg.inv(depth_intrinsics) @ rays + motion[:3, 3:]
    pixels = np.asarray(color_intrinsics, np.float64) @ points
    in_front = pixels[2] > 1e-6
    place = np.floor(pixels[:2, in_front] / pixels[2, in_front])
    inside = (place >= 0).all(0) & (place[0] < size[1]) & (place[1] < size[0])
    flat = (place[1, inside] * size[1] + place[0, inside]).astype(np.int64)
    nearest = np.full(size[0] * size[1], np.inf)
    np.minimum.at(nearest, flat, points[2, in_front][inside])
    return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32).reshape(size)


def _look_up_depth(
    depth: NDArray[np.float32], depth_intrinsics: NDArray[Any], color_intrinsics: NDArray[Any], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Look up sensor depth per colour pixel: with a shared centre and axes, pixels correspond independently of depth."""
    height, width = depth.shape
    across = depth_intrinsics @ np.linalg.inv(color_intrinsics)
    rows, columns = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    # Without skew, columns map to columns and rows to rows.
    x = np.floor(across[0, 0] * columns + across[0, 2]).astype(np.int64)
    y = np.floor(across[1, 1] * rows + across[1, 2]).astype(np.int64)
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    found = depth[y.clip(0, height - 1)[:, None], x.clip(0, width - 1)]
    return np.where(inside, found, np.float32(0))
