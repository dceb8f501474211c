"""Detection of poses that are stored in a different convention than the reader assumes.

Cameras around a subject look at a common point. Under a wrong convention, the same matrices look away from it or past each
other; the convention under which the optical axes meet is the one the file was written in.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.cameras import nearest_to_axes

Array = NDArray[np.floating[Any]]
OPENCV = "x right, y down, z forward"
OPENGL = "x right, y up, z backwards"
MIN_VIEWS = 3
OPENCV_FROM_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # camera axes; the matrix is its own inverse
_MAX_SPREAD = 0.15  # largest distance of the axes from the common point, relative to the distance to the cameras


class Focus(NamedTuple):
    """The point that cameras look at.

    point: (3,) nearest to all optical axes. spread: median distance of the axes from it, relative to that of the cameras.
    in_front: fraction of the cameras that have it in front of them.
    """

    point: Array
    spread: float
    in_front: float


def focus(world_from_camera: Array) -> Focus:
    """Return the point that V >= 2 cameras (V, 4, 4) with OpenCV axes look at."""
    eyes, forward = world_from_camera[:, :3, 3], world_from_camera[:, :3, 2]
    point = nearest_to_axes(world_from_camera)
    towards = point - eyes
    distance = np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
    past = np.linalg.norm(np.cross(forward, towards), axis=1)
    return Focus(point, float(np.median(past) / np.median(distance)), float(((towards * forward).sum(1) > 0).mean()))


def check_convention(world_from_camera: Array, source: str, axes: str, fix: str) -> None:
    """Raise UserError naming the convention if the poses of a file are only consistent in one other than it was read in.

    world_from_camera: (V, 4, 4) with OpenCV axes, converted from `axes`, OPENCV or OPENGL, which was assumed for the file.
    fix: advice to the user if the file has the other axes. Fewer than three cameras, and cameras without a common point, as in
    a room seen from inside, are inconclusive and pass.
    """
    if len(world_from_camera) < MIN_VIEWS or _axes_meet(world_from_camera):
        return
    other = OPENCV if axes == OPENGL else OPENGL
    if _axes_meet(world_from_camera @ OPENCV_FROM_OPENGL):
        raise UserError(f"{source}: the cameras look away from their subject; the camera axes are {other}, not {axes}. {fix}")
    written = world_from_camera if axes == OPENCV else world_from_camera @ OPENCV_FROM_OPENGL
    inverse = np.linalg.inv(written)
    if _axes_meet(inverse) or _axes_meet(inverse @ OPENCV_FROM_OPENGL):
        raise UserError(f"{source}: the poses are world-to-camera, not camera-to-world; write the inverse matrices")


def _axes_meet(poses: Array) -> bool:
    eyes = poses[:, :3, 3]
    if np.ptp(eyes, axis=0).max() < 1e-3 * (1e-9 + np.abs(eyes).max()):
        return False  # cameras at the same position, which would be the point nearest to all axes
    found = focus(poses)
    return found.in_front > 0.9 and found.spread < _MAX_SPREAD
