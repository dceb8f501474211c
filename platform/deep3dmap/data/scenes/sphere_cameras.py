"""Cameras on a sphere around an object at the origin with z up, as in NeRF's synthetic scenes."""

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.geometry.cameras import look_at

FIELD_OF_VIEW = 0.6911112070083618  # horizontal field of view of NeRF's synthetic scenes in radians
DISTANCE = 4.0
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


def scattered_cameras(
    count: int, size: int, rng: np.random.Generator, lowest: float = -10.0, highest: float = 80.0
) -> list[Camera]:
    """Return randomly jittered, evenly distributed cameras on the sphere between two elevations in degrees."""
    low, high = np.sin(np.radians([lowest, highest]))
    share = (np.arange(count) + rng.uniform(0, 1, count)) / count
    azimuth = rng.uniform(0, 2 * np.pi) + _GOLDEN_ANGLE * np.arange(count) + rng.normal(0, 0.1, count)
    return [_camera(float(a), float(e), size) for a, e in zip(azimuth, np.arcsin(low + (high - low) * share))]


def orbiting_cameras(count: int, size: int, elevation: float = 30.0, swing: float = 12.0) -> list[Camera]:
    """Return cameras on one lap around the object, oscillating twice by `swing` about an elevation, in degrees."""
    around = 2 * np.pi * np.arange(count) / max(count, 1)
    up = np.radians(elevation + swing * np.sin(2 * around))
    return [_camera(float(a), float(e), size) for a, e in zip(around, up)]


def _camera(azimuth: float, elevation: float, size: int) -> Camera:
    eye = DISTANCE * np.array([np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation)])
    return Camera(square_intrinsics(size, FIELD_OF_VIEW), look_at(eye, (0.0, 0.0, 0.0)).numpy(), size, size)


def square_intrinsics(size: int, field_of_view: float) -> NDArray[np.float64]:
    """Return the intrinsics (3, 3) of square images of `size` pixels with a field of view in radians."""
    focal = size / 2 / np.tan(field_of_view / 2)
    return np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
