"""Details derived from a face's position map: texture, depth, visibility, pose and a frontal view."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.reconstruction import Reconstruction
from deep3dmap.geometry.frontalise import frontalised, pose_of_cloud
from deep3dmap.geometry.position_maps import colors_at
from deep3dmap.geometry.uv_atlas import UVAtlas
from deep3dmap.ops.rasterize import Fragments, interpolate, rasterize

FRONTAL_SIDE, FRONTAL_MARGIN = 256, 8
VISIBILITY_RINGS = 2  # a face has more vertices than pixels, so neighbours of visible vertices count as visible
FLIP_Z = torch.tensor([1.0, 1.0, -1.0])  # in the rasteriser a smaller depth is nearer, in position maps a larger z


def add_details(reconstruction: Reconstruction, atlas: UVAtlas, image: NDArray[Any]) -> Reconstruction:
    """Add texture, vertex_uv, depth, visible, frontal and the head pose to the reconstruction of a position map.

    reconstruction: from `reconstruction_of_map`, in pixels of `image` (3, H, W). depth is z on the face, larger = nearer,
    shifted so that its minimum is 1. frontal and notes["head_pose"] (angles in radians) need an atlas with a canonical face.
    Raises ValueError if the reconstruction has no mesh or position map.
    """
    mesh, positions = reconstruction.mesh, reconstruction.position_map
    if mesh is None or positions is None:
        raise ValueError(f"details need a mesh and a position map, but there are only {reconstruction.produced()}")
    seen = _rasterize_mesh(mesh, image.shape[1], image.shape[2])
    detailed = replace(
        reconstruction,
        texture=texture_of(positions, image),
        vertex_uv=atlas.uv_of_texels(np.argwhere(atlas.face_mask)).astype(np.float32),
        depth=_depth(seen, mesh),
        visible=visible_vertices(seen, mesh),
    )
    if atlas.canonical is None:
        return detailed
    canonical = atlas.points(atlas.canonical)
    pose = pose_of_cloud(mesh.vertices, canonical)
    angles = dict(zip(("pitch", "yaw", "roll"), pose.angles.tolist()))
    frontal = frontal_view(mesh, canonical)
    return replace(detailed, frontal=frontal, notes={**reconstruction.notes, "head_pose": {**angles, "scale": pose.scale}})


def texture_of(position_map: NDArray[Any], image: NDArray[Any]) -> NDArray[np.float32]:
    """Sample the (3, H, W) image at every texel of a (3, S, S) position map in its pixels; returns (3, S, S)."""
    size = position_map.shape[-1]
    return colors_at(image, position_map.reshape(3, -1).T).T.reshape(3, size, size).clip(0, 1)


def visible_vertices(seen: Fragments, mesh: Mesh) -> NDArray[np.bool_]:
    """Return a mask (V,) of vertices that belong to a visible triangle, grown by two rings of neighbours."""
    front = np.unique(seen.face_id.numpy())
    visible = np.zeros(len(mesh.vertices), bool)
    visible[mesh.faces[front[front >= 0]]] = True
    for _ in range(VISIBILITY_RINGS):
        visible[mesh.faces[visible[mesh.faces].any(1)]] = True
    return visible


def frontal_view(mesh: Mesh, canonical: NDArray[Any], side: int = FRONTAL_SIDE) -> NDArray[np.float32]:
    """Render a coloured mesh from the front, (3, side, side); canonical: (V, 3), one row per vertex."""
    turned = frontalised(mesh.vertices, canonical)
    low, high = canonical[:, :2].min(0), canonical[:, :2].max(0)
    scale = (side - 2 * FRONTAL_MARGIN) / (high - low).max()
    turned[:, :2] = (turned[:, :2] - (low + high) / 2) * scale + side / 2
    turned[:, 2] *= scale
    placed = Mesh(turned, mesh.faces)
    seen = _rasterize_mesh(placed, side, side)
    colors = np.full_like(mesh.vertices, 0.7) if mesh.colors is None else mesh.colors
    picture = interpolate(seen, torch.from_numpy(mesh.faces), torch.from_numpy(colors))
    return torch.where(seen.face_id >= 0, picture, torch.ones(())).numpy()


def _rasterize_mesh(mesh: Mesh, height: int, width: int) -> Fragments:
    placed = (torch.from_numpy(mesh.vertices) * FLIP_Z).contiguous()
    return rasterize(placed, torch.from_numpy(mesh.faces), height, width, perspective=False)


def _depth(seen: Fragments, mesh: Mesh) -> NDArray[np.float32]:
    nearness = torch.from_numpy(mesh.vertices[:, 2:] - mesh.vertices[:, 2].min() + 1)
    return interpolate(seen, torch.from_numpy(mesh.faces), nearness).numpy()
