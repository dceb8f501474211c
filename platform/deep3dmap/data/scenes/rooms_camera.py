"""Camera path through a procedural room: around the centre, looking across the room at varying heights."""

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes.rooms_layout import Room

FRAMES_PER_LAP = 180


def camera_path(room: Room, frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (V, 4, 4) world_from_camera, with OpenCV axes, of a smooth path of one or more laps."""
    laps = max(1, round(frames / FRAMES_PER_LAP))
    begin, direction = float(rng.uniform(0, 2 * np.pi)), float(rng.choice([-1.0, 1.0]))
    phases = rng.uniform(0, 2 * np.pi, 4)
    turn = begin + direction * 2 * np.pi * laps * np.arange(frames) / frames
    centre, half = np.array(room.size[:2]) / 2, np.array(room.size[:2]) / 2
    reach = (half - room.margin) * (0.85 + 0.15 * np.sin(2 * turn[:, None] + phases[0]))
    place = centre + reach * np.stack([np.cos(turn), np.sin(turn)], -1)
    height = 1.45 + 0.15 * np.sin(2 * turn / laps + phases[1])
    aside = turn + np.pi + 0.45 * np.sin(3 * turn + phases[2])
    looked_at = centre + 0.85 * half * np.stack([np.cos(aside), np.sin(aside)], -1)
    # Each lap looks at a different height, so that floor, furniture and upper walls are all seen.
    level = 0.62 + 0.30 * np.sin(turn / laps + phases[3]) + 0.35 * np.sin(2 * turn + phases[3])
    return _looking(np.column_stack([place, height]), np.column_stack([looked_at, level]))


def _looking(eyes: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    forward = targets - eyes
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right, axis=-1, keepdims=True)
    poses = np.tile(np.eye(4), (len(eyes), 1, 1))
    poses[:, :3, :3] = np.stack([right, np.cross(forward, right), forward], -1)
    poses[:, :3, 3] = eyes
    return poses


def pinhole(width: int, height: int) -> NDArray[np.float64]:
    """Return (3, 3) intrinsics with a horizontal field of view of 64 degrees, pixel centres at +0.5."""
    focal = 0.8 * width
    return np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
