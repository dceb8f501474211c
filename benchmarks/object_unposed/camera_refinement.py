"""Refinement of test cameras on the test images for any renderer: Levenberg-Marquardt with finite differences.

Published scores of methods without poses include such a refinement. It requires only renderings, no gradients.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from deep3dmap.core import Camera, Views
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.geometry.rotations import matrix_of_axis_angle

Render = Callable[[Sequence[Camera]], Views]
Array = NDArray[np.float64]
SIDES = (24, 48)  # longer side of the compared pictures, coarse to fine
STEPS = 5  # per size
DIFFERENCE = 0.02  # radians, and fractions of the distance to the origin
DAMPING, DAMPING_DECREASE, DAMPING_INCREASE = 1e-2, 0.3, 10.0


def refine_cameras(render: Render, cameras: Sequence[Camera], images: Sequence[NDArray[np.float32]]) -> list[Camera]:
    """Return the cameras, rotated and moved until their renderings locally match the images (3, H, W) best.

    A step is accepted only if it reduces the difference. Deterministic.
    """
    return [
        _refine_camera(render, camera, np.asarray(image, np.float32)) for camera, image in zip(cameras, images, strict=True)
    ]


def _refine_camera(render: Render, camera: Camera, image: NDArray[np.float32]) -> Camera:
    for side in SIDES:
        small, target = _downscale(camera, image, side)
        pose = _descend(render, small, target)
        camera = Camera(camera.intrinsics, pose, camera.width, camera.height)
    return camera


def _descend(render: Render, camera: Camera, target: Array) -> Array:
    pose, damping = camera.world_from_camera, DAMPING
    reach = float(np.linalg.norm(pose[:3, 3])) or 1.0
    six = np.eye(6)
    seen = _pictures(render, camera, [pose])[0]
    for _ in range(STEPS):
        shifted = _pictures(render, camera, [pose @ _motion(DIFFERENCE * one, reach) for one in six])
        slopes = (shifted - seen).T / DIFFERENCE
        normal, pull = slopes.T @ slopes, slopes.T @ (target - seen)
        if not np.trace(normal):
            break  # The rendering does not depend on the camera.
        floor = damping * np.diag(normal) + 1e-9 * np.trace(normal)
        step = np.linalg.solve(normal + np.diag(floor), pull)
        tried = pose @ _motion(step, reach)
        candidate = _pictures(render, camera, [tried])[0]
        if ((candidate - target) ** 2).sum() < ((seen - target) ** 2).sum():
            pose, seen, damping = tried, candidate, damping * DAMPING_DECREASE
        else:
            damping *= DAMPING_INCREASE
    return pose


def _motion(six: Array, reach: float) -> Array:
    """Return (4, 4): a rotation by six[:3] about the point `reach` ahead and a shift by reach * six[3:], in camera axes.

    A rotation about the camera itself would look like a shift, which would make the steps ill-conditioned.
    """
    ahead = np.array([0, 0, reach])
    motion = np.eye(4)
    motion[:3, :3] = matrix_of_axis_angle(six[:3]).numpy()
    motion[:3, 3] = ahead - motion[:3, :3] @ ahead + reach * six[3:]
    return motion


def _pictures(render: Render, camera: Camera, poses: Sequence[Array]) -> Array:
    views = render([Camera(camera.intrinsics, pose, camera.width, camera.height) for pose in poses])
    return np.asarray(views.images, np.float64).reshape(len(poses), -1)


def _downscale(camera: Camera, image: NDArray[np.float32], side: int) -> tuple[Camera, Array]:
    factor = min(1.0, side / max(camera.width, camera.height))
    width, height = max(1, round(camera.width * factor)), max(1, round(camera.height * factor))
    scale = scale_intrinsics(torch.eye(3, dtype=torch.float64), width / camera.width, height / camera.height).numpy()
    picture = interpolate(torch.from_numpy(image)[None], (height, width), mode="area")[0]
    return Camera(scale @ camera.intrinsics, camera.world_from_camera, width, height), picture.double().numpy().ravel()
