"""ScanNet: `.sens` files, prepared files of the official tools, damaged files, and rooms in its layout."""

import pickle
import struct
import zlib
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from fragment_files import write_fragments
from PIL import Image
from sphere_scan import sphere_scan

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.datasets.image_folder import ImageFolder
from deep3dmap.data.datasets.rooms import Rooms, RoomsConfig
from deep3dmap.data.datasets.scannet import ScanNet, ScanNetConfig
from deep3dmap.data.formats import scannet as layout
from deep3dmap.data.formats.scannet_sens import read_sens
from deep3dmap.data.formats.scannet_tsdf import (
    Fragment,
    read_fragments,
    read_plain_pickle,
    read_scene_tsdf,
    write_scene_tsdf,
)
from deep3dmap.data.preparation_progress import describe
from deep3dmap.geometry.scene_tsdf import SceneTSDF

SCAN = sphere_scan(3, 24, 32)
TINY_ROOM = RoomsConfig(train=0, val=0, test=1, frames=2, width=48, height=32, mesh_edge=0.15)


def write_scan(folder: Path, true_depth: bool = False) -> Path:
    layout.write_intrinsics(folder, SCAN["intrinsics"][0])
    for number, (image, depth, pose) in enumerate(zip(SCAN["images"], SCAN["depths"], SCAN["world_from_camera"])):
        layout.write_frame(folder, number, image, depth, pose, depth * 2 if true_depth else None)
    return folder


def scannet(root: Path, **fields: object) -> ScanNet:
    return ScanNet(ScanNetConfig(root=str(root), **fields), root.parent / "cache")


def read_everything(folder: Path) -> None:
    sample = scannet(folder).split("test")[0]
    list(sample["images"]), list(sample["depths"])


def write_sens(file: Path, per_metre: float = 1000.0, color: int = 2) -> Path:
    """Write SCAN as a `.sens` file whose second frame lost tracking."""
    file.parent.mkdir(parents=True)
    intrinsics = np.eye(4, dtype="<f4")
    intrinsics[:3, :3] = SCAN["intrinsics"][0]
    intrinsics[:2, 2] -= 0.5
    matrices = b"".join(matrix.tobytes() for matrix in (intrinsics, np.eye(4, dtype="<f4")) * 2)
    parts = [struct.pack("<IQ", 4, 6), b"sensor", matrices, struct.pack("<iiIIIIfQ", color, 1, 32, 24, 32, 24, per_metre, 3)]
    for number in range(3):
        picture = BytesIO()
        Image.fromarray(np.full((24, 32, 3), 60 * number, np.uint8)).save(picture, "JPEG")
        depth = zlib.compress((SCAN["depths"][number] * per_metre).round().astype("<u2").tobytes())
        pose = np.full((4, 4), -np.inf) if number == 1 else SCAN["world_from_camera"][number]
        parts += [pose.astype("<f4").tobytes(), struct.pack("<QQQQ", 0, 0, len(picture.getvalue()), len(depth))]
        parts += [picture.getvalue(), depth]
    file.write_bytes(b"".join(parts))
    return file


@pytest.mark.parametrize("per_metre", [1000.0, 5000.0])
def test_sens_files_are_exported_when_prepared(tmp_path: Path, per_metre: float) -> None:
    file = write_sens(tmp_path / "data/scans/scene0000_00/scene0000_00.sens", per_metre)
    dataset = scannet(tmp_path / "data", voxel_size=0.2)
    assert ScanNet.recognises(tmp_path / "data")
    assert ScanNet.recognises(file.parent)
    with pytest.raises(UserError, match="data prepare scannet"):
        dataset.split("train")
    assert describe(dataset.missing(), 1) == ["1 exported scans"]
    dataset.prepare()
    sample = dataset.split("train")[0]
    assert len(sample["images"]) == 2, "the frame that lost track is left out"
    assert "scene_tsdf" in sample
    np.testing.assert_allclose(sample["images"][1], 120 / 255, atol=0.01)
    np.testing.assert_allclose(sample["depths"][1], SCAN["depths"][2], atol=0.0006)
    np.testing.assert_allclose(sample["intrinsics"][0], SCAN["intrinsics"][0], rtol=1e-6)
    np.testing.assert_allclose(sample["world_from_camera"], SCAN["world_from_camera"][[0, 2]], atol=1e-6)
    (file.parent / "color/0.jpg").write_bytes(b"kept")
    dataset.prepare()
    assert (file.parent / "color/0.jpg").read_bytes() == b"kept"


def test_damaged_sens_files_leave_no_scan(tmp_path: Path) -> None:
    file = write_sens(tmp_path / "scan/a.sens")
    whole = file.read_bytes()
    for damaged, says in ((whole[:-40], "ends early"), (whole[:90], "ends early"), (b"\0" * 500, "not a .sens file")):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=rf"a\.sens: .*{says}"):
            scannet(file.parent).prepare()
        assert not layout.is_scan(file.parent)
    file.write_bytes(whole)
    scannet(file.parent).prepare()
    assert len(scannet(file.parent).split("test")) == 1
    with pytest.raises(UserError, match="compression 0"):
        read_sens(write_sens(tmp_path / "raw/b.sens", color=0))
    whole = file.read_bytes()
    at = whole.index(struct.pack("<f", 1000.0))
    for per_metre in (0.0, -1.0, np.nan, np.inf):
        file.write_bytes(whole[:at] + struct.pack("<f", per_metre) + whole[at + 4 :])
        with pytest.raises(UserError, match=r"a\.sens: its cameras or depth units"):
            read_sens(file)


def test_an_incomplete_export_is_not_overwritten(tmp_path: Path) -> None:
    file = write_sens(tmp_path / "scan/a.sens")
    (file.parent / "intrinsic").mkdir()
    with pytest.raises(UserError, match="remove its folder `intrinsic`"):
        scannet(file.parent).prepare()


def test_preparing_goes_on_where_it_stopped(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_scan(tmp_path / "data/scans" / name)
    dataset = scannet(tmp_path / "data", voxel_size=0.2)
    dataset.prepare(workers=1)
    made = {file.parent.name: file for file in (tmp_path / "cache").rglob("tsdf_info.pkl")}
    stamp = made["a"].stat().st_mtime_ns
    made["b"].unlink()
    assert "scene_tsdf" not in dataset.split("train")[1]
    dataset.prepare()
    assert "scene_tsdf" in dataset.split("train")[1]
    assert made["a"].stat().st_mtime_ns == stamp


def test_official_files_are_taken_where_they_lie(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_scan(root / "scans/a")
    official = root / "all_tsdf_9/a"
    official.mkdir(parents=True)
    scene = SceneTSDF([torch.full((4 - level, 2, 2), 0.5) for level in range(3)], torch.tensor([0.0, -1, 2]).double(), 0.04)
    before = scannet(root).version
    write_scene_tsdf(official, scene)
    (root / "all_tsdf_9/splits").mkdir()
    (root / "all_tsdf_9/splits/scannetv2_train.txt").write_text("other\na")
    dataset = scannet(root)
    dataset.prepare()
    assert not list((tmp_path / "cache").rglob("*.npz"))
    found = dataset.split("train")[0]["scene_tsdf"]
    assert [tuple(level.shape) for level in found.tsdf] == [(4, 2, 2), (3, 2, 2), (2, 2, 2)]
    assert found.origin.tolist() == [0, -1, 2]
    assert (found.voxel_size, found.bytes()) == (0.04, 4 * (16 + 12 + 8))
    assert dataset.version != before


def test_fragments_come_back(tmp_path: Path) -> None:
    file = tmp_path / "fragments.pkl"
    scan = Fragment("a", 0, [0, 3], np.zeros(3), 0.04)
    phone = Fragment("a", 1, [4, 5], extrinsics=SCAN["world_from_camera"][:2], intrinsics=SCAN["intrinsics"][:2])
    write_fragments(file, [scan, phone])
    first, second = read_fragments(file)
    assert (first.scene, first.fragment_id, first.image_ids, first.voxel_size) == ("a", 0, [0, 3], 0.04)
    assert first.extrinsics is None
    np.testing.assert_allclose(second.extrinsics, phone.extrinsics)
    np.testing.assert_allclose(second.intrinsics, phone.intrinsics)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({}, "expected a list of fragments, got dict"),
        ([{"scene": "a"}], "fragment 0: expected scene, fragment_id, image_ids"),
        ([3], "fragment 0"),
        ([{"scene": "a", "fragment_id": 0, "image_ids": [1], "extrinsics": np.zeros((2, 4, 4))}], "fragment 0: .*reshape"),
        ([{"scene": "a", "fragment_id": 0, "image_ids": [1], "extrinsics": np.full((1, 4, 4), np.nan)}], "NaN or infinity"),
        ([{"scene": "a", "fragment_id": 0, "image_ids": [1], "vol_origin": [0, np.nan, 0]}], "vol_origin contains NaN"),
        ([{"scene": "a", "fragment_id": 0, "image_ids": [1], "voxel_size": np.inf}], "voxel_size contains NaN or infinity"),
        ([{"scene": "a", "fragment_id": 0, "image_ids": [1], "intrinsics": np.full((1, 3, 3), np.nan)}], "intrinsics contains"),
    ],
)
def test_bad_fragments_are_named(tmp_path: Path, content: object, says: str) -> None:
    file = tmp_path / "fragments.pkl"
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=rf"fragments\.pkl.*{says}"):
        read_fragments(file)


@pytest.mark.parametrize("protocol", range(3, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_from_pickles_of_any_protocol_and_numpy(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "a.pkl"
    data = pickle.dumps({"a": np.arange(3.0), "b": [np.float64(2)]}, protocol)
    file.write_bytes(data)
    assert read_plain_pickle(file)["a"].tolist() == [0, 1, 2]
    if protocol == 3:  # old protocols store names as lines without a byte count
        file.write_bytes(data.replace(b"numpy._core.", b"numpy.core."))
        assert read_plain_pickle(file)["b"] == [2]
    file.write_bytes(data[:-5])
    with pytest.raises(UserError, match=r"a\.pkl: not a readable pickle"):
        read_plain_pickle(file)


def test_pickles_cannot_call_anything_else(tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    file.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "touched").encode() + b"'\ntR.")
    with pytest.raises(UserError, match=r"contains a (os|posix)\.system"):
        read_plain_pickle(file)
    assert not (tmp_path / "touched").exists()


def test_damaged_info_is_named(tmp_path: Path) -> None:
    for info, says in (({"voxel_size": 1}, "expected vol_origin"), ({"vol_origin": [0, 0, 0], "voxel_size": 0}, "not metres")):
        (tmp_path / "tsdf_info.pkl").write_bytes(pickle.dumps(info))
        with pytest.raises(UserError, match=rf"tsdf_info\.pkl: .*{says}"):
            read_scene_tsdf(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("intrinsic/intrinsic_color.txt", None, "the file is missing"),
        ("intrinsic/intrinsic_color.txt", "1 2 3", "4x4 numbers, got 3"),
        ("intrinsic/intrinsic_color.txt", "0 " * 16, "focal lengths must be positive"),
        ("pose/1.txt", "nan " * 16, "NaN or infinity"),
        ("pose/1.txt", "2 " * 16, "not a rotation"),
        ("pose/1.txt", None, "3 images in color/ and 2 poses in pose/; frame 1"),
        ("color/1.png", None, "2 images in color/ and 3 poses in pose/; frame 1"),
        ("color/1.png", "no picture", "not a readable image"),
        ("depth/1.png", None, "the depth of a frame is missing"),
        ("depth/1.png", "no picture", "not a readable image"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, content: str | None, says: str) -> None:
    folder = write_scan(tmp_path / "scan")
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        read_everything(folder)
    assert str(folder) in str(caught.value)
    assert content is None or name in str(caught.value)


def test_unequal_picture_sizes_are_refused(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scan")
    for part in ("color", "depth"):
        Image.fromarray(np.ones((12, 16), np.uint16)).save(folder / part / "1.png")
    sample = scannet(folder, check=False).split("test")[0]
    for key, part in (("images", "color"), ("depths", "depth")):
        with pytest.raises(UserError, match=rf"{part}/1\.png: 16x12 pixels"):
            sample[key][1]


def test_exact_depth_is_kept_where_it_is_known(tmp_path: Path) -> None:
    sample = scannet(write_scan(tmp_path / "scan", true_depth=True)).split("test")[0]
    np.testing.assert_allclose(sample["true_depths"][2], 2 * SCAN["depths"][2], atol=0.0006)


def test_a_folder_of_scans_is_for_testing_and_is_no_image_folder(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_scan(root / "a")
    write_scan(root / "scans/b")
    assert ScanNet.recognises(root)
    assert not ImageFolder.recognises(root / "a")
    assert [len(scannet(root).split(name)) for name in ("train", "val", "test")] == [1, 0, 1]
    assert len(scannet(root / "scans/b").split("test")) == 1


def test_distances_use_the_depth_cameras_own_intrinsics(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "data/scans/a")
    plain = scannet(tmp_path / "data", voxel_size=0.2)
    plain.prepare()
    before = plain.split("train")[0]["scene_tsdf"].tsdf[0]
    matrix = np.diag([300.0, 300, 1, 1])
    matrix[:2, 2] = 15.5, 11.5
    np.savetxt(folder / "intrinsic/intrinsic_depth.txt", matrix)
    other = ScanNet(ScanNetConfig(root=str(tmp_path / "data"), voxel_size=0.2), tmp_path / "other")
    other.prepare()
    assert not torch.equal(other.split("train")[0]["scene_tsdf"].tsdf[0], before)
    assert other.split("train")[0]["intrinsics"][0, 0, 0] == pytest.approx(150)


def test_rooms_in_both_layouts_are_the_same(tmp_path: Path) -> None:
    ours, theirs = (Rooms(replace(TINY_ROOM, layout=name), tmp_path) for name in ("sevenscenes", "scannet"))
    assert ours.root != theirs.root
    first, second = (rooms.split("test")[0] for rooms in (ours, theirs))
    assert set(second) == set(Rooms.card.provides)
    for key in second:
        describe_key(key)
    for key in ("images", "depths", "true_depths"):
        np.testing.assert_array_equal(first[key][1], second[key][1])
    np.testing.assert_array_equal(first["world_from_camera"], second["world_from_camera"])
    np.testing.assert_allclose(first["intrinsics"], second["intrinsics"], rtol=1e-8)
    np.testing.assert_array_equal(first["mesh"].vertices, second["mesh"].vertices)
    real = scannet(theirs.root).split("test")
    assert (len(real), real.name(0), len(real[0]["images"])) == (1, "test_000", 2)
    with pytest.raises(UserError, match="did you mean 'scannet'"):
        Rooms(replace(TINY_ROOM, layout="scanet"), tmp_path)
