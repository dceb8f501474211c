"""The position of a subject given its masks: the point nearest to the rays through their centres."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core import UserError

COVERED = 0.5
Floats = NDArray[np.float64]


class Sight(NamedTuple):
    """The ray through the centre of a mask's bounding box.

    eye, direction: (3,) world. rise: height of the box in metres per metre of depth. up, forward: (3,) axes of the camera in
    the world.
    """

    eye: Floats
    direction: Floats
    rise: float
    up: Floats
    forward: Floats


def place(vertices: Floats, masks: Any, intrinsics: Any, poses: Any) -> Floats:
    """Return the position (3,), in world coordinates, of the centre of the bounding box of the upright vertices (N, 3).

    For a single view, the distance is chosen such that the vertices are as tall as the mask. Raises UserError if all masks are
    empty, and for several views that look along one line.
    """
    sights = [sight for sight in map(_sight, masks, intrinsics, poses) if sight is not None]
    if not sights:
        raise UserError("mean_subject: all masks are empty; a mask must be 1 where the subject is")
    return _at_its_size(vertices, sights[0]) if len(sights) == 1 else _meeting(sights)


def _meeting(sights: Sequence[Sight]) -> Floats:
    directions = np.stack([sight.direction for sight in sights])
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    matrix = across.sum(0)
    if np.linalg.eigvalsh(matrix)[0] < 1e-6:
        raise UserError("mean_subject: the views look along one line; give one view, or add one from another side")
    return np.linalg.solve(matrix, sum(one @ sight.eye for one, sight in zip(across, sights)))


def _at_its_size(vertices: Floats, sight: Sight) -> Floats:
    tall = vertices @ sight.up
    depth = float(tall.max() - tall.min()) / sight.rise
    return sight.eye + sight.direction * depth / float(sight.direction @ sight.forward)


def _sight(mask: Any, intrinsics: Any, pose: Any) -> Sight | None:
    covered = np.argwhere(np.asarray(mask) > COVERED)
    if len(covered) == 0:
        return None
    (top, left), (bottom, right) = covered.min(0), covered.max(0) + 1
    matrix, pose = np.asarray(intrinsics, np.float64), np.asarray(pose, np.float64)
    ray = np.linalg.inv(matrix) @ np.array([(left + right) / 2, (top + bottom) / 2, 1.0])
    direction = pose[:3, :3] @ (ray / np.linalg.norm(ray))
    return Sight(pose[:3, 3], direction, (bottom - top) / matrix[1, 1], -pose[:3, 1], pose[:3, 2])
