"""Vertex colours of a mesh from posed images."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.ops.rasterize import rasterize_camera

UNSEEN = 0.6


class VertexColors:
    """A running mean of vertex colours over images; only one image at a time has to be in memory.

    vertices: (V, 3) world, metres. faces: (F, 3). tolerance: a vertex counts as visible if it is at most this far, in metres,
    behind the mesh surface seen by the camera.
    """

    def __init__(self, vertices: Any, faces: Any, tolerance: float = 0.05) -> None:
        self.vertices, self.faces = torch.as_tensor(vertices).float(), torch.as_tensor(faces).long()
        self.tolerance = tolerance
        self._sum = torch.zeros(len(self.vertices), 3)
        self._weight = torch.zeros(len(self.vertices))

    def add(self, image: Tensor, intrinsics: Any, world_from_camera: Any) -> None:
        """Add an image (3, H, W) RGB in [0, 1]; its samples are weighted by 1 / depth squared.

        intrinsics: (3, 3) pixels, centres at +0.5. world_from_camera: (4, 4), OpenCV axes.
        """
        height, width = image.shape[-2:]
        camera = transform(self.vertices, invert(torch.as_tensor(world_from_camera, dtype=torch.float64)).float()).contiguous()
        matrix = torch.as_tensor(intrinsics).float()
        surface = rasterize_camera(camera, self.faces, matrix, height, width).depth
        # A vertex on the outline may fall into a pixel that its own triangles do not cover; it is not occluded there.
        surface = torch.where(surface > 0, surface, torch.inf)
        depth = camera[:, 2]
        pixels = (camera @ matrix.T)[:, :2] / depth[:, None].clamp_min(1e-6)
        inside = (depth > 0) & (pixels >= 0).all(1) & (pixels < pixels.new_tensor([width, height])).all(1)
        rows = inside.nonzero()[:, 0]
        column, row = pixels[rows].long().T
        rows = rows[depth[rows] <= surface[row, column] + self.tolerance]
        weight = depth[rows].square().reciprocal()
        self._sum.index_add_(0, rows, _sample_pixels(image, pixels[rows]) * weight[:, None])
        self._weight.index_add_(0, rows, weight)

    def mean(self) -> Tensor:
        """Return the colours (V, 3) RGB in [0, 1]; vertices not seen in any image are grey."""
        seen = self._weight > 0
        mean = self._sum / torch.where(seen, self._weight, 1.0)[:, None]
        return torch.where(seen[:, None], mean, UNSEEN)


def color_vertices(
    vertices: Any, faces: Any, images: Sequence[Any], intrinsics: Any, world_from_camera: Any, tolerance: float = 0.05
) -> Tensor:
    """Return vertex colours (V, 3) accumulated by `VertexColors` from N images, intrinsics and poses."""
    colors = VertexColors(vertices, faces, tolerance)
    for image, matrix, pose in zip(images, intrinsics, world_from_camera):
        colors.add(torch.as_tensor(image), matrix, pose)
    return colors.mean()


def _sample_pixels(image: Tensor, pixels: Tensor) -> Tensor:
    size = pixels.new_tensor([image.shape[-1], image.shape[-2]])
    grid = (2 * pixels / size - 1)[None, None]
    return functional.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0, :, 0].T
