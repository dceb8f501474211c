"""The surface of a field as a coloured mesh."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from deep3dmap.core import Mesh
from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.ops.rasterize import rasterize_camera
from deep3dmap.render.mesh_renderer import vertex_normals

SLAB = 1 << 18  # positions evaluated at once

Density = Callable[[Tensor], Tensor]
Color = Callable[[Tensor, Tensor], Tensor]


def extract_surface(density: Density, color: Color, bounds: Tensor, resolution: int, opacity: float) -> Mesh:
    """Return the surface on which a grid cell absorbs a fraction `opacity` of the light, within bounds (2, 3), with colours.

    resolution: cells along the longest side. Vertices have the colour seen along the inward normal. May be empty.
    """
    from skimage.measure import marching_cubes

    low, high = bounds.cpu().double()
    edge = float((high - low).max()) / resolution
    stopped = _opacities(density, bounds.device, low, high, edge)
    # An empty border closes the surface.
    padded = np.pad(stopped, 1)
    if not padded.max() > opacity:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
    corners, triangles, _, _ = marching_cubes(padded, opacity, gradient_direction="ascent")
    vertices = (torch.from_numpy(corners.astype(np.float64)) * edge - edge + low).float()
    faces = torch.from_numpy(triangles.astype(np.int64))
    outwards = vertex_normals(vertices, faces)
    colors = _colors(color, vertices.to(bounds.device), outwards.to(bounds.device))
    return Mesh(vertices.numpy(), faces.numpy(), colors.cpu().numpy())


def seen_part(mesh: Mesh, intrinsics: Any, world_from_camera: Any, height: int, width: int, tolerance: float) -> Mesh:
    """Return the faces with a visible vertex: one at most `tolerance` behind the mesh's nearest surface in some camera."""
    if mesh.is_empty:
        return mesh
    vertices, faces = torch.from_numpy(mesh.vertices), torch.from_numpy(mesh.faces)
    seen = torch.zeros(len(vertices), dtype=torch.bool)
    for matrix, pose in zip(np.asarray(intrinsics, np.float32), np.asarray(world_from_camera, np.float64)):
        seen |= _visible(vertices, faces, torch.from_numpy(matrix), pose, (height, width), tolerance)
    kept = seen[faces].any(1)
    used = torch.zeros(len(vertices), dtype=torch.bool)
    used[faces[kept].reshape(-1)] = True
    renumbered = used.cumsum(0) - 1
    colors = None if mesh.colors is None else mesh.colors[used.numpy()]
    return Mesh(mesh.vertices[used.numpy()], renumbered[faces[kept]].numpy(), colors)


def _visible(vertices: Tensor, faces: Tensor, intrinsics: Tensor, pose: Any, size: tuple[int, int], tolerance: float) -> Tensor:
    camera = transform(vertices, invert(torch.from_numpy(pose)).float()).contiguous()
    surface = rasterize_camera(camera, faces, intrinsics, *size).depth
    depth = camera[:, 2]
    pixels = (camera @ intrinsics.T)[:, :2] / depth[:, None].clamp_min(1e-6)
    inside = (depth > 0) & (pixels >= 0).all(1) & (pixels < pixels.new_tensor([size[1], size[0]])).all(1)
    column, row = torch.where(inside[:, None], pixels, 0.0).long().T
    nearest = surface[row, column]
    return inside & ((nearest == 0) | (depth <= nearest + tolerance))


def _opacities(density: Density, device: torch.device, low: Tensor, high: Tensor, edge: float) -> np.ndarray:
    counts = [int(count) + 1 for count in ((high - low) / edge).round()]
    axes = [low[axis] + edge * torch.arange(counts[axis], dtype=torch.float64) for axis in range(3)]
    rows = max(1, SLAB // (counts[1] * counts[2]))
    slabs = []
    for first in range(0, counts[0], rows):
        places = torch.stack(torch.meshgrid(axes[0][first : first + rows], axes[1], axes[2], indexing="ij"), -1)
        found = density(places.reshape(-1, 3).float().to(device))
        slabs.append((-torch.expm1(-found * edge)).cpu().reshape(places.shape[:3]))
    return torch.cat(slabs).float().numpy()


def _colors(color: Color, vertices: Tensor, outwards: Tensor) -> Tensor:
    towards = -normalize(outwards, dim=1)
    parts = zip(vertices.split(SLAB), towards.split(SLAB))
    return torch.cat([color(places, directions) for places, directions in parts]).clamp(0, 1)
