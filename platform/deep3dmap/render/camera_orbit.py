"""New cameras on a circle around the point that given cameras look at."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.geometry.cameras import look_at, nearest_to_axes
from deep3dmap.render.views import Direction


def orbit_of_cameras(intrinsics: Any, world_from_camera: Any, height: int, width: int, count: int) -> list[Camera]:
    """Return `count` cameras around the point that the given cameras look at, at their mean distance and height.

    intrinsics: (V, 3, 3), of which the first are used. world_from_camera: (V, 4, 4). If the optical axes are parallel, the
    point is one unit in front of the cameras' mean centre.
    """
    poses = np.asarray(world_from_camera, np.float64)
    centre, up = nearest_to_axes(poses), mean_up(poses)
    offsets = poses[:, :3, 3] - centre
    heights = offsets @ up
    radius = float(np.linalg.norm(offsets - heights[:, None] * up, axis=1).mean())
    helper = np.eye(3)[int(np.abs(up).argmin())]
    first = np.cross(up, helper)
    first /= np.linalg.norm(first)
    second = np.cross(up, first)
    cameras = []
    for angle in 2 * np.pi * np.arange(count) / count:
        eye = centre + max(radius, 1e-6) * (np.cos(angle) * first + np.sin(angle) * second) + heights.mean() * up
        pose = look_at(torch.from_numpy(eye), torch.from_numpy(centre), torch.from_numpy(up)).numpy()
        cameras.append(Camera(np.asarray(intrinsics[0], np.float64), pose, width, height))
    return cameras


def mean_up(poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean up direction (3,) of camera poses (V, 4, 4), a unit vector: opposite to their y axes."""
    up: NDArray[np.float64] = -poses[:, :3, 1].mean(0)
    length = float(np.linalg.norm(up))
    return up / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])


def up_direction(sample: dict[str, Any]) -> Direction:
    """Return the mean up direction of the cameras of a sample; the z axis if it has none."""
    poses = sample.get("world_from_camera")
    if poses is None:
        return (0.0, 0.0, 1.0)
    x, y, z = mean_up(np.asarray(poses, np.float64)).tolist()
    return (x, y, z)
