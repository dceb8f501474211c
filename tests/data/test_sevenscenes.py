from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.core.mesh import Mesh
from deep3dmap.data.datasets.image_folder import ImageFolder
from deep3dmap.data.datasets.sevenscenes import SevenScenes, SevenScenesConfig
from deep3dmap.data.formats import sevenscenes as layout

INTRINSICS = np.array([[50.0, 0, 16.0], [0, 50, 12], [0, 0, 1]])


def pose(angle: float) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = (angle, 2, 3)
    return matrix


def write_scan(folder: Path, frames: int = 3, true_depth: bool = False) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    layout.write_intrinsics(folder, INTRINSICS)
    for number in range(frames):
        depth = rng.uniform(0.5, 4, (24, 32)).astype(np.float32)
        depth[0] = 0
        image = rng.random((3, 24, 32), np.float32)
        layout.write_frame(folder, 10 * number, image, depth, pose(0.1 * number), depth + 0.5 if true_depth else None)
    layout.write_scan_mesh(folder, Mesh(rng.random((3, 3)), np.array([[0, 1, 2]]), rng.random((3, 3))))
    return folder


def dataset(root: Path, **fields: object) -> SevenScenes:
    return SevenScenes(SevenScenesConfig(root=str(root), **fields), cache=root.parent / "cache")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    sample = dataset(folder).split("test")[0]
    rng = np.random.default_rng(0)
    depth, image = rng.uniform(0.5, 4, (24, 32)), rng.random((3, 24, 32), np.float32)
    depth[0] = 0
    np.testing.assert_allclose(sample["depths"][0], depth, atol=0.0006)
    np.testing.assert_allclose(sample["images"][0], image, atol=0.5 / 255 + 1e-6)
    assert sample["depths"][0].dtype == sample["images"][0].dtype == np.float32
    np.testing.assert_allclose(sample["world_from_camera"][2], pose(0.2), atol=1e-9)
    np.testing.assert_allclose(sample["intrinsics"], np.repeat(INTRINSICS[None], 3, 0))
    assert sample["mesh"].vertices.shape == (3, 3)
    assert sample["mesh"].colors is not None
    for key in sample:
        describe_key(key)


def test_principal_point_moves_by_half_a_pixel_between_file_and_package(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    assert np.loadtxt(folder / "camera-intrinsics.txt")[:2, 2].tolist() == [15.5, 11.5]
    (folder / "camera-intrinsics.txt").unlink()
    cameras = layout.read_cameras(folder)
    assert cameras.depth.tolist() == [[585, 0, 320.5], [0, 585, 240.5], [0, 0, 1]]
    assert cameras.color.tolist() == [[525, 0, 320.5], [0, 525, 240.5], [0, 0, 1]]
    assert cameras.color_from_depth[:3, 3].tolist() == [-0.025, 0, 0]


def test_nominal_intrinsics_are_those_of_the_depth_camera(tmp_path: Path) -> None:
    """A Kinect has two cameras: a point measured by a depth pixel appears where the colour camera sees it."""
    folder = tmp_path / "scan"
    folder.mkdir()
    depth = np.zeros((480, 640), np.float32)
    depth[100, 500] = 2.0
    for number in range(3):
        layout.write_frame(folder, number, np.zeros((3, 480, 640), np.float32), depth, pose(0.0))
    sample = dataset(folder).split("test")[0]
    point = np.linalg.inv(sample["depth_intrinsics"][0]) @ (500.5, 100.5, 1) * 2.0 - (0.025, 0, 0)
    in_world = pose(0.0) @ (*(point + np.array([0.025, 0, 0])), 1)
    np.testing.assert_allclose(sample["world_from_camera"][0] @ (*point, 1), in_world)
    column, row = (sample["intrinsics"][0] @ point / 2.0)[:2].astype(int)
    assert (row, column) != (100, 500)
    assert sample["sensor_depths"][0][100, 500] == np.float32(2.0)
    np.testing.assert_array_equal(np.argwhere(sample["depths"][0] > 0), [[row, column]])
    assert sample["true_depths"][0][row, column] == np.float32(2.0)
    named = dataset(folder, color_camera=[530.0, 531.0, 322.0, 243.0]).split("test")[0]
    assert named["intrinsics"][0].tolist() == [[530, 0, 322.5], [0, 531, 243.5], [0, 0, 1]]
    with pytest.raises(UserError, match=r"dataset\.color_camera"):
        dataset(folder, color_camera=[530.0, -1, 322.0, 243.0]).split("test")[0]


def test_frames_are_lazy_and_can_be_thinned(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan", frames=5)
    sample = dataset(folder, stride=2, max_frames=2).split("test")[0]
    assert len(sample["images"]) == len(sample["depths"]) == len(sample["world_from_camera"]) == 2
    np.testing.assert_allclose(sample["world_from_camera"][1], pose(0.2), atol=1e-9)
    (folder / "frame-000000.color.png").unlink()
    sample["images"][1]


def test_both_invalid_values_become_zero(tmp_path: Path) -> None:
    file = tmp_path / "d.png"
    Image.fromarray(np.array([[0, 65535, 1500]], np.uint16)).save(file)
    np.testing.assert_allclose(layout.read_depth(file), [[0, 0, 1.5]], rtol=1e-6)


def test_true_depth_is_the_sensor_depth_unless_it_is_known(tmp_path: Path) -> None:
    plain = dataset(write_scan(tmp_path / "a")).split("test")[0]
    known = dataset(write_scan(tmp_path / "b", true_depth=True)).split("test")[0]
    np.testing.assert_array_equal(plain["true_depths"][1], plain["depths"][1])
    np.testing.assert_allclose(known["true_depths"][1] - known["depths"][1], 0.5, atol=0.0011)


def test_splits_of_a_scene_with_sequences(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_scan(tmp_path / "chess" / f"seq-{number:02d}", frames=1)
    (tmp_path / "chess" / "TrainSplit.txt").write_text("sequence1\nsequence3\n")
    (tmp_path / "chess" / "TestSplit.txt").write_text("sequence2\n")
    found = dataset(tmp_path)
    assert [found.split("train").name(i) for i in range(2)] == ["chess_seq-01", "chess_seq-03"]
    assert [found.split("test").name(i) for i in range(len(found.split("test")))] == ["chess_seq-02"]
    inside = dataset(tmp_path / "chess")
    assert [inside.split("train").name(i) for i in range(2)] == ["seq-01", "seq-03"]


def test_scans_without_lists_are_for_testing_unless_named(tmp_path: Path) -> None:
    for name in ("kitchen", "office", "stairs"):
        write_scan(tmp_path / name, frames=1)
    found = dataset(tmp_path, train_scans="kit*, stairs")
    assert [found.split("train").name(i) for i in range(2)] == ["kitchen", "stairs"]
    assert len(found.split("test")) == 1
    with pytest.raises(UserError, match="train"):
        found.split("trian")


def test_version_follows_the_content_and_the_way_of_reading(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    first = dataset(folder).version
    assert dataset(folder).version == first != dataset(folder, stride=2).version
    (folder / "frame-000000.pose.txt").write_text("\n".join(" ".join(map(str, row)) for row in pose(0.7)))
    assert dataset(folder).version != first


def test_levelling_is_explicit(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    with pytest.raises(UserError, match=r"world_to_zup\.txt"):
        dataset(folder, align_to_zup=True).split("test")[0]
    np.savetxt(folder / "world_to_zup.txt", pose(1.0))
    plain, level = (dataset(folder, align_to_zup=on).split("test")[0] for on in (False, True))
    np.testing.assert_allclose(plain["world_from_camera"][0], pose(0), atol=1e-9)
    np.testing.assert_allclose(level["world_from_camera"][0], pose(1.0) @ pose(0), atol=1e-9)
    moved = plain["mesh"].vertices @ pose(1.0)[:3, :3].T + pose(1.0)[:3, 3]
    np.testing.assert_allclose(level["mesh"].vertices, moved, atol=1e-5)


def damage(folder: Path, name: str, how: str) -> None:
    file = folder / name
    if how == "missing":
        file.unlink()
    elif how == "truncated":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.write_text(how)


def read_everything(folder: Path) -> None:
    sample = dataset(folder).split("test")[0]
    list(sample["images"]), list(sample["depths"])


@pytest.mark.parametrize(
    ("name", "how", "says"),
    [
        ("frame-000010.color.png", "truncated", "not a readable image"),
        ("frame-000010.depth.png", "truncated", "not a readable image"),
        ("frame-000010.depth.png", "missing", "the file is missing"),
        ("frame-000010.pose.txt", "missing", "the file is missing"),
        ("frame-000010.pose.txt", "1 2 3", "4x4 numbers, got 3"),
        ("frame-000010.pose.txt", "1 2 x", "4x4 numbers"),
        ("frame-000010.pose.txt", "nan 0 0 0  0 1 0 0  0 0 1 0  0 0 0 1", "NaN or infinity"),
        ("frame-000010.pose.txt", "2 0 0 0  0 1 0 0  0 0 1 0  0 0 0 1", "not a rotation"),
        ("frame-000010.pose.txt", "1 0 0 0  0 1 0 0  0 0 -1 0  0 0 0 1", "not a rotation"),
        ("camera-intrinsics.txt", "0 0 16  0 50 12  0 0 1", "focal lengths must be positive"),
        ("mesh.ply", "ply", "not a readable mesh"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, how: str, says: str) -> None:
    folder = write_scan(tmp_path / "scan")
    damage(folder, name, how)
    with pytest.raises(UserError, match=says) as caught:
        read_everything(folder)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_unit_is_noticed(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    with pytest.raises(UserError, match=r"frame-000000\.depth\.png: the median depth is .* set dataset\.depth_scale"):
        dataset(folder, depth_scale=1.0).split("test")[0]


def test_unequal_picture_sizes_are_refused(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    layout.write_millimetres(folder / "frame-000010.depth.png", np.ones((12, 16), np.float32))
    with pytest.raises(UserError, match=r"frame-000010\.depth\.png: 16x12 pixels"):
        dataset(folder).split("test")[0]["depths"][1]


def test_two_meshes_need_a_name(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    (folder / "other.ply").write_bytes((folder / "mesh.ply").read_bytes())
    with pytest.raises(UserError, match=r"dataset\.mesh=NAME"):
        dataset(folder).split("test")[0]
    assert not dataset(folder, mesh="other.ply").split("test")[0]["mesh"].is_empty
    with pytest.raises(UserError, match=r"third\.ply: the mesh is missing"):
        dataset(folder, mesh="third.ply").split("test")[0]


def test_a_scan_without_a_mesh_has_no_such_key(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    (folder / "mesh.ply").unlink()
    assert "mesh" not in dataset(folder).split("test")[0]


@pytest.mark.parametrize(("root", "says"), [("", "dataset.root=FOLDER"), ("absent", "no such folder"), (".", "no scan in it")])
def test_a_missing_root_says_what_to_pass(tmp_path: Path, root: str, says: str) -> None:
    found = SevenScenes(SevenScenesConfig(root=str(tmp_path / root) if root else ""), cache=tmp_path)
    with pytest.raises(UserError, match=says):
        found.prepare()


def test_the_real_kitchen(shared_data: Path, tmp_path: Path) -> None:
    found = SevenScenes(SevenScenesConfig(root=str(shared_data / "data" / "sevenscenes_redkitchen")), cache=tmp_path)
    sample = found.split("test")[0]
    assert len(sample["images"]) == 110
    assert sample["images"][5].shape == (3, 480, 640)
    assert 0.5 < np.median(sample["depths"][5]) < 4
    assert len(sample["mesh"].faces) > 100000


def test_scans_are_recognised_and_not_taken_for_plain_images(tmp_path: Path) -> None:
    scan = write_scan(tmp_path / "scans" / "one")
    write_scan(tmp_path / "deep" / "chess" / "seq-01", frames=1)
    for folder in (scan, tmp_path / "scans", tmp_path / "deep"):
        assert SevenScenes.recognises(folder)
        assert not ImageFolder.recognises(folder)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "photograph.png")
    for place in (tmp_path, tmp_path / "photograph.png"):
        assert ImageFolder.recognises(place)
    assert not SevenScenes.recognises(tmp_path / "photograph.png")
