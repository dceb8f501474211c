"""Pinhole projection. OpenCV camera axes (x right, y down, z forward); pixel centres at +0.5."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def invert(pose: Any) -> Tensor:
    """Invert rigid transforms (..., 4, 4) in closed form."""
    pose = torch.as_tensor(pose)
    rotation = pose[..., :3, :3].transpose(-1, -2)
    inverse = pose.clone()
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -(rotation @ pose[..., :3, 3:])[..., 0]
    return inverse


def transform(points: Any, matrix: Any) -> Tensor:
    """Apply a (4, 4) rigid or affine transform to points (..., 3)."""
    points = torch.as_tensor(points)
    matrix = torch.as_tensor(matrix, dtype=points.dtype, device=points.device)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def project(points: Any, intrinsics: Any, camera_from_world: Any) -> tuple[Tensor, Tensor]:
    """Project world points (N, 3); returns pixels (N, 2) and depth (N,) along the optical axis.

    points: (N, 3). intrinsics: (3, 3) pixels. camera_from_world: (4, 4). Pixels are only meaningful where depth > 0.
    """
    camera = transform(points, camera_from_world)
    matrix = torch.as_tensor(intrinsics, dtype=camera.dtype, device=camera.device)
    depth = camera[:, 2]
    pixels = camera @ matrix.T
    return pixels[:, :2] / torch.where(depth == 0, torch.ones_like(depth), depth)[:, None], depth


def unproject(depth: Any, intrinsics: Any, world_from_camera: Any) -> Tensor:
    """Return the world point of every pixel, (H, W, 3), for depth (H, W) along the optical axis.

    Pixels with depth 0 (invalid) map to the camera centre.
    """
    depth = torch.as_tensor(depth)
    height, width = depth.shape
    rows = torch.arange(height, dtype=depth.dtype, device=depth.device) + 0.5
    columns = torch.arange(width, dtype=depth.dtype, device=depth.device) + 0.5
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    inverse = torch.linalg.inv(torch.as_tensor(intrinsics, dtype=torch.float64)).to(depth)
    rays = torch.stack([u, v, torch.ones_like(u)], -1) @ inverse.T
    return transform(rays * depth[..., None], world_from_camera)


def look_at(eye: Any, target: Any, up: Any = (0.0, 0.0, 1.0)) -> Tensor:
    """Return world_from_camera (4, 4) float64 of a camera at `eye` looking at `target`, with `up` pointing up in the image.

    Raises ValueError if the camera looks along `up`.
    """
    eye, target, up = (torch.as_tensor(value, dtype=torch.float64) for value in (eye, target, up))
    forward = torch.nn.functional.normalize(target - eye, dim=0)
    right = torch.linalg.cross(forward, up)
    if right.norm() < 1e-9:
        raise ValueError("the camera looks along `up`; choose another up vector")
    right = right / right.norm()
    pose = torch.eye(4, dtype=torch.float64)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward], 1)
    pose[:3, 3] = eye
    return pose


def nearest_to_axes(world_from_camera: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Return the least-squares intersection (3,) of the optical axes of cameras (V, 4, 4), that is, the point they look at.

    If the axes are parallel, the solution is not unique; returns the point one unit in front of the cameras' mean centre.
    """
    eyes, axes = world_from_camera[:, :3, 3], world_from_camera[:, :3, 2]
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    point: NDArray[np.floating[Any]] = eyes.mean(0) + axes.mean(0)
    if np.linalg.cond(across.sum(0)) <= 1e8:
        point = np.linalg.solve(across.sum(0), (across @ eyes[:, :, None]).sum(0)[:, 0])
    return point


def scale_intrinsics(intrinsics: Any, horizontal: float, vertical: float) -> Tensor:
    """Return the intrinsics of an image resized by these factors; with centres at +0.5 the principal point scales directly."""
    return torch.diag(torch.tensor([horizontal, vertical, 1.0], dtype=torch.float64)) @ torch.as_tensor(
        intrinsics, dtype=torch.float64
    )
