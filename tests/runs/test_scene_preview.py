"""Scene previews: small surfaces and pictures."""

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from toy_rooms import RoomProtocol

from deep3dmap.core import Mesh, Reconstruction, Views
from deep3dmap.core.preview import PREDICTION, TRUTH, read_preview
from deep3dmap.geometry.cameras import look_at
from deep3dmap.runs.scene_preview import MOST_TRIANGLES, distances, write_preview


def ball(radius: float = 1.0, subdivisions: int = 3) -> Mesh:
    found = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return Mesh(found.vertices, found.faces)


def posed(truth: Mesh | None, eyes: np.ndarray) -> dict:
    poses = np.stack([look_at(eye, np.zeros(3), (0.0, 0.0, 1.0)).numpy() for eye in eyes])
    intrinsics = np.array([[40.0, 0, 16], [0, 40.0, 12], [0, 0, 1]])
    sample = {"images": np.full((len(eyes), 3, 24, 32), 0.5, np.float32), "world_from_camera": poses}
    sample["intrinsics"] = np.tile(intrinsics, (len(eyes), 1, 1))
    return sample if truth is None else {**sample, "mesh": truth}


AROUND = np.array([[4.0, 0.1, 0.5], [4.0, 0.0, 0.5], [4.0, -0.1, 0.5]])


def written(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_prediction_and_truth_are_kept_with_errors_and_pictures(tmp_path):
    made = Reconstruction("world", "metre", mesh=ball(1.1))
    write_preview(RoomProtocol(), made, None, posed(ball(subdivisions=6), AROUND), tmp_path)
    files = written(tmp_path)
    assert set(files) == {
        *("about.json", "prediction.ply", "truth.ply", "input.jpg"),
        *("surface_prediction.jpg", "surface_truth.jpg", "surface_error.jpg"),
    }
    preview = read_preview(files, "here")
    assert preview.parts[PREDICTION].errors == pytest.approx(0.1, abs=2e-3)
    assert preview.parts[TRUTH].triangles == 81_920
    assert len(preview.parts[TRUTH].mesh.faces) <= MOST_TRIANGLES
    assert preview.worst == pytest.approx(0.02 * 2 * 3**0.5, rel=1e-3)
    assert not preview.inside
    assert sum(map(len, files.values())) < 600_000
    picture = Image.open(io.BytesIO(files["surface_truth.jpg"]))
    assert picture.size == (320, 240)
    assert np.asarray(picture).std() > 10


def test_surfaces_of_triangles_that_share_nothing_take_as_much_as_the_docs_say(tmp_path):
    whole = ball(subdivisions=5)
    corners = whole.vertices[whole.faces[:MOST_TRIANGLES]].reshape(-1, 3)
    torn = Mesh(corners, np.arange(len(corners)).reshape(-1, 3), np.abs(corners))
    write_preview(RoomProtocol(), Reconstruction("world", "metre", mesh=torn), None, posed(torn, AROUND), tmp_path)
    size = sum(len(content) for name, content in written(tmp_path).items() if name.endswith(".ply"))
    assert 1.5e6 < size < 1.6e6


def test_surface_is_turned_upright_with_its_front_ahead(tmp_path):
    # In the world, up is z and the cameras are at x = 4; in the viewer, up is y and the cameras are on the z axis.
    truth = ball()
    tall = Mesh(truth.vertices * np.array([1, 1, 3], np.float32), truth.faces)
    bump = Mesh(tall.vertices + np.array([0.5, 0, 0]) * (tall.vertices[:, :1] > 0.99), tall.faces)
    write_preview(RoomProtocol(), Reconstruction("world", "metre", mesh=bump), None, posed(bump, AROUND), tmp_path)
    placed = read_preview(written(tmp_path), "here").parts[PREDICTION].mesh.vertices
    assert np.abs(placed[:, 1]).max() > 2.5
    assert placed[:, 2].max() > 1.3
    assert placed[:, 2].min() > -1.1


def test_room_around_the_cameras_is_seen_from_above(tmp_path):
    inside = np.array([[0.2, 0, 0], [-0.2, 0, 0], [0, 0.2, 0.0]])
    sample = posed(ball(3.0), inside)
    write_preview(RoomProtocol(), Reconstruction("world", "metre", mesh=ball(3.0)), None, sample, tmp_path)
    preview = read_preview(written(tmp_path), "here")
    assert preview.inside
    assert preview.eye[1] > 0.5


def test_mirroring_axes_do_not_turn_a_face_inside_out(tmp_path):
    made = Reconstruction("image", "pixel", mesh=Mesh(ball().vertices * 10 + 16, ball().faces))
    write_preview(RoomProtocol(), made, None, {"image": np.full((3, 32, 32), 0.5, np.float32)}, tmp_path)
    mesh = read_preview(written(tmp_path), "here").parts[PREDICTION].mesh
    assert trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).volume > 0
    assert mesh.vertices[:, 1].max() < 0


def test_held_out_view_is_shown_where_there_is_no_surface(tmp_path):
    sample = {"images": np.full((2, 3, 24, 32), 0.5), "test_images": np.full((3, 3, 24, 32), 0.25)}
    views = Views(np.full((3, 3, 24, 32), 0.5, np.float32))
    write_preview(RoomProtocol(), Reconstruction("world", "metre"), views, sample, tmp_path)
    files = written(tmp_path)
    assert set(files) == {"input.jpg", "view_prediction.jpg", "view_truth.jpg", "view_error.jpg"}
    error = np.asarray(Image.open(io.BytesIO(files["view_error.jpg"])), np.int64)[120, 160]
    assert error == pytest.approx([0xF0, 0xF9, 0x21], abs=6)


def test_empty_prediction_is_kept_as_nothing(tmp_path):
    nothing = Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
    write_preview(RoomProtocol(), Reconstruction("world", "metre", mesh=nothing), None, posed(ball(), AROUND), tmp_path)
    preview = read_preview(written(tmp_path), "here")
    assert len(preview.parts[PREDICTION].mesh.vertices) == 0
    assert "surface_prediction.jpg" not in written(tmp_path)


def test_points_are_measured_to_the_nearest_point():
    cloud = Mesh(np.array([[0.0, 0, 0], [5, 0, 0]]), np.zeros((0, 3)))
    measured = Mesh(np.array([[1.0, 0, 0], [5, 2, 0]]), np.zeros((0, 3)))
    assert distances(measured, cloud).tolist() == [1.0, 2.0]
