"""The visual hull: the largest shape consistent with all masks, carved from voxels, with the photographs' colours."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor
from torch.nn import functional

from deep3dmap.core import Mesh, Method, MethodCard, Reconstruction, UserError
from deep3dmap.core.options import option
from deep3dmap.geometry.cameras import invert, project
from deep3dmap.methods.visual_hull.bounds import Outline, box_of_outlines, open_sides
from deep3dmap.render.vertex_colors import color_vertices

SLAB = 1 << 20  # voxels processed at once
HIDDEN = 2.0  # voxels; a vertex at most this far behind the visible surface still takes a view's colour


@dataclass
class VisualHullConfig:
    """Resolution of the carving, and smoothing of the surface."""

    resolution: int = option(
        128, "voxels along the longest side of the subject's bounding box", low=16, high=512, log=True, valid="[1, inf)"
    )
    level: float = option(0.5, "minimum coverage of a pixel that counts as inside", low=0.1, high=0.9, valid="(0, 1)")
    smoothing: float = option(
        0.7, "standard deviation in voxels of the smoothing before surface extraction", low=0.0, high=3.0, valid="[0, inf)"
    )
    contradicting: int = option(0, "views that may be overruled where they show empty space", low=0, high=3, valid="[0, inf)")
    color: bool = option(True, "colour the vertices from the photographs")


class VisualHull(Method):
    """Voxel carving: keeps voxels that project into every mask. Not trainable; cannot recover concavities hidden in masks."""

    card = MethodCard(
        title="Visual hull",
        authors="Aldo Laurentini; voxel carving after Potmesil and Szeliski",
        year=1994,
        paper="The Visual Hull Concept for Silhouette-Based Image Understanding, PAMI 16(2), 1994, doi:10.1109/34.273735",
        tasks=("body",),
        consumes=("images", "masks", "intrinsics", "world_from_camera"),
        produces=("mesh",),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
        tried_on=("bodies",),
        least_views=2,
    )
    config_type = VisualHullConfig

    def __init__(self, config: VisualHullConfig) -> None:
        if config.resolution < 4 or not 0 < config.level < 1 or config.smoothing < 0 or config.contradicting < 0:
            raise UserError(
                "visual_hull: resolution must be at least 4, level between 0 and 1, smoothing and contradicting not negative"
            )
        self.config = config

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Carve the hull and return its surface in the world of the cameras, metres.

        Raises UserError for fewer than two views with non-empty masks, and for masks that do not meet or do not bound the
        subject.
        """
        outlines = [
            Outline(np.asarray(mask, np.float32), np.asarray(intrinsics, np.float64), np.asarray(pose, np.float64))
            for mask, intrinsics, pose in zip(given["masks"], given["intrinsics"], given["world_from_camera"], strict=True)
        ]
        outlines = [outline for outline in outlines if (outline.mask > self.config.level).any()]
        if len(outlines) < 2:
            raise UserError(f"visual_hull needs at least two views whose masks are not empty, got {len(outlines)}")
        low, high = box_of_outlines(outlines, self.config.contradicting)
        edge = float((high - low).max()) / self.config.resolution
        mesh = self._surface(self._occupancy(outlines, low, high, edge), low, edge)
        return Reconstruction("world", "metre", mesh=self._colored(mesh, given, edge), notes={"voxel_m": edge})

    def _occupancy(self, outlines: list[Outline], low: NDArray[Any], high: NDArray[Any], edge: float) -> NDArray[np.float32]:
        """Return the coverage (X, Y, Z) of voxels by the masks: the minimum over the views, without the contradicting ones."""
        counts = np.ceil((high - low) / edge).astype(int) + 1
        axes = [torch.from_numpy(low[axis] + edge * np.arange(counts[axis])) for axis in range(3)]
        rows = max(1, SLAB // int(counts[1] * counts[2]))
        slabs = []
        for begin in range(0, counts[0], rows):
            grid = torch.meshgrid(axes[0][begin : begin + rows], axes[1], axes[2], indexing="ij")
            points = torch.stack(grid, -1).reshape(-1, 3)
            kept = self.config.contradicting + 1
            least = torch.ones(0, len(points))
            for outline in outlines:
                stacked = torch.cat([least, _coverage(points, outline)[None]])
                least = stacked if len(stacked) <= kept else stacked.sort(0).values[:kept]
            slabs.append((least[-1] if len(least) == kept else torch.ones(len(points))).reshape(grid[0].shape))
        return torch.cat(slabs).numpy()

    def _surface(self, occupancy: NDArray[np.float32], low: NDArray[Any], edge: float) -> Mesh:
        from skimage.measure import marching_cubes

        # An empty border closes the surface.
        field = gaussian_filter(np.pad(occupancy, 2), self.config.smoothing, mode="constant")
        if not field.max() > self.config.level:
            raise UserError("visual_hull: no voxel lies in all masks; raise method.resolution or method.contradicting")
        vertices, faces, _, _ = marching_cubes(field, self.config.level, gradient_direction="ascent")
        return Mesh(low + edge * (vertices - 2), faces)

    def _colored(self, mesh: Mesh, given: dict[str, Any], edge: float) -> Mesh:
        if not self.config.color:
            return mesh
        images = [np.asarray(image, np.float32) for image in given["images"]]
        cameras = given["intrinsics"], given["world_from_camera"]
        colors = color_vertices(mesh.vertices, mesh.faces, images, *cameras, tolerance=HIDDEN * edge)
        return Mesh(mesh.vertices, mesh.faces, colors.numpy())


def _coverage(points: Tensor, outline: Outline) -> Tensor:
    """Return a mask's coverage at points (N, 3), in [0, 1].

    Points outside the picture are empty, except beyond an edge that the mask touches; points behind the camera are empty too.
    """
    height, width = outline.mask.shape
    camera_from_world = invert(torch.from_numpy(outline.world_from_camera))
    pixels, depth = project(points, torch.from_numpy(outline.intrinsics), camera_from_world)
    size = pixels.new_tensor([width, height])
    covered = functional.grid_sample(
        torch.from_numpy(outline.mask)[None, None], (2 * pixels / size - 1).float()[None, None], align_corners=False
    )[0, 0, 0]
    beyond = (pixels[:, 0] < 0, pixels[:, 0] > width, pixels[:, 1] < 0, pixels[:, 1] > height)
    for outside, is_open in zip(beyond, open_sides(outline.mask)):
        if is_open:
            covered = torch.where(outside, 1.0, covered)
    return torch.where(depth > 0, covered, 0.0)
