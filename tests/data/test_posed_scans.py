"""ScanNet, TUM RGB-D and phone captures: round trips in their layouts, and errors for damaged files."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sphere_scan import sphere_scan

from deep3dmap.core.errors import UserError
from deep3dmap.data.datasets.arkit import ARKit, ARKitConfig
from deep3dmap.data.datasets.posed_scans import ScanFolders
from deep3dmap.data.datasets.scannet import ScanNet, ScanNetConfig
from deep3dmap.data.datasets.tum_rgbd import TUMRGBD, TUMRGBDConfig
from deep3dmap.data.formats import scannet as layout
from deep3dmap.data.formats.numbers import nearest_in_time, read_rows
from deep3dmap.data.formats.scannet_tsdf import read_plain_pickle, read_scene_tsdf
from deep3dmap.geometry.scene_tsdf import fuse_scene

SCAN = sphere_scan(4, 24, 32)


def write_scannet(folder: Path) -> Path:
    layout.write_intrinsics(folder, SCAN["intrinsics"][0])
    for number in range(4):
        layout.write_frame(
            folder, 10 * number, SCAN["images"][number], SCAN["depths"][number], SCAN["world_from_camera"][number]
        )
    return folder


def scannet(root: Path, **fields: object) -> ScanNet:
    return ScanNet(ScanNetConfig(root=str(root), **fields), root.parent / "cache")


def write_tum(folder: Path) -> Path:
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    lists: dict[str, list[str]] = {"rgb": ["# time file"], "depth": ["# time file"], "groundtruth": ["# poses"]}
    for number in range(4):
        Image.fromarray(np.full((24, 32, 3), 40 * number, np.uint8)).save(folder / f"rgb/{number}.png")
        Image.fromarray((SCAN["depths"][number] * 5000).astype(np.uint16)).save(folder / f"depth/{number}.png")
        lists["rgb"].append(f"{number}.000 rgb/{number}.png")
        lists["depth"].append(f"{number + (0.5 if number == 2 else 0.01)} depth/{number}.png")
        lists["groundtruth"].append(f"{number + 0.005} {number} 2 3 0 0 0.70710678 0.70710678")
    for name, lines in lists.items():
        (folder / f"{name}.txt").write_text("\n".join(lines))
    return folder


def write_capture(folder: Path) -> Path:
    (folder / "images").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / f"images/{number:05d}.jpg")
    (folder / "Frames.txt").write_text("\n".join(f"{n}.0, {n}, 1600, 1600, 960, 720" for n in range(3)))
    (folder / "ARposes.txt").write_text("\n".join(f"{n}.01, {0.3 * n}, 0.2, -1, 1, 0, 0, 0" for n in range(3)))
    return folder


def test_scannet_comes_back(tmp_path: Path) -> None:
    dataset = scannet(write_scannet(tmp_path / "scene0000_00"))
    assert ScanNet.recognises(tmp_path / "scene0000_00")
    sample = dataset.split("test")[0]
    np.testing.assert_allclose(sample["depths"][3], SCAN["depths"][3], atol=0.0006)
    np.testing.assert_allclose(sample["images"][0], SCAN["images"][0], atol=0.003)
    np.testing.assert_allclose(sample["intrinsics"][0], SCAN["intrinsics"][0])
    np.testing.assert_allclose(sample["world_from_camera"], SCAN["world_from_camera"], atol=1e-9)


def test_scannets_pictures_are_padded_and_brought_to_the_size_of_depth(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "scene")
    wide = np.full((968, 1296, 3), 255, np.uint8)
    (folder / "color/0.png").unlink()
    Image.fromarray(wide).save(folder / "color/0.jpg")
    for number in (10, 20, 30):
        Image.fromarray(wide).save(folder / f"color/{number}.png")
    matrix = np.diag([1165.0, 1166.0, 1, 1])
    matrix[:2, 2] = 648.5, 483.5
    np.savetxt(folder / "intrinsic/intrinsic_color.txt", matrix)
    sample = scannet(folder).split("test")[0]
    assert sample["images"][0].shape == (3, 24, 32)
    # The padded rows are black, two of 972 on each side, and shift the centre down.
    assert sample["images"][0][:, 12].min() > 0.99 > sample["images"][0][:, 0].max()
    expected = np.array([[1165 * 32 / 1296, 0, 649 * 32 / 1296], [0, 1166 * 24 / 972, 486 * 24 / 972], [0, 0, 1]])
    np.testing.assert_allclose(sample["intrinsics"][0], expected)


def test_frames_that_lost_track_are_left_out(tmp_path: Path) -> None:
    folder = write_scannet(tmp_path / "scene")
    np.savetxt(folder / "pose/10.txt", np.full((4, 4), -np.inf))
    assert len(scannet(folder).split("test")[0]["images"]) == 3
    for number in (0, 20, 30):
        np.savetxt(folder / f"pose/{number}.txt", np.full((4, 4), np.inf))
    with pytest.raises(UserError, match="pose: no finite pose"):
        scannet(folder).split("test")[0]


def test_scannet_splits_and_prepared_distances(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for place in ("scans/a", "scans/b", "scans_test/c"):
        write_scannet(root / place)
    dataset = scannet(root, voxel_size=0.1)
    assert [dataset.split("train").name(i) for i in range(2)] == ["a", "b"]
    assert dataset.split("test").name(0) == "c"
    (root / "splits").mkdir()
    (root / "splits/scannetv2_train.txt").write_text("b\nmissing")
    (root / "splits/scannetv2_val.txt").write_text("a")
    assert [len(dataset.split(name)) for name in ("train", "val", "test")] == [1, 1, 1]
    dataset.prepare()
    sample = dataset.split("train")[0]
    expected = fuse_scene(sample["depths"], sample["intrinsics"], sample["world_from_camera"], 0.1, 3.0)
    for found, wanted in zip(sample["scene_tsdf"].tsdf, expected.tsdf):
        np.testing.assert_array_equal(found, wanted)
    assert "scene_tsdf" not in dataset.split("test")[0]
    place = next((tmp_path / "cache").rglob("b/full_tsdf_layer1.npz"))
    place.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"full_tsdf_layer1\.npz: not a readable prepared scan .* prepare it again"):
        read_scene_tsdf(place.parent).tsdf[0]


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tsdf_info.pkl"
    file.write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(UserError, match="not a readable pickle of plain arrays"):
        read_plain_pickle(file)


def test_tum_frames_are_matched_in_time(tmp_path: Path) -> None:
    folder = write_tum(tmp_path / "rgbd_dataset_freiburg1_desk")
    assert TUMRGBD.recognises(folder)
    sample = TUMRGBD(TUMRGBDConfig(root=str(folder), check=False), tmp_path).split("test")[0]
    assert len(sample["images"]) == 3  # the depth of frame 2 is half a second late
    np.testing.assert_allclose(sample["depths"][2], SCAN["depths"][3], atol=2e-4)
    np.testing.assert_allclose(
        sample["world_from_camera"][1], [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], atol=1e-7
    )
    np.testing.assert_allclose(sample["intrinsics"][0], [[517.3, 0, 319.1], [0, 516.5, 255.8], [0, 0, 1]])
    with pytest.raises(UserError, match=r"dataset\.camera"):
        TUMRGBD(TUMRGBDConfig(root=str(write_tum(tmp_path / "own")), check=False), tmp_path).split("test")[0]
    (folder / "groundtruth.txt").write_text("# t\n1 2 3")
    with pytest.raises(UserError, match=r"groundtruth\.txt, line 2: expected 8 numbers"):
        TUMRGBD(TUMRGBDConfig(root=str(folder), check=False), tmp_path).split("test")[0]


def test_a_phone_capture_is_turned_upright(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "capture")
    assert ARKit.recognises(tmp_path)
    sample = ARKit(ARKitConfig(root=str(folder)), tmp_path).split("test")[0]
    # ARKit's camera looks along -z of its world, which is +y of ours; its x stays, and its y is up.
    np.testing.assert_allclose(sample["world_from_camera"][1][:3, 3], [0.3, 1, 1.7])
    np.testing.assert_allclose(sample["world_from_camera"][0][:3, :3], [[1, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(sample["intrinsics"][0], [[1600 / 30, 0, 960.5 / 30], [0, 1600 / 30, 720.5 / 30], [0, 0, 1]])
    assert sample["images"][2].shape == (3, 48, 64)
    assert "depths" not in sample
    (folder / "images/00001.jpg").unlink()
    with pytest.raises(UserError, match="no image of frame 1"):
        ARKit(ARKitConfig(root=str(folder)), tmp_path).split("test")[0]


def test_a_dataset_that_does_not_say_how_a_scan_is_read_cannot_be_made(tmp_path: Path) -> None:
    class Unread(ScanFolders):
        is_scan = staticmethod(layout.is_scan)

    with pytest.raises(TypeError, match=r"abstract method .?read"):
        Unread(ScanNetConfig(), tmp_path)  # type: ignore[abstract]


def test_nearest_in_time() -> None:
    index, late = nearest_in_time(np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.4, 0.6, 2.1, 9.0]))
    np.testing.assert_array_equal(index, [0, 0, 1, 2, 2])
    np.testing.assert_allclose(late, [1, 0.4, 0.4, 0.9, 6])
    assert nearest_in_time(np.array([5.0]), np.array([1.0, 7.0]))[0].tolist() == [0, 0]


def test_rows_name_the_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.txt"
    file.write_text("1, 2\n\n3 x")
    with pytest.raises(UserError, match=r"rows\.txt, line 3"):
        read_rows(file, 2)
