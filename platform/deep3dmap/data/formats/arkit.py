"""Phone captures as NeuralRecon's demo records them: Frames.m4v or images/, Frames.txt and ARposes.txt. No depth.

Frames.txt: `time, index, fx, fy, cx, cy` of every frame. ARposes.txt: `time, tx, ty, tz, qw, qx, qy, qz`, camera-to-world in
ARKit's axes: y up, camera x right, y up, z backwards. They become z up and OpenCV's; the camera's first place is taken to be
`camera_height` above the floor.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.images import SUFFIXES, image_size, read_image
from deep3dmap.data.formats.numbers import nearest_in_time, read_rows
from deep3dmap.data.formats.tum_rgbd import matrices_of

RECORDED_SIZE = (1440, 1920)
OPENCV_FROM_ARKIT_CAMERA = np.diag([1.0, -1, -1, 1])
Z_UP_FROM_Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])


def is_capture(folder: Path) -> bool:
    """Whether the folder holds one capture."""
    return (folder / "ARposes.txt").is_file() and (folder / "Frames.txt").is_file()


def read_capture(folder: Path, stride: int = 1, max_frames: int = 0, camera_height: float = 1.5) -> dict[str, Any]:
    """Return `images` (read when asked for), `intrinsics` (V, 3, 3) at +0.5 and `world_from_camera` (V, 4, 4), z up, metres.

    Each frame takes the pose nearest in time. Raises UserError that names the file or line of anything missing or damaged.
    """
    frames = read_rows(folder / "Frames.txt", 6)
    poses = read_rows(folder / "ARposes.txt", 8)
    if not len(frames) or not len(poses):
        raise UserError(f"{folder}: Frames.txt or ARposes.txt is empty")
    frames = frames[::stride][: max_frames or None]
    nearest, _ = nearest_in_time(poses[:, 0], frames[:, 0])
    matched = poses[nearest]
    world = world_from_arkit(matrices_of(matched[:, [1, 2, 3, 5, 6, 7, 4]]), camera_height)
    images, size = _images(folder, frames[:, 1].astype(int))
    return {"images": images, "intrinsics": _intrinsics(frames[:, 2:], size), "world_from_camera": world}


def world_from_arkit(poses: NDArray[np.float64], camera_height: float) -> NDArray[np.float64]:
    """Return poses (V, 4, 4) z up with OpenCV camera axes from ARKit's."""
    world = Z_UP_FROM_Y_UP @ poses @ OPENCV_FROM_ARKIT_CAMERA
    world[:, 2, 3] += camera_height
    return world


def _intrinsics(rows: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return intrinsics (V, 3, 3) of pictures of `size` from fx, fy, cx, cy of the recorded size, integer centres."""
    matrices = np.tile(np.eye(3), (len(rows), 1, 1))
    matrices[:, 0, 0], matrices[:, 1, 1] = rows[:, 0], rows[:, 1]
    matrices[:, :2, 2] = rows[:, 2:] + 0.5
    scale = np.diag([size[1] / RECORDED_SIZE[1], size[0] / RECORDED_SIZE[0], 1.0])
    return scale @ matrices


def _images(folder: Path, numbers: NDArray[np.int64]) -> tuple[LazySequence[NDArray[np.float32]], tuple[int, int]]:
    if (folder / "images").is_dir():
        files = {int(file.stem): file for file in (folder / "images").iterdir() if _is_numbered(file)}
        if missing := [number for number in numbers.tolist() if number not in files]:
            raise UserError(f"{folder / 'images'}: no picture of frame {missing[0]}, which Frames.txt lists")
        chosen = [files[number] for number in numbers.tolist()]
        return LazySequence(partial(_load_file, chosen), len(chosen)), image_size(chosen[0])
    video = folder / "Frames.m4v"
    if not video.is_file():
        raise UserError(f"{folder}: neither a folder `images` nor a video Frames.m4v")
    from mmcv import VideoReader

    reader = VideoReader(str(video))
    if int(numbers.max()) >= reader.frame_cnt:
        raise UserError(f"{video}: {reader.frame_cnt} frames, but Frames.txt lists frame {int(numbers.max())}")
    return LazySequence(partial(_load_video, reader, numbers), len(numbers)), (reader.height, reader.width)


def _is_numbered(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and file.stem.isdigit()


def _load_file(files: list[Path], index: int) -> NDArray[np.float32]:
    return read_image(files[index])


def _load_video(reader: Any, numbers: NDArray[np.int64], index: int) -> NDArray[np.float32]:
    # OpenCV decodes blue, green, red.
    frame = reader.get_frame(int(numbers[index]))
    return np.ascontiguousarray(frame[..., ::-1].transpose(2, 0, 1), np.float32) / np.float32(255)
