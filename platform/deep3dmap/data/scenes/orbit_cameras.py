"""Calibrated cameras around an upright subject in a world with y up."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.geometry.cameras import look_at

Array = NDArray[np.float64]
UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True)
class Orbit:
    """Distribution of cameras. Angles in degrees; yaw 0 is on the z axis, positive towards x; pitch is upwards.

    yaws: first and last, evenly spaced with `jitter`; a full circle omits the last one, which equals the first. extent: range
    of the image width at the subject in metres. offset: maximum shift of the principal point, as a fraction of the image.
    """

    views: int
    yaws: tuple[float, float]
    jitter: float
    pitches: tuple[float, float]
    field_of_view: tuple[float, float]
    extent: tuple[float, float]
    roll: float = 3.0
    offset: float = 0.02


def sample_cameras(rng: np.random.Generator, orbit: Orbit, target: Array, size: int) -> list[Camera]:
    """Draw cameras of square images of `size` pixels that look at `target`, (3,) in metres."""
    first, last = orbit.yaws
    circle = last - first >= 360
    yaws = np.linspace(first, last, orbit.views, endpoint=not circle) if orbit.views > 1 else np.array([(first + last) / 2])
    return [_sample(rng, orbit, np.radians(yaw), target, size) for yaw in yaws]


def _sample(rng: np.random.Generator, orbit: Orbit, yaw: float, target: Array, size: int) -> Camera:
    yaw = yaw + np.radians(rng.uniform(-orbit.jitter, orbit.jitter))
    pitch, view, roll = (
        np.radians(rng.uniform(*limits)) for limits in (orbit.pitches, orbit.field_of_view, (-orbit.roll, orbit.roll))
    )
    focal = size / 2 / np.tan(view / 2)
    away = rng.uniform(*orbit.extent) * focal / size
    direction = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    pose = look_at(target + away * direction, target, UP).numpy()
    turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    pose[:3, :3] = pose[:3, :3] @ turn
    centre = size * (0.5 + rng.uniform(-orbit.offset, orbit.offset, 2))
    intrinsics = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    return Camera(intrinsics, pose, size, size)
