"""Phone captures, without depth, in the two layouts of NeuralRecon's demo.

Recorded layout: Frames.m4v or images/, Frames.txt and ARposes.txt. Frames.txt: `time, index, fx, fy, cx, cy` of every frame,
for images of the recorded size. ARposes.txt: `time, tx, ty, tz, qw, qx, qy, qz`, camera-to-world in ARKit's axes: world y up;
camera x right, y up, z backwards. Poses are converted to z up and OpenCV camera axes, and the origin of ARKit's world, the
initial phone position, is placed `camera_height` above the floor.

Prepared layout: images/00000.jpg ... and fragments.pkl, whose poses are already converted and raised and are used unchanged.
"""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.images import SUFFIXES, image_size, read_image
from deep3dmap.data.formats.numbers import increasing_times, nearest_in_time, read_rows
from deep3dmap.data.formats.pose_conventions import OPENCV_FROM_OPENGL
from deep3dmap.data.formats.scannet_tsdf import read_fragments
from deep3dmap.data.formats.trajectory import read_trajectory

RECORDED_SIZE = (1920, 1440)  # width, height
LATEST = 0.5  # seconds; a larger gap between pose and frame means another recording or time unit
Z_UP_FROM_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])

Images = LazySequence[NDArray[np.float32]]


def is_capture(folder: Path) -> bool:
    """Return whether the folder is a capture in the recorded or prepared layout."""
    recorded = (folder / "ARposes.txt").is_file() and (folder / "Frames.txt").is_file()
    return recorded or ((folder / "fragments.pkl").is_file() and (folder / "images").is_dir())


def read_capture(
    folder: Path,
    stride: int = 1,
    max_frames: int = 0,
    camera_height: float = 1.5,
    recorded_size: tuple[int, int] = RECORDED_SIZE,
) -> dict[str, Any]:
    """Return `images` (lazy), `intrinsics` (V, 3, 3), centres at +0.5, and `world_from_camera` (V, 4, 4), z up, in metres.

    recorded_size: width and height in pixels to which the intrinsics in Frames.txt refer. Each frame gets the pose nearest in
    time. Raises UserError naming the file or line of anything missing or damaged.
    """
    if not (folder / "Frames.txt").is_file():
        return _read_prepared(folder, stride, max_frames)
    later = increasing_times()
    frames = read_rows(folder / "Frames.txt", 6, lambda row: later(row) or _intrinsics_fault(row[2], row[3]))
    times, poses = read_trajectory(folder / "ARposes.txt", scalar_first=True)
    if not len(frames) or not len(poses):
        raise UserError(f"{folder}: Frames.txt or ARposes.txt is empty")
    frames = frames[::stride][: max_frames or None]
    nearest, late = nearest_in_time(times, frames[:, 0])
    if late.max() > LATEST:
        raise UserError(
            f"{folder / 'ARposes.txt'}: no pose within {LATEST} s of the frame at {frames[late.argmax(), 0]:.3f}; "
            "times are seconds of one clock in Frames.txt and ARposes.txt"
        )
    images, size = _images(folder, frames[:, 1].astype(int))
    return {
        "images": images,
        "intrinsics": _scaled(folder / "Frames.txt", frames[:, 2:], size, recorded_size),
        "world_from_camera": world_from_arkit(poses[nearest], camera_height),
    }


def world_from_arkit(poses: NDArray[np.float64], camera_height: float) -> NDArray[np.float64]:
    """Convert ARKit poses (V, 4, 4) to z up and OpenCV camera axes: R' = Rx(90) R diag(1, -1, -1), t' = Rx(90) t."""
    world: NDArray[np.float64] = Z_UP_FROM_Y_UP @ poses @ OPENCV_FROM_OPENGL
    world[:, 2, 3] += camera_height
    return world


def _read_prepared(folder: Path, stride: int, max_frames: int) -> dict[str, Any]:
    file = folder / "fragments.pkl"
    found: dict[int, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for fragment in read_fragments(file):
        if fragment.extrinsics is None or fragment.intrinsics is None:
            raise UserError(f"{file}: fragment {fragment.fragment_id} has no extrinsics or intrinsics; captures need both")
        found.update(zip(fragment.image_ids, zip(fragment.extrinsics, fragment.intrinsics)))
    numbers = np.array(sorted(found))[::stride][: max_frames or None]
    images, _ = _files(folder, numbers, "fragments.pkl")
    poses, intrinsics = zip(*(found[number] for number in numbers.tolist()))
    return {"images": images, "intrinsics": np.stack(intrinsics), "world_from_camera": np.stack(poses)}


def _intrinsics_fault(fx: float, fy: float) -> str | None:
    return None if min(fx, fy) > 0 else f"focal lengths must be positive, got {fx:g} and {fy:g} pixels"


def _scaled(file: Path, rows: NDArray[np.float64], size: tuple[int, int], recorded: tuple[int, int]) -> NDArray[np.float64]:
    """Return intrinsics (V, 3, 3) of images of `size` (H, W) from fx, fy, cx, cy at the recorded size, integer centres."""
    matrices = np.tile(np.eye(3), (len(rows), 1, 1))
    matrices[:, 0, 0], matrices[:, 1, 1] = rows[:, 0], rows[:, 1]
    matrices[:, :2, 2] = rows[:, 2:] + 0.5
    # The principal point should be near the image centre; if it is not, the recorded size is wrong.
    offset = np.abs(matrices[:, :2, 2] / recorded - 0.5)
    if offset.max() > 0.25 or abs(size[1] * recorded[1] / (size[0] * recorded[0]) - 1) > 0.02:
        raise UserError(
            f"{file}: the intrinsics do not belong to {recorded[0]}x{recorded[1]}, or the images ({size[1]}x{size[0]}) have "
            "another aspect ratio; set dataset.recorded_size=[WIDTH,HEIGHT] to the size the phone recorded"
        )
    scaled: NDArray[np.float64] = np.diag([size[1] / recorded[0], size[0] / recorded[1], 1.0]) @ matrices
    return scaled


def _images(folder: Path, numbers: NDArray[np.int64]) -> tuple[Images, tuple[int, int]]:
    if (folder / "images").is_dir():
        return _files(folder, numbers, "Frames.txt")
    video = folder / "Frames.m4v"
    if not video.is_file():
        raise UserError(f"{folder}: neither a folder `images` nor a video Frames.m4v")
    reader = _video(video)
    if not reader.opened or reader.width == 0:
        raise UserError(f"{video}: not a video that can be decoded; extract its frames into {folder / 'images'}/00000.jpg ...")
    if int(numbers.max()) >= reader.frame_cnt:
        raise UserError(f"{video}: {reader.frame_cnt} frames, but Frames.txt lists frame {int(numbers.max())}")
    return LazySequence(partial(_load_video, video, numbers), len(numbers)), (reader.height, reader.width)


def _files(folder: Path, numbers: NDArray[np.int64], listed: str) -> tuple[Images, tuple[int, int]]:
    found = (folder / "images").iterdir()
    files = {int(file.stem): file for file in found if file.suffix.lower() in SUFFIXES and file.stem.isdigit()}
    if missing := [number for number in numbers.tolist() if number not in files]:
        raise UserError(f"{folder / 'images'}: no image of frame {missing[0]}, which is listed in {listed}")
    chosen = [files[number] for number in numbers.tolist()]
    size = image_size(chosen[0])
    return LazySequence(partial(_load_file, chosen, size), len(chosen)), size


def _load_file(files: list[Path], size: tuple[int, int], index: int) -> NDArray[np.float32]:
    image = read_image(files[index])
    if image.shape[1:] != size:
        found = f"{image.shape[2]}x{image.shape[1]} pixels"
        raise UserError(f"{files[index]}: {found}, but the capture's first has {size[1]}x{size[0]}")
    return image


@lru_cache(maxsize=1)
def _video(file: Path) -> Any:
    # An open video cannot be pickled, so every process opens its own.
    from mmcv import VideoReader

    return VideoReader(str(file), cache_capacity=1)


def _load_video(file: Path, numbers: NDArray[np.int64], index: int) -> NDArray[np.float32]:
    frame = _video(file).get_frame(int(numbers[index]))
    if frame is None:
        raise UserError(f"{file}: frame {int(numbers[index])} cannot be decoded; extract the frames into images/00000.jpg ...")
    # OpenCV decodes to BGR.
    return np.ascontiguousarray(frame[..., ::-1].transpose(2, 0, 1), np.float32) / np.float32(255)
