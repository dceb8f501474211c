"""The layout of the TUM RGB-D benchmark (Sturm et al., IROS 2012): rgb.txt, depth.txt, groundtruth.txt.

Lists of `time file`, and of `time tx ty tz qx qy qz qw`, camera-to-world. Depth is 16 bit, 5000 units per metre, 0 = invalid.
A frame is an image with a depth map and a pose within 0.02 s of it.
"""

import re
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.images import image_size, read_gray16, read_image
from deep3dmap.data.formats.numbers import increasing_times, nearest_in_time, read_words
from deep3dmap.data.formats.rgbd_scan import RgbdCameras, Scan, make_scan, pinhole
from deep3dmap.data.formats.trajectory import read_trajectory

PER_METRE = 5000.0
TOLERANCE = 0.02  # seconds
# fx, fy, cx, cy of the three cameras, integer pixel centres; a scan's name identifies its camera: freiburg1 or fr1.
CAMERAS = {
    "1": (517.3, 516.5, 318.6, 255.3),
    "2": (520.9, 521.0, 325.1, 249.7),
    "3": (535.4, 539.2, 320.1, 247.6),
}


def is_scan(folder: Path) -> bool:
    """Return whether the folder is a recording."""
    return all((folder / name).is_file() for name in ("rgb.txt", "depth.txt", "groundtruth.txt"))


def read_scan(folder: Path, stride: int = 1, max_frames: int = 0, camera: list[float] | None = None) -> Scan:
    """Read a recording. camera: fx, fy, cx, cy in pixels, integer centres; by default, chosen by the folder name.

    Raises UserError naming the file or line for damaged lists, and if no image has a depth map and a pose close in time.
    """
    pose_times, poses = read_trajectory(folder / "groundtruth.txt")
    color_times, colors = _read_file_list(folder / "rgb.txt")
    depth_times, depths = _read_file_list(folder / "depth.txt")
    if not len(poses):
        raise UserError(f"{folder / 'groundtruth.txt'}: no poses in it")
    pose_at, pose_late = nearest_in_time(pose_times, color_times)
    depth_at, depth_late = nearest_in_time(depth_times, color_times)
    frames = np.flatnonzero((pose_late <= TOLERANCE) & (depth_late <= TOLERANCE))[::stride][: max_frames or None]
    if not len(frames):
        raise UserError(f"{folder}: no image has a depth map and a pose within {TOLERANCE} s; check the times in the lists")
    color_files, depth_files = [colors[i] for i in frames], [depths[i] for i in depth_at[frames]]
    size = image_size(color_files[0])
    images = LazySequence(partial(_load_color, color_files, size), len(frames))
    registered = LazySequence(partial(_load_depth, depth_files, size), len(frames))
    intrinsics = _intrinsics(folder, camera)
    # The benchmark's depth is already registered to the colour images.
    return make_scan(images, registered, RgbdCameras(intrinsics, intrinsics, np.eye(4)), poses[pose_at[frames]], size)


def _read_file_list(file: Path) -> tuple[NDArray[np.float64], list[Path]]:
    times, files, late = [], [], increasing_times()
    for number, words in read_words(file):
        try:
            time, name = float(words[0]), words[1]
        except (ValueError, IndexError) as error:
            raise UserError(f"{file}, line {number}: expected `time file`, got '{' '.join(words)}'") from error
        if fault := late([time]):
            raise UserError(f"{file}, line {number}: {fault}")
        if not (file.parent / name).is_file():
            raise UserError(f"{file}, line {number}: {file.parent / name} is missing; restore it or drop the line")
        times.append(time)
        files.append(file.parent / name)
    if not files:
        raise UserError(f"{file}: no files in it")
    return np.array(times), files


def _intrinsics(folder: Path, camera: list[float] | None) -> NDArray[np.float64]:
    named = re.search(r"(?:freiburg|fr)([123])", folder.resolve().name)
    values = list(camera) if camera else list(CAMERAS[named[1]]) if named else []
    if not values:
        raise UserError(f"{folder}: the name contains none of freiburg1, 2, 3; set dataset.camera=[fx,fy,cx,cy] in pixels")
    return pinhole(values, "dataset.camera")


def _load_color(files: list[Path], size: tuple[int, int], index: int) -> NDArray[np.float32]:
    image = read_image(files[index])
    _check_size(files[index], image.shape[1:], size)
    return image


def _load_depth(files: list[Path], size: tuple[int, int], index: int) -> NDArray[np.float32]:
    depth = read_gray16(files[index])
    _check_size(files[index], depth.shape, size)
    return (depth / PER_METRE).astype(np.float32)


def _check_size(file: Path, found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found != expected:
        raise UserError(f"{file}: {found[1]}x{found[0]} pixels, but the recording's first has {expected[1]}x{expected[0]}")
