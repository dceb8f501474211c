"""The volume recovers analytic surfaces with faces towards free space, and rejects too large grids."""

import math
import re

import numpy as np
import pytest
import torch
import trimesh

from deep3dmap.core import UserError
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.tsdf_volume import TSDFVolume
from deep3dmap.render.mesh_renderer import render_mesh

INTRINSICS = torch.tensor([[120.0, 0, 80], [0, 120, 60], [0, 0, 1]], dtype=torch.float64)


def fused_sphere() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    sphere = trimesh.creation.icosphere(subdivisions=5, radius=0.5)
    vertices, faces = torch.tensor(np.asarray(sphere.vertices)).float(), torch.tensor(np.asarray(sphere.faces))
    colors = (vertices + 0.5).clamp(0, 1)
    poses = [
        look_at(eye, (0, 0, 0)) for eye in ((2.0, 0, 0.3), (-2, 0, 0.3), (0, 2, 0.3), (0, -2, 0.3), (0.1, 0, 2), (0.1, 0, -2))
    ]
    views = [render_mesh(vertices, faces, INTRINSICS, pose, 120, 160, colors=colors) for pose in poses]
    volume = TSDFVolume.for_frames([v.depth for v in views], [INTRINSICS] * 6, poses, voxel_size=0.02, truncation=0.08)
    for view, pose in zip(views, poses):
        volume.integrate(view.depth, INTRINSICS, pose, image=view.image)
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
    seen = render_mesh(vertices, faces, INTRINSICS, look_at((2.0, 0, 0.3), (0, 0, 0)), 120, 160, cull="back")
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
        TSDFVolume.for_frames([depth], [INTRINSICS], [torch.eye(4)], voxel_size=0.02, truncation=0.08)


def test_the_voxel_size_that_is_named_fits_and_is_not_much_too_large() -> None:
    upper, limit = np.array([3.0, 5.0, 2.0]), 100_000
    with pytest.raises(UserError, match=r"303 x 503 x 203 voxels, 619 MB is above the limit of 100000 voxels") as refusal:
        TSDFVolume.for_bounds(np.zeros(3), upper - 0.01, 0.01, 0.002, max_voxels=limit)
    named = float(re.search(r"at least ([\d.]+) m", str(refusal.value)).group(1))  # type: ignore[union-attr]
    fitting = TSDFVolume.for_bounds(np.zeros(3), upper - 0.01, named, 0.002, max_voxels=limit)
    assert 0.9 * limit < fitting.tsdf.numel() <= limit


def test_the_volume_reaches_around_its_bounds() -> None:
    volume = TSDFVolume.for_bounds((-1.0, 0.0, 0.0), (1.0, 1.0, 0.0), 0.1, 0.3, colors=False)
    assert volume.origin.tolist() == pytest.approx([-1.4, -0.4, -0.4])
    far = volume.origin + (torch.tensor(volume.tsdf.shape) - 1) * 0.1
    assert (far >= torch.tensor([1.3, 1.3, 0.3])).all()


@pytest.mark.parametrize(("upper", "size"), [((-1.0, 1, 1), 0.1), ((math.inf, 1, 1), 0.1), ((1.0, 1, 1), 0.0)])
def test_senseless_boxes_are_refused(upper: tuple[float, float, float], size: float) -> None:
    with pytest.raises(ValueError, match="no volume"):
        TSDFVolume.for_bounds((0, 0, 0), upper, size, 0.1)


def _plane() -> TSDFVolume:
    """A floor at z = 0.23 with free space above, all observed once, red increasing with z."""
    volume = TSDFVolume((0.0, 0.0, 0.0), (6, 7, 8), 0.1, 0.2)
    heights = torch.arange(8) * 0.1
    volume.tsdf[:] = ((heights - 0.23) / 0.2).clamp(-1, 1)
    volume.weight[:] = 1
    volume.color[0] = heights  # type: ignore[index]
    return volume


def test_a_plane_is_exact_in_place_side_and_colour() -> None:
    vertices, faces, colors = _plane().extract_mesh()
    assert vertices.dtype == torch.float32
    assert faces.dtype == torch.int64
    assert len(vertices) == 6 * 7
    assert len(faces) == 5 * 6 * 2
    torch.testing.assert_close(vertices[:, 2], torch.full((42,), 0.23))
    corners = vertices[faces]
    assert (torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2] > 0).all()
    torch.testing.assert_close(colors, torch.tensor([[0.23, 0.0, 0.0]]).expand(42, 3))


@pytest.mark.parametrize("voxel", [(2, 3, 2), (2, 3, 3), (0, 0, 2)])
def test_no_face_touches_a_voxel_that_was_seen_too_rarely(voxel: tuple[int, int, int]) -> None:
    volume = _plane()
    volume.weight[voxel] = 0
    vertices, faces, _ = volume.extract_mesh()
    near = (vertices[faces][..., :2] - torch.tensor(voxel[:2]) * 0.1).abs().amax(-1).amax(-1) < 0.101
    assert not (near & ((vertices[faces][..., :2].mean(1) - torch.tensor(voxel[:2]) * 0.1).abs().amax(-1) < 0.1)).any()
    cells = 1 if voxel[0] == 0 else 4
    assert len(faces) == (5 * 6 - cells) * 2


def test_more_views_can_be_asked_for() -> None:
    volume = _plane()
    volume.weight[3:] = 2
    assert len(volume.extract_mesh(min_weight=2.0)[1]) == 2 * 6 * 2
    assert len(volume.extract_mesh(min_weight=3.0)[1]) == 0


def test_colours_need_images() -> None:
    with pytest.raises(ValueError, match="stores colours"):
        TSDFVolume((0, 0, 0), (2, 2, 2), 0.1, 0.2).integrate(torch.ones(4, 4), INTRINSICS, torch.eye(4))


def test_integration_marks_free_space_and_surface() -> None:
    volume = TSDFVolume((0.0, 0.0, 0.5), (1, 1, 16), 0.1, 0.2, colors=False)
    volume.integrate(torch.full((120, 160), 1.04), INTRINSICS, np.eye(4))
    heights = 0.5 + 0.1 * torch.arange(16)
    expected = ((1.04 - heights) / 0.2).clamp(max=1)
    seen = heights < 1.24
    torch.testing.assert_close(volume.tsdf[0, 0], torch.where(seen, expected, torch.ones(())), atol=1e-5, rtol=0)
    assert volume.weight[0, 0].tolist() == seen.float().tolist()


def test_no_valid_depth_is_an_error_of_the_user() -> None:
    with pytest.raises(UserError, match="no valid depth"):
        TSDFVolume.for_frames([torch.zeros(4, 4)], [INTRINSICS], [torch.eye(4)], voxel_size=0.02, truncation=0.08)
