"""TUM RGB-D recordings and phone captures: layouts, and errors for damaged files."""

from pathlib import Path

import numpy as np
import pytest
from fragment_files import write_fragments
from PIL import Image
from sphere_scan import sphere_scan

from deep3dmap.core.errors import UserError
from deep3dmap.core.keys import describe_key
from deep3dmap.data.datasets.arkit import ARKit, ARKitConfig
from deep3dmap.data.datasets.image_folder import ImageFolder
from deep3dmap.data.datasets.scannet import ScanNet
from deep3dmap.data.datasets.tum_rgbd import TUMRGBD, TUMRGBDConfig
from deep3dmap.data.formats.scannet_tsdf import Fragment
from deep3dmap.data.formats.trajectory import read_trajectory

SCAN = sphere_scan(4, 24, 32)


def picture(file: Path, value: int = 0, size: tuple[int, int] = (24, 32)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(file)


def write_tum(folder: Path) -> Path:
    for number in range(2):
        picture(folder / f"rgb/{number}.png")
        (folder / "depth").mkdir(exist_ok=True)
        Image.fromarray(np.full((24, 32), 5000, np.uint16)).save(folder / f"depth/{number}.png")
    for name in ("rgb", "depth"):
        (folder / f"{name}.txt").write_text("".join(f"{n}.0 {name}/{n}.png\n" for n in range(2)))
    (folder / "groundtruth.txt").write_text("".join(f"{n}.0 0 0 {n} 0 0 0 1\n" for n in range(2)))
    return folder


def read_tum(folder: Path, **fields: object) -> dict:
    sample = TUMRGBD(TUMRGBDConfig(root=str(folder), check=False, **fields), folder.parent).split("test")[0]
    list(sample["images"]), list(sample["depths"])
    return sample


def write_recording(folder: Path, frames: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Frames.txt").write_text("".join(f"{n}.0, {n}, 1600, 1600, 960, 720\n" for n in range(frames)))
    (folder / "ARposes.txt").write_text("".join(f"{n}.01, {0.3 * n}, 0.2, -1, 1, 0, 0, 0\n" for n in range(frames)))
    return folder


def write_capture(folder: Path) -> Path:
    for number in range(3):
        picture(folder / f"images/{number:05d}.jpg", size=(48, 64))
    return write_recording(folder)


def read_arkit(folder: Path, **fields: object) -> dict:
    sample = ARKit(ARKitConfig(root=str(folder), **fields), folder.parent).split("test")[0]
    list(sample["images"])
    return sample


@pytest.mark.parametrize(
    ("name", "focal"),
    [("rgbd_dataset_freiburg1_desk", 517.3), ("fr2_xyz", 520.9), ("freiburg3_long_office", 535.4)],
)
def test_tum_cameras_go_by_the_name(tmp_path: Path, name: str, focal: float) -> None:
    sample = read_tum(write_tum(tmp_path / name))
    assert sample["intrinsics"][1][0, 0] == focal
    np.testing.assert_array_equal(sample["depths"][1], 1)
    for key in sample:
        describe_key(key)


def test_tum_cameras_can_be_given(tmp_path: Path) -> None:
    folder = write_tum(tmp_path / "own")
    np.testing.assert_array_equal(
        read_tum(folder, camera=[30, 31, 15, 11])["intrinsics"][0], [[30, 0, 15.5], [0, 31, 11.5], [0, 0, 1]]
    )
    with pytest.raises(UserError, match=r"dataset\.camera"):
        read_tum(folder, camera=[30, 0, 15, 11])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("groundtruth.txt", "0 0 0 0 0 0 0 1\n1 0 0 nan 0 0 0 1", "line 2: NaN or infinity"),
        ("groundtruth.txt", "0 0 0 0 0 0 0 0", "line 1: the quaternion has length 0"),
        ("groundtruth.txt", "1 0 0 0 0 0 0 1\n# x\n0 0 0 0 0 0 0 1", "line 3: the time 0.000000 comes after 1.000000"),
        ("groundtruth.txt", "# none", "no poses in it"),
        ("groundtruth.txt", "9 0 0 0 0 0 0 1", "no image has a depth map and a pose within"),
        ("rgb.txt", "0.0 rgb/0.png\n1.0", "line 2: expected `time file`"),
        ("rgb.txt", "0.0 rgb/0.png\n1.0 rgb/7.png", r"line 2: .*7\.png is missing"),
        ("depth.txt", "1.0 depth/0.png\n0.0 depth/1.png", "line 2: the time"),
        ("depth.txt", "", "no files in it"),
        ("rgb/1.png", "no picture", "not a readable image"),
        ("depth/1.png", "no picture", "not a readable image"),
    ],
)
def test_bad_tum_files_are_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    folder = write_tum(tmp_path / "fr1")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        read_tum(folder)
    assert str(folder) in str(caught.value)


def test_tum_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    folder = write_tum(tmp_path / "fr1")
    Image.fromarray(np.full((12, 16), 5000, np.uint16)).save(folder / "depth/1.png")
    with pytest.raises(UserError, match=r"depth/1\.png: 16x12 pixels"):
        read_tum(folder)


def test_a_video_is_read_frame_by_frame(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    folder = write_recording(tmp_path / "capture")
    writer = cv2.VideoWriter(str(folder / "Frames.m4v"), cv2.VideoWriter_fourcc(*"mp4v"), 30, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot encode the video that the test reads")
    for value in (40, 120, 200):
        writer.write(np.stack([np.full((48, 64), shade, np.uint8) for shade in (0, 0, value)], -1))
    writer.release()
    sample = read_arkit(folder)
    # OpenCV's frames are BGR, ours are RGB.
    for image, value in zip(sample["images"], (40, 120, 200)):
        np.testing.assert_allclose(image.mean((1, 2)), [value / 255, 0, 0], atol=0.05)
    np.testing.assert_allclose(sample["images"][0].mean((1, 2)), [40 / 255, 0, 0], atol=0.05)
    write_recording(folder, frames=4)
    with pytest.raises(UserError, match=r"Frames\.m4v: 3 frames, but Frames.txt lists frame 3"):
        read_arkit(folder)


def test_the_prepared_demo_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    for number in range(6):
        picture(folder / f"images/{number:05d}.jpg", 40 * number)
    poses, intrinsics = SCAN["world_from_camera"], SCAN["intrinsics"]
    fragments = [
        Fragment("demo", n, [3 * n, 3 * n + 2], extrinsics=poses[2 * n : 2 * n + 2], intrinsics=intrinsics[:2]) for n in (0, 1)
    ]
    write_fragments(folder / "fragments.pkl", fragments)
    assert ARKit.recognises(folder)
    assert not ImageFolder.recognises(folder)
    assert not ScanNet.recognises(folder)
    sample = read_arkit(folder)
    np.testing.assert_allclose(sample["world_from_camera"], poses)
    np.testing.assert_allclose(sample["intrinsics"][3], intrinsics[0])
    np.testing.assert_allclose(sample["images"][3].mean(), 200 / 255, atol=0.01)
    assert set(sample) == set(ARKit.card.provides)
    assert len(read_arkit(folder, stride=2)["images"]) == 2
    write_fragments(folder / "fragments.pkl", [Fragment("demo", 0, [1])])
    with pytest.raises(UserError, match="fragment 0 has no extrinsics"):
        read_arkit(folder)


def test_camera_height_and_size_are_options(tmp_path: Path) -> None:
    folder = write_capture(tmp_path / "capture")
    assert read_arkit(folder, camera_height=0.5)["world_from_camera"][0][2, 3] == pytest.approx(0.7)
    with pytest.raises(UserError, match=r"intrinsics do not belong to 1280x960.*dataset\.recorded_size"):
        read_arkit(folder, recorded_size=[1280, 960])
    with pytest.raises(UserError, match=r"the images \(64x48\) have another aspect ratio"):
        read_arkit(folder, recorded_size=[1920, 1080])
    with pytest.raises(UserError, match=r"dataset\.recorded_size must be"):
        read_arkit(folder, recorded_size=[1920])


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("ARposes.txt", "0, 0, 0, 0, 1, 0, 0, 0\n1, 0, nan, 0, 1, 0, 0, 0", "line 2: NaN or infinity"),
        ("ARposes.txt", "0, 0, 0, 0, 1, 0, 0", "line 1: expected 8 numbers, got 7"),
        ("ARposes.txt", "0, 0, 0, 0, 1, 0, 0, 0", "no pose within 0.5 s of the frame at 2.000"),
        ("ARposes.txt", "", "is empty"),
        ("Frames.txt", "0, 0, 0, 1600, 960, 720", "line 1: focal lengths must be positive"),
        ("Frames.txt", "0, 0, 1600, 1600, 960, x", "line 1: expected 6 numbers"),
        ("images/00001.jpg", "no picture", "not a readable image"),
    ],
)
def test_bad_capture_files_are_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    folder = write_capture(tmp_path / "capture")
    (folder / name).write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        read_arkit(folder)
    assert str(folder) in str(caught.value)


def test_a_capture_without_pictures_says_what_is_missing(tmp_path: Path) -> None:
    folder = write_recording(tmp_path / "capture")
    with pytest.raises(UserError, match=r"neither a folder `images` nor a video Frames\.m4v"):
        read_arkit(folder)
    (folder / "Frames.m4v").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"Frames\.m4v: not a video"):
        read_arkit(folder)
    picture(folder / "images/00000.jpg", size=(48, 64))
    picture(folder / "images/00001.jpg", size=(24, 32))
    picture(folder / "images/00002.jpg", size=(48, 64))
    with pytest.raises(UserError, match=r"00001\.jpg: 32x24 pixels"):
        read_arkit(folder)


def test_a_trajectory_may_have_its_scalar_first(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0 1 2 3 0.6 0 0 0.8")
    for scalar_first, cosine in ((True, -0.28), (False, None)):
        times, poses = read_trajectory(tmp_path / "a.txt", scalar_first)
        assert times.tolist() == [0]
        np.testing.assert_array_equal(poses[0, :3, 3], [1, 2, 3])
        np.testing.assert_allclose(poses[0, 0, 0], cosine if scalar_first else 1, atol=1e-12)
