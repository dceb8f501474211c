"""The layout of the TUM RGB-D benchmark (Sturm et al., IROS 2012): rgb.txt, depth.txt, groundtruth.txt.

Lists of `time file`, and of `time tx ty tz qx qy qz qw`, camera-to-world. Depth is 16 bit, 5000 a metre, 0 = invalid.
A frame is a picture with a depth map and a pose within 0.02 s of it.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.images import read_gray16, read_image
from deep3dmap.data.formats.numbers import nearest_in_time, read_rows
from deep3dmap.data.formats.sevenscenes import Scan

PER_METRE = 5000.0
TOLERANCE = 0.02  # seconds
# fx, fy, cx, cy of the three cameras, integer pixel centres; a scan's name says which one recorded it.
CAMERAS = {
    "freiburg1": (517.3, 516.5, 318.6, 255.3),
    "freiburg2": (520.9, 521.0, 325.1, 249.7),
    "freiburg3": (535.4, 539.2, 320.1, 247.6),
}


def is_scan(folder: Path) -> bool:
    """Whether the folder holds one recording."""
    return all((folder / name).is_file() for name in ("rgb.txt", "depth.txt", "groundtruth.txt"))


def read_scan(folder: Path, stride: int = 1, max_frames: int = 0, camera: list[float] | None = None) -> Scan:
    """Read a recording. camera: fx, fy, cx, cy in pixels, integer centres; left out, by the name of the folder.

    Raises UserError that names the file or line for damaged lists, and if no picture has a depth map and a pose in time.
    """
    poses = read_rows(folder / "groundtruth.txt", 8)
    color_times, colors = _list(folder, "rgb.txt")
    depth_times, depths = _list(folder, "depth.txt")
    if not len(poses):
        raise UserError(f"{folder / 'groundtruth.txt'}: no poses in it")
    pose_at, pose_late = nearest_in_time(poses[:, 0], color_times)
    depth_at, depth_late = nearest_in_time(depth_times, color_times)
    frames = np.flatnonzero((pose_late <= TOLERANCE) & (depth_late <= TOLERANCE))[::stride][: max_frames or None]
    if not len(frames):
        raise UserError(f"{folder}: no picture has a depth map and a pose within {TOLERANCE} s; check the times of the lists")
    lazy = LazySequence(partial(_load_depth, [depths[i] for i in depth_at[frames]]), len(frames))
    return Scan(
        LazySequence(partial(_load_color, [colors[i] for i in frames]), len(frames)),
        lazy,
        lazy,
        np.repeat(_intrinsics(folder, camera)[None], len(frames), 0),
        matrices_of(poses[pose_at[frames], 1:]),
    )


def matrices_of(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, 4, 4) transforms of rows tx ty tz qx qy qz qw."""
    matrices = np.tile(np.eye(4), (len(rows), 1, 1))
    matrices[:, :3, :3] = Rotation.from_quat(rows[:, 3:]).as_matrix()
    matrices[:, :3, 3] = rows[:, :3]
    return matrices


def _list(folder: Path, name: str) -> tuple[NDArray[np.float64], list[Path]]:
    times, files = [], []
    for number, line in enumerate((folder / name).read_text().splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            times.append(float(words[0]))
            files.append(folder / words[1])
        except (ValueError, IndexError) as error:
            raise UserError(f"{folder / name}, line {number}: expected `time file`, got '{line}'") from error
    if not files:
        raise UserError(f"{folder / name}: no files in it")
    return np.array(times), files


def _intrinsics(folder: Path, camera: list[float] | None) -> NDArray[np.float64]:
    known = next((values for name, values in CAMERAS.items() if name in folder.resolve().name), None)
    values = tuple(camera) if camera else known
    if values is None or len(values) != 4:
        raise UserError(f"{folder}: the name says no camera of {sorted(CAMERAS)}; give dataset.camera=[fx,fy,cx,cy]")
    fx, fy, cx, cy = values
    return np.array([[fx, 0, cx + 0.5], [0, fy, cy + 0.5], [0, 0, 1]])


def _load_color(files: list[Path], index: int) -> NDArray[np.float32]:
    return read_image(files[index])


def _load_depth(files: list[Path], index: int) -> NDArray[np.float32]:
    return (read_gray16(files[index]) / PER_METRE).astype(np.float32)
