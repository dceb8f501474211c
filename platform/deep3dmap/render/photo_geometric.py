"""The photo-geometric renderer: renders a canonical relief from a view (Wu, Rupprecht and Vedaldi, CVPR 2020).

Depth is rasterised; colours are then looked up in the canonical texture, because their gradient through the rasteriser is too
noisy for training.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from deep3dmap.geometry.relief import ReliefCamera, relief_faces
from deep3dmap.ops.neural_mesh import depth_of_faces, find_faces, render_neural_mesh
from deep3dmap.ops.neural_mesh_paint import cubes_from_corners, paint_cubes

_FAR = 100.0  # background depth before the samples of a pixel are averaged


class Relief(NamedTuple):
    """A relief seen from a view.

    image: (N, C, H, W). depth: (N, H, W) in that view. grid: (N, H, W, 2), position of each pixel in the canonical image.
    valid: (N, 1, H, W), 1 where the relief is visible, detached.
    """

    image: Tensor
    depth: Tensor
    grid: Tensor
    valid: Tensor


@dataclass(frozen=True)
class PhotoGeometricRenderer:
    """Renders canonical reliefs with depth in [nearest, farthest]; view depths may exceed it by half the range on each side."""

    camera: ReliefCamera
    nearest: float = 0.9
    farthest: float = 1.1

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest depth in a view; the largest marks empty pixels."""
        margin = (self.farthest - self.nearest) / 2
        return self.nearest - margin, self.farthest + margin

    def view_depth(self, depth: Tensor, views: Tensor) -> Tensor:
        """Render canonical depth maps (N, H, W) from views (N, 6) to depth maps (N, H, W), clamped to the limits.

        Pixels are the mean of 2 x 2 samples, so partially covered pixels count as empty. Differentiable in both arguments.
        """
        points = self.camera.turn(self.camera.lift(depth), views).flatten(1, 2)
        corners = torch.cat([self.camera.to_pixels(points), points[..., 2:]], -1)
        front = relief_faces(self.camera.size, self.camera.size, corners.device)
        faces = torch.cat([front, front.flip(1)])
        doubled, side = corners * corners.new_tensor([2.0, 2.0, 1.0]), 2 * self.camera.size
        seen = find_faces(doubled, faces, side, side, near=0.1, far=_FAR)
        filled = torch.where(seen.face_id >= 0, depth_of_faces(doubled, faces, seen), _FAR)
        return avg_pool2d(filled, 2).clamp(*self.limits)

    def canonical_grid(self, view_depth: Tensor, views: Tensor) -> Tensor:
        """Return the positions (N, H, W, 2) in the canonical image of the pixels of depth maps (N, H, W) in views (N, 6)."""
        return self.camera.to_grid(self.camera.turn_back(self.camera.lift(view_depth), views))

    def render(self, texture: Tensor, depth: Tensor, views: Tensor) -> Relief:
        """Render textures (N, C, H, W) on canonical depth maps (N, H, W); images are not clamped."""
        seen = self.view_depth(depth, views)
        grid = self.canonical_grid(seen, views)
        valid = (seen < self.limits[1]).detach()[:, None].to(texture.dtype)
        return Relief(look_up(texture, grid), seen, grid, valid)

    def draw_mesh(self, texture: Tensor, depth: Tensor, views: Tensor, background: float = 1.0) -> Tensor:
        """Rasterise the textured relief, (N, C, H, W), for visualisation: sharper than `render` near self-occlusions."""
        points = self.camera.turn(self.camera.lift(depth), views).flatten(1, 2)
        corners = torch.cat([self.camera.to_pixels(points), points[..., 2:]], -1)
        side = self.camera.size
        faces = relief_faces(side, side, texture.device)
        empty = (background,) * texture.shape[1]
        images = []
        for one, colors in zip(corners, texture):
            paint = paint_cubes(texture_cubes(colors, faces))
            drawn = render_neural_mesh(one, faces, side, side, paint=paint, background=empty, near=0.1, far=10.0)
            images.append(drawn.image)
        return torch.stack(images)


def look_up(texture: Tensor, grid: Tensor, mode: str = "bilinear") -> Tensor:
    """Sample (N, C, H, W) at grids (N, H, W, 2); 0 outside."""
    return grid_sample(texture, grid, mode=mode, align_corners=True)


def texture_cubes(colors: Tensor, faces: Tensor) -> Tensor:
    """Return the 2 x 2 x 2 texture cubes of a relief's faces for an image (C, H, W).

    Two corners of each face are swapped, as in the published code, for comparable images.
    """
    corners = colors.flatten(1).T[faces]
    half = len(faces) // 2
    return cubes_from_corners(torch.cat([corners[:half, [0, 2, 1]], corners[half:, [1, 0, 2]]]))
