"""Scans in the layout to which ScanNet's official tool exports a `.sens` file (Dai et al., CVPR 2017): reader and writer.

    color/0.jpg ...  depth/0.png ... (16 bit, millimetres, 0 = invalid)  pose/0.txt ... (4x4 camera-to-world, metres)
    intrinsic/intrinsic_color.txt, intrinsic/intrinsic_depth.txt (4x4, integer pixel centres)
    SCENE_vh_clean_2.ply (the reference mesh), and true_depth/0.png ... if the exact depth is known

Frames with infinite poses lost tracking and are skipped, as recommended by the dataset's authors. Images are resized to the
depth maps (640x480) and `intrinsics` are those of the colour camera at that size, as in NeuralRecon's loader, which first pads
ScanNet's 1296x968 with two black rows above and below to the 4:3 aspect ratio of the depth. The depth camera's intrinsics
differ slightly: `depths` are registered to the colour camera, `sensor_depths` are as measured, and the prepared TSDFs are fused
from the latter, as in NeuralRecon's tools. Both cameras are assumed to share one position, as in the published extrinsics.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import check_pose
from deep3dmap.core.ply import to_ply
from deep3dmap.data.formats.images import image_size, read_gray16, read_image, write_image, write_millimetres
from deep3dmap.data.formats.numbers import read_matrix
from deep3dmap.data.formats.resizing import resize
from deep3dmap.data.formats.rgbd_scan import RgbdCameras, Scan, make_scan

COLOR_SIZE = (968, 1296)
PADDING = 2  # rows above and below
MILLIMETRE = 0.001
PARTS = ("color", "depth", "pose", "intrinsic", "true_depth")
MESH = "_vh_clean_2.ply"


def is_scan(folder: Path) -> bool:
    """Return whether the folder is an exported scan."""
    return all((folder / part).is_dir() for part in ("color", "pose", "intrinsic"))


def read_scan(folder: Path, stride: int = 1, max_frames: int = 0) -> Scan:
    """Read the poses and intrinsics of a scan; its pixels are loaded lazily.

    stride: read every `stride`-th frame, counted before frames without a pose are skipped. max_frames: 0 = all.
    Raises UserError naming the file if it is missing, damaged or differs in size from the first, for a pose that is not rigid
    or contains NaN, and if no pose is finite.
    """
    names = _frames(folder)
    poses = {name: read_matrix(folder / "pose" / f"{name}.txt", 4, 4) for name in names[::stride]}
    chosen = [name for name, pose in poses.items() if not np.isinf(pose).any()][: max_frames or None]
    if not chosen:
        raise UserError(f"{folder / 'pose'}: no finite pose, so there is nothing to read")
    colors, depths = [_color_file(folder, name) for name in chosen], _depth_files(folder, "depth", chosen)
    color_size, size = image_size(colors[0]), image_size(depths[0])
    cameras = RgbdCameras(_color_intrinsics(folder, color_size, size), read_depth_intrinsics(folder), np.eye(4))
    sensed = LazySequence(partial(_load_depth, depths, size), len(chosen))
    exact = _depth_files(folder, "true_depth", chosen) if (folder / "true_depth").is_dir() else None
    return make_scan(
        LazySequence(partial(_load_color, colors, color_size, size), len(chosen)),
        sensed,
        cameras,
        np.stack([check_pose(poses[name], str(folder / "pose" / f"{name}.txt")) for name in chosen]),
        size,
        None if exact is None else LazySequence(partial(_load_depth, exact, size), len(chosen)),
    )


def read_depth_intrinsics(folder: Path) -> NDArray[np.float64]:
    """Return the depth camera's intrinsics (3, 3) in pixels of the depth maps, pixel centres at +0.5."""
    return _intrinsics(folder / "intrinsic" / "intrinsic_depth.txt")


def find_mesh(folder: Path) -> Path | None:
    """Return the file of a scan's reference mesh, None if there is none; raises UserError if there are several."""
    found = sorted(folder.glob(f"*{MESH}"))
    if len(found) > 1:
        raise UserError(f"{folder}: several meshes ({', '.join(file.name for file in found)}); keep only the scan's own")
    return found[0] if found else None


def scan_files(folder: Path) -> Iterable[Path]:
    """Return the files of a scan that may be read."""
    yield from (file for part in PARTS for file in (folder / part).glob("*.*") if not file.name.startswith("."))
    yield from folder.glob(f"*{MESH}")


def write_frame(
    folder: Path,
    number: int,
    image: NDArray[np.float32],
    depth: NDArray[np.float32],
    world_from_camera: NDArray[np.float64],
    true_depth: NDArray[np.float32] | None = None,
) -> None:
    """Write one frame: image (3, H, W) in [0, 1], depths (H, W) in metres, pose (4, 4). Colour is stored losslessly."""
    for part in ("color", "depth", "pose", *(["true_depth"] if true_depth is not None else [])):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_image(folder / "color" / f"{number}.png", image)
    write_millimetres(folder / "depth" / f"{number}.png", depth)
    if true_depth is not None:
        write_millimetres(folder / "true_depth" / f"{number}.png", true_depth)
    np.savetxt(folder / "pose" / f"{number}.txt", world_from_camera, fmt="%.12g")


def write_intrinsics(folder: Path, intrinsics: NDArray[np.float64]) -> None:
    """Write intrinsics (3, 3), pixel centres at +0.5, for both cameras."""
    (folder / "intrinsic").mkdir(parents=True, exist_ok=True)
    matrix = np.eye(4)
    matrix[:3, :3] = intrinsics
    matrix[:2, 2] -= 0.5
    for camera in ("color", "depth"):
        np.savetxt(folder / "intrinsic" / f"intrinsic_{camera}.txt", matrix, fmt="%.9g")


def write_scan_mesh(folder: Path, mesh: Mesh) -> None:
    """Write the reference mesh of a scan under the name expected by the reader."""
    (folder / f"scene{MESH}").write_bytes(to_ply(mesh))


def _frames(folder: Path) -> list[str]:
    names = {file.stem for file in (folder / "pose").glob("*.txt") if file.stem.isdigit()}
    if not names:
        raise UserError(
            f"{folder / 'pose'}: no poses; an exported scan contains pose/0.txt, color/0.jpg, depth/0.png and so on"
        )
    pictures = {file.stem for file in (folder / "color").iterdir() if file.stem.isdigit()}
    if alone := sorted(pictures ^ names, key=int):
        counts = f"{len(pictures)} images in color/ and {len(names)} poses in pose/"
        raise UserError(f"{folder}: {counts}; frame {alone[0]} has only one of the two, export the scan again")
    return sorted(names, key=int)


def _color_file(folder: Path, name: str) -> Path:
    found = (folder / "color" / f"{name}.{suffix}" for suffix in ("jpg", "png"))
    file = next((file for file in found if file.is_file()), None)
    if file is None:
        raise UserError(f"{folder / 'color' / name}: neither a .jpg nor a .png file; export the scan again")
    return file


def _depth_files(folder: Path, part: str, names: list[str]) -> list[Path]:
    files = [folder / part / f"{name}.png" for name in names]
    if missing := next((file for file in files if not file.is_file()), None):
        raise UserError(f"{missing}: the depth of a frame is missing; export the scan again")
    return files


def _intrinsics(file: Path) -> NDArray[np.float64]:
    intrinsics = read_matrix(file, 4, 4)[:3, :3].copy()
    if not np.isfinite(intrinsics).all() or min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
        raise UserError(f"{file}: focal lengths must be positive and finite; the file contains 4x4 intrinsics in pixels")
    intrinsics[:2, 2] += 0.5
    return intrinsics


def _color_intrinsics(folder: Path, color_size: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the colour camera's intrinsics (3, 3) at the size (H, W) of depth, pixel centres at +0.5."""
    intrinsics = _intrinsics(folder / "intrinsic" / "intrinsic_color.txt")
    height, width = color_size
    if color_size == COLOR_SIZE:
        intrinsics[1, 2] += PADDING
        height += 2 * PADDING
    return np.diag([size[1] / width, size[0] / height, 1.0]) @ intrinsics


def _load_color(files: list[Path], color_size: tuple[int, int], size: tuple[int, int], index: int) -> NDArray[np.float32]:
    image = read_image(files[index])
    _check_size(files[index], image.shape[1:], color_size)
    if color_size == COLOR_SIZE:
        image = np.pad(image, ((0, 0), (PADDING, PADDING), (0, 0)))
    return resize(image, *size)


def _load_depth(files: list[Path], size: tuple[int, int], index: int) -> NDArray[np.float32]:
    depth = read_gray16(files[index])
    _check_size(files[index], depth.shape, size)
    return (depth * np.float32(MILLIMETRE)).astype(np.float32)


def _check_size(file: Path, found: tuple[int, ...], expected: tuple[int, int]) -> None:
    if found != expected:
        raise UserError(f"{file}: {found[1]}x{found[0]} pixels, but the scan's first has {expected[1]}x{expected[0]}")
