"""The on-disk layout of 7-Scenes (Shotton et al., CVPR 2013; Glocker et al., ISMAR 2013): reader and writer of one scan.

A scan is a folder of frame-XXXXXX.color.png (or .jpg), frame-XXXXXX.depth.png (16 bit, millimetres, 0 and 65535 = invalid)
and frame-XXXXXX.pose.txt (4x4 camera-to-world, metres, x right, y down, z forward). Optional files next to the frames are a
PLY mesh and frame-XXXXXX.true_depth.png if the exact depth is known; next to the frames or in the parent folder,
camera-intrinsics.txt (3x3, integer pixel centres, converted to and from +0.5 by reader and writer) and world_to_zup.txt (4x4).

7-Scenes itself was recorded with a Kinect, whose depth and colour cameras are not registered: the dataset's nominal intrinsics
(585 pixels) and its poses belong to the depth camera; the colour camera has a focal length of about 525 pixels and is 25 mm to
the right. These two cameras are assumed if camera-intrinsics.txt is absent or contains the nominal values. Any other
camera-intrinsics.txt applies to both cameras, that is, depth is already registered to the images.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import check_pose
from deep3dmap.core.ply import to_ply
from deep3dmap.core.reconstruction import read_mesh
from deep3dmap.data.formats.images import image_size, read_gray16, read_image, write_image, write_millimetres
from deep3dmap.data.formats.rgbd_scan import MAX_MEDIAN_DEPTH, RgbdCameras, Scan, make_scan, pinhole

NOMINAL_DEPTH = (585.0, 585.0, 320.0, 240.0)  # fx, fy, cx, cy of the dataset, integer centres
NOMINAL_COLOR = (525.0, 525.0, 320.0, 240.0)  # fx, fy, cx, cy of the Kinect's colour camera at 640x480
KINECT_BASELINE = 0.025  # metres from the depth camera to the colour camera, along x
INVALID_DEPTHS = (0, 65535)
_FRAME = re.compile(r"^frame-(\d+)\.(color\.(?:png|jpg)|depth\.png|true_depth\.png|pose\.txt)$")


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame; true_depth is None for real scans."""

    color: Path
    depth: Path
    pose: Path
    true_depth: Path | None = None


def is_scan(folder: Path) -> bool:
    """Return whether the folder itself contains frames."""
    return any(_FRAME.match(file.name) for file in folder.glob("frame-*"))


def list_frames(folder: Path, stride: int = 1, max_frames: int = 0) -> list[FrameFiles]:
    """Return the files of every `stride`-th frame in numerical order, at most `max_frames` (0 = all).

    Raises UserError naming the missing file if a frame lacks its colour, depth or pose.
    """
    found: dict[str, dict[str, Path]] = {}
    for file in folder.glob("frame-*"):
        if match := _FRAME.match(file.name):
            found.setdefault(match[1], {})[match[2].split(".")[0]] = file
    if not found:
        raise UserError(f"{folder}: no frames; a scan contains frame-000000.color.png, .depth.png, .pose.txt and so on")
    numbers = sorted(found, key=int)[::stride][: max_frames or None]
    frames = [_frame(folder, number, found[number]) for number in numbers]
    if 0 < sum(frame.true_depth is not None for frame in frames) < len(frames):
        raise UserError(f"{folder}: some frames have a true_depth.png and others do not; provide all of them or none")
    return frames


def read_scan(
    folder: Path,
    stride: int = 1,
    max_frames: int = 0,
    depth_scale: float = 0.001,
    color_camera: Sequence[float] = (),
    depth_camera: Sequence[float] = (),
) -> Scan:
    """Read the poses and intrinsics of a scan; its pixels are loaded lazily.

    depth_scale: metres per unit of the depth files. color_camera, depth_camera: fx, fy, cx, cy in pixels, integer centres,
    overriding the files (see `read_cameras`).

    Raises UserError naming the file for a missing or damaged file, a pose that is not rigid or not finite, images of different
    sizes, and depth with a median above 50 m.
    """
    frames = list_frames(folder, stride, max_frames)
    size, depth_size = image_size(frames[0].color), image_size(frames[0].depth)
    cameras = read_cameras(folder, color_camera, depth_camera)
    if cameras.alike:
        _check_size(frames[0].depth, depth_size, size)
    poses = np.stack([_read_pose(frame.pose) for frame in frames])
    images = LazySequence(partial(_load_color, [frame.color for frame in frames], size), len(frames))
    depths = LazySequence(partial(_load_depth, [frame.depth for frame in frames], depth_size, depth_scale), len(frames))
    exact = [frame.true_depth for frame in frames if frame.true_depth is not None]
    true_depths = LazySequence(partial(_load_depth, exact, size, depth_scale), len(exact)) if exact else None
    return make_scan(images, depths, cameras, poses, size, true_depths)


def read_depth(file: Path, depth_scale: float = 0.001) -> NDArray[np.float32]:
    """Return depth (H, W) float32 in metres, 0 = invalid. Raises UserError if its median is above 50 m."""
    values = read_gray16(file)
    depth = (values * np.float32(depth_scale)).astype(np.float32)
    depth[np.isin(values, INVALID_DEPTHS)] = 0
    sparse = depth[::4, ::4]
    median = float(np.median(sparse[sparse > 0])) if (sparse > 0).any() else 0.0
    if median > MAX_MEDIAN_DEPTH:
        raise UserError(
            f"{file}: the median depth is {median:.0f} m, so the unit is wrong; set dataset.depth_scale (metres per unit)"
        )
    return depth


def read_cameras(folder: Path, color_camera: Sequence[float] = (), depth_camera: Sequence[float] = ()) -> RgbdCameras:
    """Return the two cameras of a scan: from camera-intrinsics.txt, the nominal ones, or the given fx, fy, cx, cy."""
    file = _find_in_folder_or_parent(folder, "camera-intrinsics.txt")
    nominal = pinhole(NOMINAL_DEPTH, "7-Scenes")
    depth = nominal if file is None else _read_intrinsics(file)
    color, color_from_depth = depth, np.eye(4)
    if np.allclose(depth, nominal):
        color = pinhole(NOMINAL_COLOR, "7-Scenes")
        color_from_depth[0, 3] = -KINECT_BASELINE
    if depth_camera:
        depth = pinhole(depth_camera, "dataset.depth_camera")
    if color_camera:
        color = pinhole(color_camera, "dataset.color_camera")
    return RgbdCameras(color, depth, color_from_depth)


def _read_intrinsics(file: Path) -> NDArray[np.float64]:
    intrinsics = _numbers(file, (3, 3))
    if not np.isfinite(intrinsics).all() or min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
        raise UserError(f"{file}: focal lengths must be positive and finite; the file contains 3x3 intrinsics in pixels")
    intrinsics[:2, 2] += 0.5
    return intrinsics


def read_world_to_zup(folder: Path) -> NDArray[np.float64]:
    """Return the (4, 4) transform from the scan's world to z up and floor at z = 0; raises UserError if there is none."""
    file = _find_in_folder_or_parent(folder, "world_to_zup.txt")
    if file is None:
        raise UserError(
            f"{folder}: dataset.align_to_zup needs world_to_zup.txt (4x4) next to the frames; add the file or set "
            "dataset.align_to_zup=false"
        )
    return check_pose(_numbers(file, (4, 4)), str(file))


def find_mesh(folder: Path, name: str = "") -> Path | None:
    """Return the mesh file of a scan: `name` (relative to the folder) if given, else its single PLY file, else None."""
    if name:
        file = folder / name
        if not file.is_file():
            raise UserError(f"{file}: the mesh is missing; dataset.mesh must be a file in the scan's folder")
        return file
    found = sorted(folder.glob("*.ply"))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise UserError(f"{folder}: several meshes ({names}); choose one with dataset.mesh=NAME")
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
    write_millimetres(Path(f"{stem}.depth.png"), depth)
    if true_depth is not None:
        write_millimetres(Path(f"{stem}.true_depth.png"), true_depth)
    np.savetxt(f"{stem}.pose.txt", world_from_camera, fmt="%.12g")


def write_scan_mesh(folder: Path, mesh: Mesh) -> None:
    """Write the reference mesh of a scan as mesh.ply."""
    (folder / "mesh.ply").write_bytes(to_ply(mesh))


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
            f"{file}: {found[1]}x{found[0]} pixels, but the scan's first image has {expected[1]}x{expected[0]}; "
            "colour and depth must be registered and of the same size"
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


def _find_in_folder_or_parent(folder: Path, name: str) -> Path | None:
    return next((place / name for place in (folder, folder.parent) if (place / name).is_file()), None)
