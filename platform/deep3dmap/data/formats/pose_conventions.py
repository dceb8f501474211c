"""Recognising poses that are written in another convention than the reader takes them for.

Cameras around a subject look at one place. Taken for another convention the same numbers make them look away from it, or
past each other; the convention under which they meet is then the one the file was written in.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.cameras import nearest_to_axes

Array = NDArray[np.floating[Any]]
OPENCV = "x right, y down, z forward"
OPENGL = "x right, y up, z backwards"
LEAST_VIEWS = 3
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])
_MEETS = 0.15  # of the distance to the cameras: how far axes may pass from the common point


class Focus(NamedTuple):
    """point: (3,) nearest to all optical axes. spread: median distance of the axes from it, as a share of that of the cameras.

    in_front: share of the cameras that it is in front of.
    """

    point: Array
    spread: float
    in_front: float


def focus(world_from_camera: Array) -> Focus:
    """Find what cameras (V, 4, 4) with OpenCV axes look at; V is 2 or more."""
    eyes, forward = world_from_camera[:, :3, 3], world_from_camera[:, :3, 2]
    point = nearest_to_axes(world_from_camera)
    towards = point - eyes
    distance = np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
    past = np.linalg.norm(np.cross(forward, towards), axis=1)
    return Focus(point, float(np.median(past) / np.median(distance)), float(((towards * forward).sum(1) > 0).mean()))


def check_convention(world_from_camera: Array, source: str, axes: str, fix: str) -> None:
    """Raise UserError that names the convention, if the poses of a file make sense in another one than it was read in only.

    world_from_camera: (V, 4, 4) with OpenCV axes, turned into them from `axes`, OPENCV or OPENGL, which the file was read in.
    fix: what the user can do where it has the other axes. Cameras that look at no common place, as in a room seen from within,
    say nothing and pass, and so do fewer than three.
    """
    if len(world_from_camera) < LEAST_VIEWS or _meets(world_from_camera):
        return
    other = OPENCV if axes == OPENGL else OPENGL
    if _meets(world_from_camera @ _FLIP):
        raise UserError(f"{source}: the cameras look away from their subject; the camera axes are {other}, not {axes}. {fix}")
    written = world_from_camera if axes == OPENCV else world_from_camera @ _FLIP
    inverse = np.linalg.inv(written)
    if _meets(inverse) or _meets(inverse @ _FLIP):
        raise UserError(f"{source}: the poses are world-to-camera, not camera-to-world; write the inverse matrices")


def _meets(poses: Array) -> bool:
    eyes = poses[:, :3, 3]
    if np.ptp(eyes, axis=0).max() < 1e-3 * (1e-9 + np.abs(eyes).max()):
        return False  # all in one place, which is then the point nearest to all axes
    found = focus(poses)
    return found.in_front > 0.9 and found.spread < _MEETS
