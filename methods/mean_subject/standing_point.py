"""The position of a subject given its masks: the point nearest to the rays through their centres."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core import UserError
from deep3dmap.metrics.silhouette import COVERAGE_THRESHOLD

Floats = NDArray[np.float64]


class MaskRay(NamedTuple):
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
    rays = [ray for ray in map(_mask_ray, masks, intrinsics, poses) if ray is not None]
    if not rays:
        raise UserError("mean_subject: all masks are empty; a mask must be 1 where the subject is")
    return _place_by_height(vertices, rays[0]) if len(rays) == 1 else _intersect_rays(rays)


def _intersect_rays(rays: Sequence[MaskRay]) -> Floats:
    directions = np.stack([ray.direction for ray in rays])
    across = np.eye(3) - directions[:, :, None] * directions[:, None, :]
    matrix = across.sum(0)
    if np.linalg.eigvalsh(matrix)[0] < 1e-6:
        raise UserError("mean_subject: the views look along one line; give one view, or add one from another side")
    return np.linalg.solve(matrix, sum(one @ ray.eye for one, ray in zip(across, rays)))


def _place_by_height(vertices: Floats, ray: MaskRay) -> Floats:
    heights = vertices @ ray.up
    depth = float(heights.max() - heights.min()) / ray.rise
    return ray.eye + ray.direction * depth / float(ray.direction @ ray.forward)


def _mask_ray(mask: Any, intrinsics: Any, pose: Any) -> MaskRay | None:
    covered = np.argwhere(np.asarray(mask) > COVERAGE_THRESHOLD)
    if len(covered) == 0:
        return None
    (top, left), (bottom, right) = covered.min(0), covered.max(0) + 1
    matrix, pose = np.asarray(intrinsics, np.float64), np.asarray(pose, np.float64)
    ray = np.linalg.inv(matrix) @ np.array([(left + right) / 2, (top + bottom) / 2, 1.0])
    direction = pose[:3, :3] @ (ray / np.linalg.norm(ray))
    return MaskRay(pose[:3, 3], direction, (bottom - top) / matrix[1, 1], -pose[:3, 1], pose[:3, 2])
