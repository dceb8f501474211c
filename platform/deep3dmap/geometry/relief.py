"""Depth maps as reliefs: unprojection, projection, rigid motion and normals (Wu, Rupprecht and Vedaldi, CVPR 2020).

The camera looks along z with x right and y down. Pixel centres are at integers; in grids, -1 and 1 are the centres of the outer
pixels, so sampling needs align_corners=True. Lengths are in units of the distance to the object's centre.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError


@dataclass(frozen=True)
class ReliefCamera:
    """A pinhole camera of `size` x `size` pixels with a field of view of `degrees`; pivot: depth that views rotate about."""

    size: int
    degrees: float = 10.0
    pivot: float = 1.0

    def intrinsics(self, like: Tensor) -> Tensor:
        """Return the intrinsics (3, 3) with the device and type of `like`."""
        middle = (self.size - 1) / 2
        focal = middle / math.tan(math.radians(self.degrees) / 2)
        return like.new_tensor([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])

    def lift(self, depth: Tensor) -> Tensor:
        """Unproject depth maps (N, H, W) to points (N, H, W, 3)."""
        rows, columns = torch.meshgrid(*(torch.arange(self.size, device=depth.device).to(depth),) * 2, indexing="ij")
        k = self.intrinsics(depth)
        x, y = (columns - k[0, 2]) / k[0, 0], (rows - k[1, 2]) / k[1, 1]
        return depth[..., None] * torch.stack([x, y, torch.ones_like(x)], -1)

    def to_pixels(self, points: Tensor) -> Tensor:
        """Project points (..., 3) to pixels x, y (..., 2)."""
        k = self.intrinsics(points)
        return points[..., :2] / points[..., 2:] * k[0, 0] + k[:2, 2]

    def to_grid(self, points: Tensor) -> Tensor:
        """Project points (..., 3) to grid coordinates x, y (..., 2), -1 and 1 at the centres of the outer pixels."""
        return self.to_pixels(points) * (2 / (self.size - 1)) - 1

    def normals(self, depth: Tensor) -> Tensor:
        """Return unit normals (N, H, W, 3) of depth maps (N, H, W), pointing away from the camera.

        Computed with central differences in the interior; (0, 0, 1) at the border.
        """
        points = self.lift(depth)
        across = points[:, 1:-1, 2:] - points[:, 1:-1, :-2]
        down = points[:, 2:, 1:-1] - points[:, :-2, 1:-1]
        inner = torch.linalg.cross(across, down)
        total = torch.zeros_like(points)
        total[..., 2] = 1
        total[:, 1:-1, 1:-1] = inner
        return total / (total.norm(dim=-1, keepdim=True) + 1e-7)

    def turn(self, points: Tensor, views: Tensor) -> Tensor:
        """Rotate points (N, ..., 3) about the pivot and translate them according to views (N, 6)."""
        rotation, translation = rigid_motion(views)
        return self._rotate_about_pivot(points, rotation.transpose(1, 2)) + _broadcast_translation(translation, points)

    def turn_back(self, points: Tensor, views: Tensor) -> Tensor:
        """Invert `turn`."""
        rotation, translation = rigid_motion(views)
        return self._rotate_about_pivot(points - _broadcast_translation(translation, points), rotation)

    def _rotate_about_pivot(self, points: Tensor, matrices: Tensor) -> Tensor:
        pivot = points.new_tensor([0, 0, self.pivot])
        flat = (points - pivot).flatten(1, -2) @ matrices
        return flat.reshape(points.shape) + pivot


def _broadcast_translation(translation: Tensor, points: Tensor) -> Tensor:
    return translation.reshape(-1, *[1] * (points.dim() - 2), 3)


def rigid_motion(views: Tensor) -> tuple[Tensor, Tensor]:
    """Return rotations (N, 3, 3), Rz Ry Rx, and translations (N, 3) of views (N, 6): rx, ry, rz in radians, tx, ty, tz.

    Views may omit tz, (N, 5), or the translation, (N, 3). Raises UserError for another width.
    """
    if views.dim() != 2 or views.shape[1] not in (3, 5, 6):
        raise UserError(f"views must be (N, 6), (N, 5) without tz, or (N, 3) without translation; got {tuple(views.shape)}")
    translation = torch.cat([views[:, 3:], views.new_zeros(len(views), 6 - views.shape[1])], 1)
    (cx, cy, cz), (sx, sy, sz) = (part[:, :3].unbind(1) for part in (views.cos(), views.sin()))
    zero, one = torch.zeros_like(cx), torch.ones_like(cx)
    about_x = torch.stack([one, zero, zero, zero, cx, -sx, zero, sx, cx], 1).reshape(-1, 3, 3)
    about_y = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], 1).reshape(-1, 3, 3)
    about_z = torch.stack([cz, -sz, zero, sz, cz, zero, zero, zero, one], 1).reshape(-1, 3, 3)
    return about_z @ about_y @ about_x, translation


def relief_faces(rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Return the triangles (F, 3) of a row-major vertex grid: all upper left triangles, then all lower right ones."""
    index = torch.arange(rows * columns, device=device).reshape(rows, columns)
    first = torch.stack([index[:-1, :-1], index[1:, :-1], index[:-1, 1:]], -1)
    second = torch.stack([index[:-1, 1:], index[1:, :-1], index[1:, 1:]], -1)
    return torch.cat([first.reshape(-1, 3), second.reshape(-1, 3)])
