"""The layout into which ScanNet's own tool exports a `.sens` file (Dai et al., CVPR 2017): reader and writer of one scan.

    color/0.jpg ...  depth/0.png ... (16 bit, millimetres, 0 = invalid)  pose/0.txt ... (4x4 camera-to-world, metres)
    intrinsic/intrinsic_color.txt, intrinsic/intrinsic_depth.txt (4x4, integer pixel centres)

Frames whose pose is not finite are left out, as the data set's authors ask. Depth is registered to colour up to a scale, so
both get one camera: colour is brought to the size of depth with its intrinsics, after NeuralRecon's preparation, which first
pads ScanNet's 1296x968 by two rows above and below to the 4:3 of the depth.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.cameras import check_pose
from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.data.formats.images import image_size, read_gray16, read_image, write_gray16, write_image
from deep3dmap.data.formats.numbers import read_matrix
from deep3dmap.data.formats.sevenscenes import Scan

COLOR_SIZE = (968, 1296)
PADDING = 2  # rows above and below
MILLIMETRE = 0.001


def is_scan(folder: Path) -> bool:
    """Whether the folder holds one exported scan."""
    return all((folder / part).is_dir() for part in ("color", "pose", "intrinsic"))


def read_scan(folder: Path, stride: int = 1, max_frames: int = 0) -> Scan:
    """Read poses and intrinsics of a scan and set up its pixels, which are read when asked for.

    Raises UserError that names the file for one that is missing or damaged, and if no pose is finite.
    """
    names = _frames(folder)[::stride]
    poses = {name: read_matrix(folder / "pose" / f"{name}.txt", 4, 4) for name in names}
    names = [name for name in names if np.isfinite(poses[name]).all()][: max_frames or None]
    if not names:
        raise UserError(f"{folder / 'pose'}: no finite pose, so there is nothing to read")
    colors, depths = [_color_file(folder, name) for name in names], [folder / "depth" / f"{name}.png" for name in names]
    if missing := next((file for file in depths if not file.is_file()), None):
        raise UserError(f"{missing}: the depth of a frame is missing; export the scan again")
    color_size, size = image_size(colors[0]), image_size(depths[0])
    intrinsics = _intrinsics_at(folder, color_size, size)
    checked = np.stack([check_pose(poses[name], str(folder / "pose" / f"{name}.txt")) for name in names])
    lazy = LazySequence(partial(_load_depth, depths), len(names))
    return Scan(
        LazySequence(partial(_load_color, colors, size), len(names)),
        lazy,
        lazy,
        np.repeat(intrinsics[None], len(names), 0),
        checked,
    )


def write_frame(
    folder: Path, number: int, image: NDArray[np.float32], depth: NDArray[np.float32], world_from_camera: NDArray[np.float64]
) -> None:
    """Write one frame: image (3, H, W) in [0, 1], depth (H, W) metres, pose (4, 4). Colour is written without loss."""
    for part in ("color", "depth", "pose"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    write_image(folder / "color" / f"{number}.png", image)
    write_gray16(folder / "depth" / f"{number}.png", np.clip(np.round(depth / MILLIMETRE), 0, 65534).astype(np.uint16))
    np.savetxt(folder / "pose" / f"{number}.txt", world_from_camera, fmt="%.12g")


def write_intrinsics(folder: Path, intrinsics: NDArray[np.float64]) -> None:
    """Write both cameras' intrinsics from (3, 3) for pixel centres at +0.5."""
    (folder / "intrinsic").mkdir(parents=True, exist_ok=True)
    matrix = np.eye(4)
    matrix[:3, :3] = intrinsics
    matrix[:2, 2] -= 0.5
    for camera in ("color", "depth"):
        np.savetxt(folder / "intrinsic" / f"intrinsic_{camera}.txt", matrix, fmt="%.9g")


def _frames(folder: Path) -> list[str]:
    names = [file.stem for file in (folder / "pose").glob("*.txt") if file.stem.isdigit()]
    if not names:
        raise UserError(f"{folder / 'pose'}: no poses; an exported scan holds pose/0.txt, color/0.jpg, depth/0.png and so on")
    return sorted(names, key=int)


def _color_file(folder: Path, name: str) -> Path:
    for suffix in ("jpg", "png"):
        file = folder / "color" / f"{name}.{suffix}"
        if file.is_file():
            return file
    raise UserError(f"{folder / 'color' / name}.jpg: the picture of a frame is missing; export the scan again")


def _intrinsics_at(folder: Path, color_size: tuple[int, int], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return colour's intrinsics (3, 3) at the size (H, W) of depth, pixel centres at +0.5."""
    file = folder / "intrinsic" / "intrinsic_color.txt"
    lens = read_matrix(file, 4, 4)[:3, :3].copy()
    if not np.isfinite(lens).all() or min(lens[0, 0], lens[1, 1]) <= 0:
        raise UserError(f"{file}: focal lengths are positive finite numbers; the file holds 4x4 intrinsics in pixels")
    lens[:2, 2] += 0.5
    height, width = color_size
    if color_size == COLOR_SIZE:
        lens[1, 2] += PADDING
        height += 2 * PADDING
    return np.diag([size[1] / width, size[0] / height, 1.0]) @ lens


def _load_color(files: list[Path], size: tuple[int, int], index: int) -> NDArray[np.float32]:
    image = read_image(files[index])
    if image.shape[1:] == COLOR_SIZE:
        image = np.pad(image, ((0, 0), (PADDING, PADDING), (0, 0)))
    if image.shape[1:] == size:
        return image
    import torch

    resized = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None], size, mode="bilinear", align_corners=False, antialias=True
    )
    result: NDArray[np.float32] = resized[0].numpy()
    return result


def _load_depth(files: list[Path], index: int) -> NDArray[np.float32]:
    return (read_gray16(files[index]) * np.float32(MILLIMETRE)).astype(np.float32)
