"""The basic renderer: depth and normals of a sphere in closed form, and pixel conventions."""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.geometry.cameras import look_at
from deep3dmap.render.mesh_renderer import render_in_image, render_mesh, vertex_normals
from deep3dmap.render.reconstruction_pictures import picture_reconstruction
from deep3dmap.render.views import turntable
from deep3dmap.render.visualization import contact_sheet, depth_picture, draw_points, error_picture, from_pil, to_pil

SPHERE = trimesh.creation.icosphere(subdivisions=4)
VERTICES, FACES = np.asarray(SPHERE.vertices), np.asarray(SPHERE.faces)


def test_normals_point_to_the_camera_at_the_centre() -> None:
    intrinsics = torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    seen = render_mesh(VERTICES, FACES, intrinsics, look_at((3.0, 0, 0), (0, 0, 0)), 100, 100)
    assert seen.depth[50, 50] == pytest.approx(2.0, abs=3e-3)
    np.testing.assert_allclose(seen.normals[:, 50, 50].numpy(), [0, 0, -1], atol=0.03)
    assert seen.image[:, 50, 50].mean() > seen.image[:, 50, 20].mean()
    assert (seen.image[:, 0, 0] == 1).all()


def test_vertex_normals_of_a_sphere_are_its_vertices() -> None:
    normals = vertex_normals(torch.tensor(VERTICES), torch.tensor(FACES))
    assert ((normals * torch.tensor(VERTICES)).sum(1) > 0.999).all()


def test_in_an_image_the_larger_z_is_nearer() -> None:
    squares = torch.tensor([[1.0, 1, 0], [9, 1, 0], [9, 9, 0], [1.0, 1, 5], [9, 1, 5], [9, 9, 5]])
    seen = render_in_image(squares, torch.tensor([[0, 1, 2], [3, 4, 5]]), 10, 10)
    assert seen.face_id[3, 6] == 1


def test_turntable_shows_the_mesh_on_every_side() -> None:
    for view in turntable(torch.tensor(VERTICES).float(), torch.tensor(FACES), None, 3, size=64):
        covered = (view < 0.99).any(0).float()
        assert 0.2 < covered.mean() < 0.9
        assert covered[0].sum() == 0


def test_colour_maps_and_points() -> None:
    depth = torch.tensor([[0.0, 1.0], [2.0, float("nan")]])
    picture = depth_picture(depth)
    assert torch.unique(picture[:, 0, 0]).numel() == 1
    assert not torch.equal(picture[:, 0, 1], picture[:, 1, 0])
    errors = error_picture(depth.nan_to_num(), depth > 0, 2.0)
    assert errors[:, 1, 0].sum() > errors[:, 0, 1].sum()
    drawn = draw_points(torch.zeros(3, 20, 20), torch.tensor([[10.5, 5.5]]), (255, 0, 0), radius=1)
    assert drawn[:, 5, 10].tolist() == [1, 0, 0]
    assert torch.equal(from_pil(to_pil(drawn)), drawn)


def test_contact_sheet_holds_every_tile() -> None:
    sheet = contact_sheet(
        [("a", torch.zeros(3, 40, 30)), ("b", torch.ones(3, 80, 80)), ("c", torch.zeros(3, 40, 30))], 2, "caption"
    )
    assert sheet.width >= 30 + 40
    assert sheet.height >= 2 * 40


@pytest.mark.parametrize("frame", ["image", "world"])
def test_a_reconstruction_is_pictured(tmp_path: Path, frame: str) -> None:
    image = np.full((3, 60, 60), 0.5, np.float32)
    scale = 20 if frame == "image" else 1
    mesh = Mesh(VERTICES * scale + (30 if frame == "image" else 0), FACES)
    landmarks = np.full((68, 3), 30, np.float32) if frame == "image" else None
    sample = {"image": image} if frame == "image" else {
        "images": [image], "intrinsics": np.array([[[50.0, 0, 30], [0, 50, 30], [0, 0, 1]]]),
        "world_from_camera": look_at((3.0, 0, 0), (0, 0, 0)).numpy()[None],
    }  # fmt: skip
    unit = "pixel" if frame == "image" else "metre"
    file = picture_reconstruction(Reconstruction(frame, unit, mesh=mesh, landmarks=landmarks), sample, tmp_path / "picture.png")
    from PIL import Image

    with Image.open(file) as picture:
        assert picture.width > 800


def test_supersampling_smooths_the_image_only() -> None:
    intrinsics = torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    pose = look_at((3.0, 0, 0), (0, 0, 0))
    plain = render_mesh(VERTICES, FACES, intrinsics, pose, 100, 100)
    smooth = render_mesh(VERTICES, FACES, intrinsics, pose, 100, 100, supersample=3)
    assert torch.equal(plain.depth, smooth.depth)
    inside = torch.zeros(100, 100, dtype=torch.bool)
    inside[40:60, 40:60] = True
    assert (plain.image - smooth.image).abs()[:, inside].max() < 0.02
    edge = plain.image[0, 50].diff().abs().max()
    assert smooth.image[0, 50].diff().abs().max() <= edge
    assert not torch.equal(plain.image, smooth.image)


def test_a_light_shades_the_side_it_comes_from() -> None:
    intrinsics = torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    # From +x, the world's +y is to the right of the image.
    seen = render_mesh(VERTICES, FACES, intrinsics, look_at((3.0, 0, 0), (0, 0, 0)), 100, 100, light=(0.0, 5.0, 0.0))
    assert seen.image[0, 50, 70] > seen.image[0, 50, 55] > seen.image[0, 50, 30]
    assert seen.image[0, 50, 30] == pytest.approx(0.82 * 0.35)


def test_inside_out_faces_are_lit_like_the_others() -> None:
    intrinsics = torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    pose = look_at((3.0, 0, 0), (0, 0, 0))
    turned = render_mesh(VERTICES, FACES[:, ::-1].copy(), intrinsics, pose, 100, 100)
    assert (turned.image - render_mesh(VERTICES, FACES, intrinsics, pose, 100, 100).image).abs().max() < 1e-5


def test_colours_are_changed_mildly() -> None:
    intrinsics = torch.tensor([[100.0, 0, 50], [0, 100, 50], [0, 0, 1]])
    colors = np.tile([0.2, 0.4, 0.8], (len(VERTICES), 1))
    seen = render_mesh(VERTICES, FACES, intrinsics, look_at((3.0, 0, 0), (0, 0, 0)), 100, 100, colors=colors)
    np.testing.assert_allclose(seen.image[:, 50, 50].numpy(), [0.2, 0.4, 0.8], atol=0.01)
    covered = seen.face_id >= 0
    ratio = seen.image[:, covered] / torch.tensor([[0.2], [0.4], [0.8]])
    assert ratio.min() > 0.6
    assert ratio.std(0).max() < 1e-5


@pytest.mark.parametrize("colored", [False, True])
def test_a_mesh_without_faces_is_background(colored: bool) -> None:
    colors = np.zeros((0, 3), np.float32) if colored else None
    seen = render_mesh(
        np.zeros((0, 3)), np.zeros((0, 3), np.int64), np.eye(3), np.eye(4), 4, 5, colors=colors, background=(0.0, 0.5, 1.0)
    )
    assert seen.image[:, 2, 2].tolist() == [0.0, 0.5, 1.0]
    assert not seen.depth.any()
    assert (seen.face_id == -1).all()
