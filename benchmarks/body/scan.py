"""The scan that reconstructions are compared with: points of the true surface visible in at least one camera."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh
from deep3dmap.geometry.cameras import invert, project, scale_intrinsics, transform
from deep3dmap.metrics.surface_distance import box_diagonal, face_directions, sample_surface
from deep3dmap.ops.rasterize import rasterize_camera

POINTS = 4000
MIN_DEPTH_MAP_SIDE = 256  # minimum side in pixels of the depth maps for the visibility test
VISIBILITY_TOLERANCE = 0.01  # fraction of the subject's diagonal by which a visible point may lie behind the surface


class SeenPoints(NamedTuple):
    """points, normals: (N, 3) float64; normals point outwards, with any length. size: diagonal of the subject's box. Metres."""

    points: Tensor
    normals: Tensor
    size: float


def scan_from_truth(truth: dict[str, Any]) -> SeenPoints:
    """Return evenly spread points of the true mesh that are visible in any view; all points if there are no cameras.

    Surfaces that no camera sees could only be guessed; a scanner at the cameras' positions would not capture them either.
    """
    mesh: Mesh = truth["mesh"]
    found = sample_surface(mesh.vertices, mesh.faces, 2 * POINTS)
    normals = face_directions(mesh.vertices, mesh.faces)[found.face]
    size = box_diagonal(mesh.vertices)
    seen = torch.ones(len(found.points), dtype=torch.bool)
    if "world_from_camera" in truth and "intrinsics" in truth:
        seen = _find_visible(mesh, found.points, normals, truth, size * VISIBILITY_TOLERANCE)
    if not seen.any():
        raise ValueError("no camera sees the true surface; check that `mesh` and `world_from_camera` share a frame")
    rows = seen.nonzero()[:, 0]
    # Subsample the visible points evenly, so that every subject is compared at about the same number of points.
    rows = rows[torch.linspace(0, len(rows) - 1, min(POINTS, len(rows))).round().long()]
    return SeenPoints(found.points[rows], normals[rows], size)


def _find_visible(mesh: Mesh, points: Tensor, normals: Tensor, truth: dict[str, Any], tolerance: float) -> Tensor:
    height, width = np.shape(truth["images"][0])[1:]
    factor = max(1, -(-MIN_DEPTH_MAP_SIDE // min(height, width)))
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    seen = torch.zeros(len(points), dtype=torch.bool)
    for intrinsics, pose in zip(truth["intrinsics"], truth["world_from_camera"]):
        world_from_camera = torch.as_tensor(np.asarray(pose), dtype=torch.float64)
        camera_from_world = invert(world_from_camera)
        fine = scale_intrinsics(intrinsics, factor, factor)
        camera = transform(vertices, camera_from_world).contiguous()
        depth_map = rasterize_camera(camera, faces, fine.float(), height * factor, width * factor).depth
        pixels, depth = project(points, fine, camera_from_world)
        limits = pixels.new_tensor([width * factor, height * factor])
        facing = (normals * (world_from_camera[:3, 3] - points)).sum(1) > 0
        rows = (facing & (depth > 0) & (pixels >= 0).all(1) & (pixels < limits).all(1)).nonzero()[:, 0]
        column, row = pixels[rows].long().T
        surface = depth_map[row, column]
        seen[rows[(surface > 0) & (depth[rows] <= surface + tolerance)]] = True
    return seen
