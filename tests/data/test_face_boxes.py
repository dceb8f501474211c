"""Sources of face boxes: given, from landmarks, from a table, from a detector; and videos."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from video_files import write_video

from deep3dmap.core.errors import UserError
from deep3dmap.data.datasets.image_folder import ImageFolder, ImageFolderConfig
from deep3dmap.data.datasets.subject_boxes import subject_boxes
from deep3dmap.data.face_detector import face_detector
from deep3dmap.data.formats.images import read_image
from deep3dmap.data.formats.landmark_files import read_landmarks
from deep3dmap.data.formats.threehundred_w_lp import read_face, write_boxes
from deep3dmap.data.formats.video import Video
from deep3dmap.geometry.face_crop import crop_from_detector_box, crop_from_landmarks

BLANK = np.full((3, 90, 120), 0.5, np.float32)
POINTS = np.random.default_rng(0).uniform(30, 90, (68, 2)).astype(np.float32)


@pytest.mark.parametrize("name", ["image00050", "image02283", "image00081"])
def test_the_cascade_finds_faces_that_look_into_the_camera(shared_data: Path, name: str) -> None:
    file = shared_data / "data" / "faces" / "AFLW2000" / f"{name}.jpg"
    box = face_detector("auto")(read_image(file))[0]
    ours = crop_from_detector_box(box)
    wanted = crop_from_landmarks(read_face(file.with_suffix(".mat")).landmarks)
    corners = np.array([[0, 0, 1], [256, 256, 1.0]]).T
    distance = np.abs(np.linalg.inv(ours) @ corners - np.linalg.inv(wanted) @ corners).max()
    assert distance < 0.25 * 256 / wanted[0, 0]


def test_no_face_and_unknown_detectors_say_what_to_do() -> None:
    with pytest.raises(UserError, match=r"blank: no face found.*dataset\.box=\["):
        subject_boxes([], "cascade")("blank", BLANK)
    with pytest.raises(UserError, match="unknown face detector 'casacde'; did you mean 'cascade'"):
        subject_boxes([], "casacde")
    with pytest.raises(UserError, match=r"model\.onnx: no such face detector"):
        subject_boxes([], "model.onnx")


def test_a_damaged_model_of_opencv_is_named(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"model\.onnx: OpenCV cannot load it"):
        face_detector(str(tmp_path / "model.onnx"))


def test_given_boxes() -> None:
    given = [10, 20, 50, 70]
    np.testing.assert_array_equal(subject_boxes(given, "auto")("a", BLANK), given)
    np.testing.assert_array_equal(subject_boxes([], "center")("a", BLANK), [37.5, 22.5, 82.5, 67.5])
    for wrong in ([1, 2, 3], [10, 20, 5, 30], ["a", 1, 2, 3]):
        with pytest.raises(UserError, match=r"dataset\.box must be \[left"):
            subject_boxes(wrong, "center")


def test_a_given_box_outside_the_photograph_is_refused() -> None:
    assert subject_boxes([-20, -10, 30, 40], "center")("partly", BLANK).tolist() == [-20, -10, 30, 40]
    for box in ([130, 10, 200, 80], [10, 95, 40, 140], [-50, 0, -10, 40]):
        with pytest.raises(UserError, match=r"far: dataset\.box=\[.* lies outside the photograph, which is 120 x 90 pixels"):
            subject_boxes(box, "center")("far", BLANK)
    with pytest.raises(UserError, match="right > left"):
        subject_boxes([0, 0, float("nan"), 40], "center")


@pytest.mark.parametrize("kind", [".npy", ".txt", ".pts"])
def test_boxes_of_landmark_files_give_the_crop_of_the_landmarks(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"a{kind}"
    if kind == ".npy":
        np.save(file, POINTS.T - 0.5)
    elif kind == ".txt":
        np.savetxt(file, POINTS - 0.5)
    else:
        rows = "\n".join(f"{x + 0.5:.4f} {y + 0.5:.4f}" for x, y in POINTS)
        file.write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")
    np.testing.assert_allclose(read_landmarks(file), POINTS, atol=1e-3)
    box = subject_boxes([], str(tmp_path))("a", BLANK)
    np.testing.assert_allclose(crop_from_detector_box(box), crop_from_landmarks(POINTS), rtol=0.05, atol=3)
    tight = [*POINTS.min(0), *POINTS.max(0)]
    np.testing.assert_allclose(subject_boxes(tight, "center", tight=True)("a", BLANK), box, atol=1e-3)
    with pytest.raises(UserError, match="no landmarks for 'b'"):
        subject_boxes([], str(tmp_path))("b", BLANK)
    file.write_bytes(b"nothing at all")
    with pytest.raises(UserError, match=rf"a\{kind}: not a readable table"):
        read_landmarks(file)


def test_boxes_of_a_table(tmp_path: Path) -> None:
    write_boxes(tmp_path / "boxes.csv", {"a": np.array([1, 2, 30, 40.0])})
    find = subject_boxes([], str(tmp_path / "boxes.csv"))
    np.testing.assert_allclose(find("a", BLANK), [1, 2, 30, 40])
    with pytest.raises(UserError, match=r"boxes\.csv: no box for 'b'"):
        find("b", BLANK)


def frames(count: int) -> Iterator[np.ndarray]:
    for index in range(count):
        yield np.full((3, 48, 64), (index + 1) / (count + 1), np.float32)


def test_a_video_is_read_forwards_and_backwards(tmp_path: Path) -> None:
    write_video(tmp_path / "v.avi", frames(7))
    video = Video(tmp_path / "v.avi", every=2)
    assert len(video) == 4
    for index in (0, 2, 3, 1, 0):
        assert video[index].shape == (3, 48, 64)
        assert video[index].mean() == pytest.approx((2 * index + 1) / 8, abs=0.02)
    dataset = ImageFolder(ImageFolderConfig(root=str(tmp_path / "v.avi"), every=3, box=[1, 2, 30, 40]), tmp_path / "cache")
    dataset.prepare()
    split = dataset.split("test")
    assert [split.name(index) for index in range(len(split))] == ["frame_00000", "frame_00003", "frame_00006"]
    np.testing.assert_array_equal(split[2]["box"], [1, 2, 30, 40])
    assert ImageFolder.recognises(tmp_path / "v.avi")


def test_a_damaged_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(UserError, match=r"bad\.mp4"):
        Video(tmp_path / "bad.mp4")
    with pytest.raises(UserError, match="no such video"):
        Video(tmp_path / "absent.mp4")
