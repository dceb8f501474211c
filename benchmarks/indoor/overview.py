"""A camera outside a room that looks down on it: with back faces culled the near walls vanish, as on a doll's house."""

import numpy as np
from numpy.typing import NDArray

from deep3dmap.geometry.cameras import look_at

Array = NDArray[np.float64]


def overview_camera(points: Array, world_from_camera: Array, width: int, height: int) -> tuple[Array, Array]:
    """Return intrinsics (3, 3) and pose (4, 4) of a camera that sees all `points` (N, 3) from above and aside.

    Up is the mean up direction of the scan's own cameras (V, 4, 4), so a world that is not level is shown level.
    """
    up = -world_from_camera[:, :3, 1].mean(0)
    up /= np.linalg.norm(up)
    # Robust bounds: a few stray points far away must not shrink the room to a dot.
    low, high = np.percentile(points, (1, 99), axis=0)
    centre = (low + high) / 2
    aside = np.cross(up, _longest_level_axis(points, up))
    direction = 0.8 * up - 0.6 * aside
    direction /= np.linalg.norm(direction)
    focal = 1.1 * width
    intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    within = points[((points >= low) & (points <= high)).all(1)]
    distance = _distance(within - centre, direction, up, focal, width, height)
    return intrinsics, look_at(centre + distance * direction, centre, up).numpy()


def _longest_level_axis(points: Array, up: Array) -> Array:
    level = points - points.mean(0)
    level = level - (level @ up)[:, None] * up
    axis = np.linalg.eigh(level.T @ level)[1][:, -1]
    # Eigenvectors have no sign of their own; a fixed one keeps the picture the same on every machine.
    return axis * np.sign(axis[np.abs(axis).argmax()])


def _distance(offsets: Array, direction: Array, up: Array, focal: float, width: int, height: int) -> float:
    """Return how far along `direction` all offsets fit into the picture."""
    seen = offsets @ look_at(direction, np.zeros(3), up).numpy()[:3, :3]
    needed = np.maximum(np.abs(seen[:, 0]) * focal / (width / 2), np.abs(seen[:, 1]) * focal / (height / 2)) - seen[:, 2]
    return float(1.04 * needed.max())
