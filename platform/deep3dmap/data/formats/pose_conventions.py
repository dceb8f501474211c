"""Recognising poses that are written in another convention than the reader takes them for.

Cameras around a subject look at one place. Taken for another convention the same numbers make them look away from it, or
past each other; the convention under which they meet is then the one the file was written in.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.multiview import OPENCV, OPENGL

Array = NDArray[np.float64]
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
    """Find what cameras (V, 4, 4) with OpenCV axes look at; V is 2 or more, and the axes are not all parallel."""
    eyes, forward = world_from_camera[:, :3, 3], world_from_camera[:, :3, 2]
    across = np.eye(3) - forward[:, :, None] * forward[:, None]
    point = np.linalg.lstsq(across.sum(0), (across @ eyes[..., None]).sum(0)[:, 0], rcond=None)[0]
    towards = point - eyes
    distance = np.maximum(np.linalg.norm(towards, axis=1), 1e-12)
    past = np.linalg.norm((across @ towards[..., None])[..., 0], axis=1)
    return Focus(point, float(np.median(past) / np.median(distance)), float(((towards * forward).sum(1) > 0).mean()))


def check_convention(world_from_camera: Array, source: str, fix: str) -> None:
    """Raise UserError that names the convention, if poses (V, 4, 4) taken for OpenCV's make sense in another one only.

    fix: what the user can do about it, with `{axes}` where the name of the camera axes belongs. Cameras that look at no common
    place, as in a room seen from within, say nothing and pass, and so do fewer than three.
    """
    if len(world_from_camera) < LEAST_VIEWS:
        return
    inverse = np.linalg.inv(world_from_camera)
    candidates = {
        (OPENCV, "camera-to-world"): world_from_camera,
        (OPENGL, "camera-to-world"): world_from_camera @ _FLIP,
        (OPENCV, "world-to-camera"): inverse,
        (OPENGL, "world-to-camera"): np.linalg.inv(world_from_camera @ _FLIP) @ _FLIP,
    }
    meeting = [name for name, poses in candidates.items() if _meets(poses)]
    if not meeting or (OPENCV, "camera-to-world") in meeting:
        return
    axes, direction = meeting[0]
    raise UserError(
        f"{source}: the cameras look away from their subject; they meet if the poses are {direction} with camera axes {axes}. "
        + (fix.format(axes=axes) if direction == "camera-to-world" else "Write the inverse matrices instead")
    )


def _meets(poses: Array) -> bool:
    found = focus(poses)
    return found.in_front > 0.9 and found.spread < _MEETS
