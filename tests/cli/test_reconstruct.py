"""`reconstruct` on photographs, folders and videos, and its messages for bad input; without training or Ray."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from video_files import write_video

from deep3dmap.cli import main
from deep3dmap.core import Camera
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.data.formats import colmap
from deep3dmap.data.formats.images import read_image, write_image
from deep3dmap.data.formats.multiview import write_views
from deep3dmap.data.formats.threehundred_w_lp import write_boxes
from deep3dmap.geometry.cameras import look_at
from deep3dmap.methods.prnet.method import PRNet, PRNetConfig
from deep3dmap.render.mesh_renderer import render_mesh

SMALL = {"resolution": 64, "width": 4}
FILES = {"mesh.ply", "mesh.obj", "mesh.mtl", "texture.png", "landmarks.png", "turntable.png", "depth.png", "frontal.png"}
Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(PRNet(PRNetConfig(**SMALL, start="smooth")).network.state_dict(), file)
    return file


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", np.random.default_rng(0).uniform(0, 1, (3, 96, 120)).astype(np.float32))
    return tmp_path / "photo.png"


def reconstruct(weights: Path, given: Path, *others: str) -> int:
    small = [f"method.{name}={value}" for name, value in SMALL.items()]
    out = given.parent / "out"
    return main(["reconstruct", "prnet", str(given), "-o", str(out), f"method.weights={weights}", *small, *others])


def test_a_photograph_with_a_box(weights: Path, photo: Path) -> None:
    assert reconstruct(weights, photo, "dataset.box=[30,20,80,75]") == 0
    made = {file.name for file in (photo.parent / "out" / "photo").iterdir()}
    assert made >= FILES | {"picture.png", "arrays.npz", "reconstruction.json"}
    about = json.loads((photo.parent / "out" / "photo" / "reconstruction.json").read_text())
    assert set(about["notes"]["head_pose"]) == {"pitch", "yaw", "roll", "scale"}


def test_a_script_is_told_what_was_written_and_what_failed(weights: Path, photo: Path, capsys: Captured) -> None:
    folder = photo.parent / "photos"
    folder.mkdir()
    shutil.move(photo, folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    assert reconstruct(weights, folder, "dataset.boxes=center", "--json") == 2
    a, b = json.loads(capsys.readouterr().out)
    assert a["input"] == "a"
    assert not a["error"]
    assert set(a["files"]) == {file.name for file in Path(a["folder"]).iterdir()} >= FILES
    assert b["files"] == []
    assert "b.png" in b["error"]


def test_a_video_gives_one_result_per_frame(weights: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "talk.avi", np.random.default_rng(0).uniform(0, 1, (3, 3, 64, 80)))
    assert reconstruct(weights, tmp_path / "talk.avi", "dataset.boxes=center", "dataset.every=2") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frame_00000", "frame_00002"]


def test_a_real_face_is_found(weights: Path, shared_data: Path, tmp_path: Path) -> None:
    shutil.copy(shared_data / "data" / "faces" / "AFLW2000" / "image00050.jpg", tmp_path / "a.jpg")
    assert reconstruct(weights, tmp_path / "a.jpg") == 0
    assert read_image(tmp_path / "out" / "a" / "landmarks.png").shape == (3, 450, 450)


def test_a_folder_of_calibrated_views_needs_no_training(tmp_path: Path) -> None:
    (tmp_path / "ball").mkdir()
    views = [look_at(eye, (0.0, 0.0, 0.0), (0.0, 1.0, 0.0)).numpy() for eye in ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0))]
    intrinsics = np.array([[40.0, 0, 16], [0, 40.0, 16], [0, 0, 1]])
    disc = (np.hypot(*(np.mgrid[:32, :32] - 15.5)) < 8).astype(np.float32)
    write_views(tmp_path / "ball", [np.stack([disc] * 3)] * 2, [disc] * 2, [Camera(intrinsics, pose, 32, 32) for pose in views])
    small = ["method.size=0.2", "method.effort=0"]
    command = ["reconstruct", "multiview_face/object", str(tmp_path / "ball"), "-o", str(tmp_path / "out")]
    assert main([*command, *small]) == 0
    assert {"mesh.ply", "picture.png", "transforms.json"} <= {file.name for file in (tmp_path / "out" / "ball").iterdir()}


def test_a_capture_with_a_colmap_model_goes_through_to_a_mesh_and_new_views(tmp_path: Path, capsys: Captured) -> None:
    """A textured slab on the ground, photographed from above all around, without masks."""
    from PIL import Image

    capture = tmp_path / "garden"
    corners = np.array([(x, y, z) for x in (-1.0, 1) for y in (-1.0, 1) for z in (0.0, 0.6)])
    box = trimesh.Trimesh(corners).convex_hull.subdivide().subdivide()
    angles = 2 * np.pi * np.arange(10) / 10
    eyes = np.stack([3 * np.cos(angles), 3 * np.sin(angles), np.full(10, 1.5)], 1)
    intrinsics = np.array([[40.0, 0, 16], [0, 40, 12], [0, 0, 1]])
    cameras = [Camera(intrinsics, look_at(eye, (0.0, 0, 0.2)).numpy(), 32, 24) for eye in eyes]
    colors = (np.sin(9 * box.vertices) + 1) / 2
    (capture / "images").mkdir(parents=True)
    for index, camera in enumerate(cameras):
        seen = render_mesh(box.vertices, box.faces, intrinsics, camera.world_from_camera, 24, 32, colors=colors, supersample=2)
        write_image(capture / "images" / f"{index}.png", seen.image.numpy())
    names = [f"{index}.png" for index in range(10)]
    colmap.write_model(capture, cameras, names, np.asarray(box.vertices), colors.astype(np.float32))
    assert main(["reconstruct", "nerf/grid_mini", str(capture), "-o", str(tmp_path / "out"), "method.steps=150"]) == 0
    out = tmp_path / "out" / "garden"
    said = capsys.readouterr()
    assert said.out.startswith(f"{out}: mesh.")
    assert said.out.endswith("novel_views.png novel_views.webp picture.png reconstruction.json\n")
    # Progress is shown in a pipe, too: a fit of minutes must not be silent.
    first, second, *others = said.err.splitlines()
    assert first.startswith("garden: fitting nerf/grid_mini")
    assert second.startswith("step 1/150  loss ")
    assert [line for line in others if line.startswith("garden: fitted, 150 steps in ")]
    assert ("garden: the mesh is empty" in said.err) == read_mesh(out / "mesh.ply").is_empty
    written = {"mesh.ply", "picture.png", "novel_views.png", "novel_views.webp"}
    assert written <= {file.name for file in out.iterdir()}
    with Image.open(out / "novel_views.webp") as opened:
        assert opened.size == (32, 24)
        assert opened.n_frames == 24
    about = json.loads((out / "reconstruction.json").read_text())
    assert about["notes"]["unbounded"]
    if not read_mesh(out / "mesh.ply").is_empty:
        assert {"turntable.png", "turntable.webp", "mesh.glb"} <= {file.name for file in out.iterdir()}


def test_a_variant_that_must_be_trained_says_so(tmp_path: Path, capsys: Captured) -> None:
    assert main(["reconstruct", "multiview_face/mini", str(tmp_path), "-o", str(tmp_path / "out")]) == 2
    complains(capsys, "method 'multiview_face/mini' must be trained first")


def complains(capsys: Captured, *words: str) -> None:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("deep3dmap: ")
    for word in words:
        assert word in lines[0]


def test_photographs_without_cameras_are_refused_once(photo: Path, capsys: Captured) -> None:
    shutil.copy(photo, photo.parent / "other.png")
    assert main(["reconstruct", "nerf/grid_mini", str(photo.parent), "-o", str(photo.parent / "out")]) == 2
    complains(capsys, "read as 'image_folder', it has no bounds, images, intrinsics, world_from_camera", "blender, colmap, dtu")
    assert main(["reconstruct", "visual_hull", str(photo), "-o", str(photo.parent / "out")]) == 2
    complains(capsys, "it has no images, intrinsics, masks, world_from_camera,", "view_folders")


def test_no_face_in_the_photograph(weights: Path, tmp_path: Path, capsys: Captured) -> None:
    write_image(tmp_path / "wall.png", np.full((3, 90, 120), 0.5, np.float32))
    assert reconstruct(weights, tmp_path / "wall.png") == 2
    complains(capsys, "wall: no face found", "dataset.box=[left,top,right,bottom]")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("box", ["[1,2,3]", "[50,20,10,60]", "[1,2,x,4]"])
def test_a_box_that_is_none(weights: Path, photo: Path, capsys: Captured, box: str) -> None:
    assert reconstruct(weights, photo, f"dataset.box={box}") == 2
    complains(capsys, "dataset.box must be [left, top, right, bottom]")


def test_a_damaged_image_does_not_cost_the_others_their_results(weights: Path, photo: Path, capsys: Captured) -> None:
    folder = photo.parent / "photos"
    folder.mkdir()
    shutil.copy(photo, folder / "good.png")
    (folder / "bad.png").write_bytes(photo.read_bytes()[:500])
    assert reconstruct(weights, folder, "dataset.boxes=center") == 2
    complains(capsys, "bad.png: not a readable image")
    assert [path.name for path in (photo.parent / "out").iterdir()] == ["good"]
    assert reconstruct(weights, folder / "bad.png", "dataset.boxes=center") == 2
    complains(capsys, "bad.png: not a readable image")


def test_a_mat_of_another_kind(weights: Path, photo: Path, capsys: Captured) -> None:
    import scipy.io

    folder = photo.parent / "fits"
    folder.mkdir()
    write_image(folder / "a.jpg", read_image(photo))
    scipy.io.savemat(folder / "a.mat", {"something": np.zeros(3)})
    assert reconstruct(weights, folder) == 2
    complains(capsys, "a.mat: no 68 landmarks, neither a field 'pt3d_68'")
    assert reconstruct(weights, folder / "a.mat") == 2
    complains(capsys, "a.mat: no dataset recognises this layout")


def test_boxes_that_lack_a_photograph(weights: Path, photo: Path, capsys: Captured) -> None:
    write_boxes(photo.parent / "boxes.csv", {"other": np.array([1, 2, 30, 40.0])})
    assert reconstruct(weights, photo, f"dataset.boxes={photo.parent / 'boxes.csv'}") == 2
    complains(capsys, "no box for 'photo'")


def test_a_damaged_video(weights: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"no video")
    assert reconstruct(weights, tmp_path / "talk.mp4") == 2
    assert "deep3dmap: " in capsys.readouterr().err


def test_weights_that_are_none(photo: Path, capsys: Captured) -> None:
    (photo.parent / "bad.pth").write_bytes(b"nothing")
    assert reconstruct(photo.parent / "bad.pth", photo) == 2
    complains(capsys, "bad.pth: not a checkpoint")
    assert main(["reconstruct", "prnet/mini", str(photo), "-o", "x"]) == 2
    complains(capsys, "must be trained first", "method.weights=FILE")


def test_a_surface_that_is_empty_is_no_success(shared_data: Path, tmp_path: Path, capsys: Captured) -> None:
    scan = shared_data / "data" / "sevenscenes_redkitchen"
    out = tmp_path / "out"
    # A truncation of tens of metres: nothing is close enough to the surface.
    assert main(["reconstruct", "tsdf_fusion", str(scan), "-o", str(out), "dataset=sevenscenes", "method.voxel_size=4"]) == 2
    captured = capsys.readouterr()
    assert "the mesh is empty" in captured.err
    assert "1 reconstructions" not in captured.out
    assert list(out.rglob("reconstruction.json"))
