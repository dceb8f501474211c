"""The volume recovers analytic surfaces, faces free space, and refuses what would not fit."""

import numpy as np
import pytest
import torch
import trimesh

from deep3dmap.core import UserError
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.tsdf_volume import TSDFVolume
from deep3dmap.render.mesh_renderer import render_mesh

LENS = torch.tensor([[120.0, 0, 80], [0, 120, 60], [0, 0, 1]], dtype=torch.float64)


def fused_sphere() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=0.5)
    vertices, faces = torch.tensor(np.asarray(sphere.vertices)).float(), torch.tensor(np.asarray(sphere.faces))
    colors = (vertices + 0.5).clamp(0, 1)
    poses = [
        look_at(eye, (0, 0, 0)) for eye in ((2.0, 0, 0.3), (-2, 0, 0.3), (0, 2, 0.3), (0, -2, 0.3), (0.1, 0, 2), (0.1, 0, -2))
    ]
    views = [render_mesh(vertices, faces, LENS, pose, 120, 160, colors=colors) for pose in poses]
    volume = TSDFVolume.for_frames([v.depth for v in views], [LENS] * 6, poses, voxel_size=0.02, truncation=0.08)
    for view, pose in zip(views, poses):
        volume.integrate(view.depth, LENS, pose, image=view.image)
    mesh_vertices, mesh_faces, mesh_colors = volume.extract_mesh()
    assert mesh_colors is not None
    return mesh_vertices, mesh_faces, mesh_colors


def test_sphere_is_recovered_and_faces_outwards() -> None:
    vertices, faces, colors = fused_sphere()
    assert len(faces) > 1000
    assert (vertices.norm(dim=1) - 0.5).abs().median() < 0.006
    corners = vertices[faces]
    normals = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert ((normals * corners.mean(1)).sum(1) > 0).float().mean() > 0.99
    assert colors.shape == vertices.shape


def test_back_faces_are_culled_from_inside_only() -> None:
    vertices, faces, _ = fused_sphere()
    seen = render_mesh(vertices, faces, LENS, look_at((2.0, 0, 0.3), (0, 0, 0)), 120, 160, cull="back")
    assert seen.depth[60, 80] == pytest.approx(np.hypot(2.0, 0.3) - 0.5, abs=0.03)


def test_unseen_space_makes_no_surface() -> None:
    volume = TSDFVolume((0, 0, 0), (8, 8, 8), 0.1, 0.3, colors=False)
    vertices, faces, colors = volume.extract_mesh()
    assert vertices.shape == (0, 3)
    assert faces.shape == (0, 3)
    assert colors is None


def test_too_large_a_grid_is_refused_before_it_is_allocated() -> None:
    depth = torch.full((120, 160), 9e4)
    with pytest.raises(UserError, match="voxel_size of at least"):
        TSDFVolume.for_frames([depth], [LENS], [torch.eye(4)], voxel_size=0.02, truncation=0.08)


def test_no_valid_depth_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="no valid depth"):
        TSDFVolume.for_frames([torch.zeros(4, 4)], [LENS], [torch.eye(4)], voxel_size=0.02, truncation=0.08)
