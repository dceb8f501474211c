"""Pinhole projection. OpenCV camera axes (x right, y down, z forward); pixel centres at +0.5."""

from typing import Any

import torch
from torch import Tensor


def invert(pose: Any) -> Tensor:
    """Invert a rigid transform (..., 4, 4) without solving a system."""
    pose = torch.as_tensor(pose)
    rotation = pose[..., :3, :3].transpose(-1, -2)
    inverse = pose.clone()
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -(rotation @ pose[..., :3, 3:])[..., 0]
    return inverse


def transform(points: Tensor, matrix: Any) -> Tensor:
    """Apply a (4, 4) transform to points (..., 3)."""
    matrix = torch.as_tensor(matrix, dtype=points.dtype, device=points.device)
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def project(points: Tensor, intrinsics: Any, camera_from_world: Any) -> tuple[Tensor, Tensor]:
    """Project world points (N, 3); returns pixels (N, 2) and depth (N,). Pixels are meaningful where depth > 0."""
    camera = transform(points, camera_from_world)
    lens = torch.as_tensor(intrinsics, dtype=points.dtype, device=points.device)
    depth = camera[:, 2]
    pixels = camera @ lens.T
    return pixels[:, :2] / torch.where(depth == 0, torch.ones_like(depth), depth)[:, None], depth


def unproject(depth: Tensor, intrinsics: Any, world_from_camera: Any) -> Tensor:
    """Return the world point of every pixel, (H, W, 3), for depth (H, W) along the optical axis."""
    height, width = depth.shape
    lens = torch.as_tensor(intrinsics, dtype=depth.dtype, device=depth.device)
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    rays = torch.stack([(columns - lens[0, 2]) / lens[0, 0], (rows - lens[1, 2]) / lens[1, 1], torch.ones_like(rows)], -1)
    return transform(rays.to(depth) * depth[..., None], world_from_camera)


def look_at(eye: Any, target: Any, up: Any = (0.0, 0.0, 1.0)) -> Tensor:
    """Return world_from_camera (4, 4) float64 of a camera at `eye` that looks at `target`, with `up` upwards in the image.

    Raises ValueError if it looks along `up`.
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


def scale_intrinsics(intrinsics: Any, horizontal: float, vertical: float) -> Tensor:
    """Return the intrinsics of an image resized by these factors. With centres at +0.5 the principal point just scales."""
    return torch.diag(torch.tensor([horizontal, vertical, 1.0], dtype=torch.float64)) @ torch.as_tensor(
        intrinsics, dtype=torch.float64
    )
