"""The on-disk layout of 7-Scenes (Shotton et al., CVPR 2013; Glocker et al., ISMAR 2013): reader and writer of one scan.

A scan is a folder of frame-XXXXXX.color.png (or .jpg), frame-XXXXXX.depth.png (16 bit, millimetres, 0 and 65535 = invalid)
and frame-XXXXXX.pose.txt (4x4 camera-to-world, metres, x right, y down, z forward). Optional beside the frames, or one
folder up: camera-intrinsics.txt (3x3, integer pixel centres: the reader adds 0.5 to the principal point, the writer takes
it off), a mesh as PLY, world_to_zup.txt (4x4), and frame-XXXXXX.true_depth.png where the exact depth is known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.cameras import check_pose
from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.data.formats.images import image_size, read_gray16, read_image, write_gray16, write_image
from deep3dmap.data.formats.ply import write_ply

NOMINAL_INTRINSICS = np.array([[585.0, 0, 320.0], [0, 585.0, 240.0], [0, 0, 1]])  # the data set's own, integer centres
INVALID_DEPTHS = (0, 65535)
LARGEST_MEDIAN_DEPTH = 50.0  # metres; a room is never as deep, so the unit must be wrong
_FRAME = re.compile(r"^frame-(\d+)\.(color\.(?:png|jpg)|depth\.png|true_depth\.png|pose\.txt)$")


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame; true_depth is None for real scans."""

    color: Path
    depth: Path
    pose: Path
    true_depth: Path | None = None


@dataclass(frozen=True)
class Scan:
    """One scan; pixels are read when asked for.

    images: V (3, H, W) float32 RGB in [0, 1]. depths, true_depths: V (H, W) float32 metres, 0 = invalid; true_depths is
    `depths` where the exact depth is not known. intrinsics: (V, 3, 3), pixel centres at +0.5. world_from_camera: (V, 4, 4).
    """

    images: Sequence[NDArray[np.float32]]
    depths: Sequence[NDArray[np.float32]]
    true_depths: Sequence[NDArray[np.float32]]
    intrinsics: NDArray[np.float64]
    world_from_camera: NDArray[np.float64]


def is_scan(folder: Path) -> bool:
    """Whether the folder itself holds frames."""
    return any(_FRAME.match(file.name) for file in folder.glob("frame-*"))


def list_frames(folder: Path, stride: int = 1, max_frames: int = 0) -> list[FrameFiles]:
    """Return the files of every `stride`-th frame in order of number, at most `max_frames` (0 = all).

    Raises UserError that names the missing file if a frame lacks its colour, depth or pose.
    """
    found: dict[str, dict[str, Path]] = {}
    for file in folder.glob("frame-*"):
        if match := _FRAME.match(file.name):
            found.setdefault(match[1], {})[match[2].split(".")[0]] = file
    if not found:
        raise UserError(f"{folder}: no frames; a scan holds frame-000000.color.png, .depth.png and .pose.txt and so on")
    numbers = sorted(found, key=int)[::stride][: max_frames or None]
    frames = [_frame(folder, number, found[number]) for number in numbers]
    if 0 < sum(frame.true_depth is not None for frame in frames) < len(frames):
        raise UserError(f"{folder}: some frames have a true_depth.png and others do not; give all of them or none")
    return frames


def read_scan(folder: Path, stride: int = 1, max_frames: int = 0, depth_scale: float = 0.001) -> Scan:
    """Read poses and intrinsics of a scan and set up its pixels. `depth_scale`: metres per unit of the depth files.

    Raises UserError, which names the file, for a missing or damaged file, a pose that is not rigid or not finite, pictures of
    unequal size, and depth whose median is above 50 m.
    """
    frames = list_frames(folder, stride, max_frames)
    size = image_size(frames[0].color)
    poses = np.stack([_read_pose(frame.pose) for frame in frames])
    images = LazySequence(partial(_load_color, [frame.color for frame in frames], size), len(frames))
    depths = LazySequence(partial(_load_depth, [frame.depth for frame in frames], size, depth_scale), len(frames))
    exact = [frame.true_depth for frame in frames if frame.true_depth is not None]
    true_depths = LazySequence(partial(_load_depth, exact, size, depth_scale), len(exact)) if exact else depths
    intrinsics = np.repeat(read_intrinsics(folder)[None], len(frames), 0)
    return Scan(images, depths, true_depths, intrinsics, poses)


def read_depth(file: Path, depth_scale: float = 0.001) -> NDArray[np.float32]:
    """Return depth (H, W) float32 in metres, 0 = invalid. Raises UserError if its median is above 50 m."""
    values = read_gray16(file)
    depth = (values * np.float32(depth_scale)).astype(np.float32)
    depth[np.isin(values, INVALID_DEPTHS)] = 0
    sparse = depth[::4, ::4]
    median = float(np.median(sparse[sparse > 0])) if (sparse > 0).any() else 0.0
    if median > LARGEST_MEDIAN_DEPTH:
        raise UserError(
            f"{file}: the median depth is {median:.0f} m, so the unit is wrong; set dataset.depth_scale (metres per unit)"
        )
    return depth


def read_intrinsics(folder: Path) -> NDArray[np.float64]:
    """Return the (3, 3) intrinsics of a scan for pixel centres at +0.5, from camera-intrinsics.txt or the nominal ones."""
    file = _beside(folder, "camera-intrinsics.txt")
    intrinsics = NOMINAL_INTRINSICS.copy() if file is None else _numbers(file, (3, 3))
    if not np.isfinite(intrinsics).all() or min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
        raise UserError(f"{file}: focal lengths are positive finite numbers; the file holds 3x3 intrinsics in pixels")
    intrinsics[:2, 2] += 0.5
    return intrinsics


def read_world_to_zup(folder: Path) -> NDArray[np.float64]:
    """Return the (4, 4) transform from the scan's world to one with z up and the floor at z = 0; UserError if there is none."""
    file = _beside(folder, "world_to_zup.txt")
    if file is None:
        raise UserError(f"{folder}: align_to_zup needs world_to_zup.txt (4x4) beside the frames; write one or set it to false")
    return check_pose(_numbers(file, (4, 4)), str(file))


def find_mesh(folder: Path, name: str = "") -> Path | None:
    """Return the mesh file of a scan: `name` (relative to the folder), else its single PLY file, else None."""
    if name:
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file}: the mesh is missing; dataset.mesh names a file of the scan's folder")
        return file
    found = sorted(folder.glob("*.ply"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise UserError(f"{folder}: several meshes ({names}); say which one with dataset.mesh=NAME")
    return found[0] if found else None


def read_scan_mesh(file: Path) -> Mesh:
    """Read the reference mesh of a scan, in the scan's world frame, metres."""
    mesh = read_mesh(file)
    if not np.isfinite(mesh.vertices).all():
        raise UserError(f"{file}: the mesh has vertices that are NaN or infinite; repair the file")
    return mesh


def write_intrinsics(folder: Path, intrinsics: NDArray[np.float64]) -> None:
    """Write camera-intrinsics.txt from (3, 3) intrinsics for pixel centres at +0.5."""
    written = np.array(intrinsics, np.float64)
    written[:2, 2] -= 0.5
    np.savetxt(folder / "camera-intrinsics.txt", written, fmt="%.9g")


def write_frame(
    folder: Path,
    number: int,
    image: NDArray[np.float32],
    depth: NDArray[np.float32],
    world_from_camera: NDArray[np.float64],
    true_depth: NDArray[np.float32] | None = None,
) -> None:
    """Write one frame: image (3, H, W) in [0, 1], depths (H, W) in metres with 0 = invalid, pose (4, 4)."""
    stem = folder / f"frame-{number:06d}"
    write_image(Path(f"{stem}.color.png"), image)
    write_gray16(Path(f"{stem}.depth.png"), _millimetres(depth))
    if true_depth is not None:
        write_gray16(Path(f"{stem}.true_depth.png"), _millimetres(true_depth))
    np.savetxt(f"{stem}.pose.txt", world_from_camera, fmt="%.12g")


def write_scan_mesh(folder: Path, mesh: Mesh) -> None:
    """Write the reference mesh of a scan as mesh.ply."""
    write_ply(folder / "mesh.ply", mesh)


def _frame(folder: Path, number: str, parts: dict[str, Path]) -> FrameFiles:
    for part, suffix in (("color", "png"), ("depth", "png"), ("pose", "txt")):
        if part not in parts:
            missing = folder / f"frame-{number}.{part}.{suffix}"
            raise UserError(f"{missing}: the file is missing; restore it or remove the other files of frame {number}")
    return FrameFiles(parts["color"], parts["depth"], parts["pose"], parts.get("true_depth"))


def _load_color(files: list[Path], size: tuple[int, int], index: int) -> NDArray[np.float32]:
    image = read_image(files[index])
    _check_size(files[index], (image.shape[1], image.shape[2]), size)
    return image


def _load_depth(files: list[Path], size: tuple[int, int], depth_scale: float, index: int) -> NDArray[np.float32]:
    depth = read_depth(files[index], depth_scale)
    _check_size(files[index], (depth.shape[0], depth.shape[1]), size)
    return depth


def _check_size(file: Path, found: tuple[int, int], expected: tuple[int, int]) -> None:
    if found != expected:
        raise UserError(
            f"{file}: {found[1]}x{found[0]} pixels, but the scan's first picture has {expected[1]}x{expected[0]}; "
            "colour and depth must be registered and of one size"
        )


def _read_pose(file: Path) -> NDArray[np.float64]:
    return check_pose(_numbers(file, (4, 4)), str(file))


def _numbers(file: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    try:
        values = np.array(file.read_text().split(), np.float64)
    except (ValueError, OSError) as error:
        raise UserError(f"{file}: expected {shape[0]}x{shape[1]} numbers ({error})") from error
    if values.size != shape[0] * shape[1]:
        raise UserError(f"{file}: expected {shape[0]}x{shape[1]} numbers, got {values.size}")
    return values.reshape(shape)


def _beside(folder: Path, name: str) -> Path | None:
    return next((place / name for place in (folder, folder.parent) if (place / name).is_file()), None)


def _millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.clip(np.round(depth * 1000.0), 0, 65534).astype(np.uint16)
