"""Details of a face with a known position map: texture, depth, visibility, pose, frontal view, and their files."""

from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from deep3dmap.core import Reconstruction
from deep3dmap.data.face_atlas import face_atlas
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.geometry.face_pose import HeadPose
from deep3dmap.geometry.position_maps import reconstruction_of_map
from deep3dmap.render.face_details import add_details
from deep3dmap.render.face_files import write_face_files
from deep3dmap.render.position_map import PositionMapper

SIDE, SIZE = 160, 128
ANGLES = np.array([0.15, 0.6, -0.1])


def photograph() -> np.ndarray:
    """Red increases to the right, green downwards."""
    axis = (np.arange(SIDE) + 0.5) / SIDE
    return np.stack([*np.meshgrid(axis, axis), np.full((SIDE, SIDE), 0.5)]).astype(np.float32)


@pytest.fixture(scope="module")
def face() -> Reconstruction:
    model = head_model(65)
    vertices = HeadPose(ANGLES, np.array([80.0, 95, 0]), 0.6).image(model.shape(), SIDE)
    positions = PositionMapper(model.faces, model.uv, SIZE, model.faces_uv)(vertices)
    atlas = face_atlas("grid_head", SIZE)
    return add_details(reconstruction_of_map(positions, atlas, photograph()), atlas, photograph())


def test_the_texture_holds_what_the_photograph_shows_at_each_texel(face: Reconstruction) -> None:
    np.testing.assert_allclose(face.texture[:2], (face.position_map[:2] / SIDE).clip(0, 1), atol=1 / SIDE)
    mask = face_atlas("grid_head", SIZE).face_mask
    columns = face.vertex_uv[:, 0] * (SIZE - 1)
    np.testing.assert_allclose(columns, np.nonzero(mask)[1], atol=1e-3)
    np.testing.assert_allclose((1 - face.vertex_uv[:, 1]) * (SIZE - 1), np.nonzero(mask)[0], atol=1e-3)


def test_depth_is_the_nearest_z_and_zero_beside_the_face(face: Reconstruction) -> None:
    assert face.depth.shape == (1, SIDE, SIDE)
    assert face.depth[0, 0, 0] == 0
    x, y, z = face.landmarks[30]
    assert face.depth[0, int(y), int(x)] == pytest.approx(z - face.mesh.vertices[:, 2].min() + 1, abs=1.5)
    assert face.depth.max() == pytest.approx(np.ptp(face.mesh.vertices[:, 2]) + 1, rel=0.05)


def test_what_is_turned_away_is_hidden(face: Reconstruction) -> None:
    # A positive yaw moves the nose to the image's left; the side of the face with small u is turned away.
    near, far = face.vertex_uv[:, 0] > 0.6, face.vertex_uv[:, 0] < 0.15
    assert face.visible[near].mean() > 0.9
    assert face.visible[far].mean() < 0.3


def test_the_pose_is_the_one_it_was_rendered_in(face: Reconstruction) -> None:
    pose = face.notes["head_pose"]
    np.testing.assert_allclose([pose["pitch"], pose["yaw"], pose["roll"]], ANGLES, atol=0.0035)
    assert pose["scale"] == pytest.approx(0.6, rel=1e-2)


def test_the_frontal_view_is_in_the_middle_of_its_picture(face: Reconstruction) -> None:
    covered = (face.frontal < 1).any(0)
    rows, columns = np.nonzero(covered)
    assert abs(rows.min() + rows.max() - 255) < 6
    assert abs(columns.min() + columns.max() - 255) < 6


def test_files_are_readable_and_the_reconstruction_returns(face: Reconstruction, tmp_path: Path) -> None:
    face.save(tmp_path)
    files = write_face_files(face, photograph(), tmp_path)
    assert {file.name for file in files} == {
        *("mesh.obj", "turntable.png", "landmarks.png", "depth.png", "texture.png", "frontal.png")
    }
    mesh = trimesh.load(tmp_path / "mesh.obj", process=False)
    np.testing.assert_allclose(mesh.vertices[:, 1], SIDE - face.mesh.vertices[:, 1], atol=1e-3)
    assert mesh.face_normals[:, 2].mean() > 0.2
    np.testing.assert_allclose(mesh.visual.uv, face.vertex_uv, atol=1e-3)
    assert mesh.visual.material.image.size == (SIZE, SIZE)
    assert np.asarray(Image.open(tmp_path / "landmarks.png")).shape == (SIDE, SIDE, 3)
    again = Reconstruction.load(tmp_path)
    np.testing.assert_array_equal(again.texture, face.texture)
    np.testing.assert_array_equal(again.visible, face.visible)


def test_without_a_canonical_face_there_is_no_pose(face: Reconstruction) -> None:
    from dataclasses import replace

    atlas = replace(face_atlas("grid_head", SIZE), canonical=None)
    plain = add_details(reconstruction_of_map(face.position_map, atlas, photograph()), atlas, photograph())
    assert plain.frontal is None
    assert plain.notes == {}
    with pytest.raises(ValueError, match="a mesh and a position map"):
        add_details(Reconstruction("image", "pixel", landmarks=face.landmarks), atlas, photograph())
    with pytest.raises(ValueError, match="not 'world'"):
        write_face_files(Reconstruction("world", "metre"), photograph(), Path())
