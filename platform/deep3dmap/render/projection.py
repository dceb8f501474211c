"""Transforms from world to view: points in camera axes, and pixels with depth."""

import torch
from torch import Tensor

from deep3dmap.render.renderer import View


def to_camera(points: Tensor, view: View) -> Tensor:
    """Transform world points (N, 3) to the view's axes: x right, y down, z forward."""
    pose = view.camera_from_world.to(points)
    return points @ pose[:3, :3].T + pose[:3, 3]


def to_pixels(camera: Tensor, view: View) -> Tensor:
    """Project camera points (N, 3) to x, y in pixels and depth, (N, 3).

    In a perspective view, points nearer than `near` get x = y = 0 and depth -1, which is never rendered.
    """
    intrinsics = view.intrinsics.to(camera)
    z = camera[:, 2]
    if view.projection == "orthographic":
        seen = camera[:, :2] @ intrinsics[:2, :2].T + intrinsics[:2, 2]
        return torch.cat([seen, z[:, None]], 1)
    there = z >= view.near
    safe = torch.where(there, z, 1.0)
    seen = camera[:, :2] @ intrinsics[:2, :2].T / safe[:, None] + intrinsics[:2, 2]
    return torch.cat([torch.where(there[:, None], seen, 0.0), torch.where(there, z, -1.0)[:, None]], 1)


def eye_of(view: View) -> Tensor:
    """Return the camera centre in world coordinates, (3,)."""
    pose = view.camera_from_world
    return -pose[:3, :3].T @ pose[:3, 3]


def pixel_rays(view: View, like: Tensor) -> Tensor:
    """Return the ray directions (H, W, 3) of the pixel centres in camera axes, with z = 1."""
    rows = torch.arange(view.height, dtype=like.dtype, device=like.device) + 0.5
    columns = torch.arange(view.width, dtype=like.dtype, device=like.device) + 0.5
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    inverse = torch.linalg.inv(view.intrinsics.to(like))
    return torch.stack([u, v, torch.ones_like(u)], -1) @ inverse.T
