"""Scans of the DTU dataset (Jensen et al., CVPR 2014; Aanaes et al., IJCV 2016) in two common layouts.

IDR (Yariv et al., NeurIPS 2020): image/*.png, mask/*.png, cameras.npz with world_mat_i, the projection (4, 4), and
scale_mat_i, which maps the unit sphere to the region of interest. MVSNet (Yao et al., ECCV 2018): images
Rectified/scanN_train/rect_001_3_r5000.png and Cameras/train/00000000_cam.txt with intrinsics at a quarter of the image size.
Lengths are in millimetres; pixels have integer centres.
"""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import rq

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import read_npz, reading
from deep3dmap.core.pinhole_camera import Camera, check_pose
from deep3dmap.data.formats.images import image_size
from deep3dmap.data.formats.multiview import Frame
from deep3dmap.data.formats.numbers import read_words

Array = NDArray[np.float64]
MVSNET_SCALE = 4.0  # size of MVSNet's images relative to its depth maps, to which the intrinsics refer


class DtuScan(NamedTuple):
    """A scan. frames: sorted by number. bounds: (2, 3) region of interest in millimetres, None if the layout has none."""

    frames: list[Frame]
    bounds: Array | None


def is_idr_scan(folder: Path) -> bool:
    """Return whether the folder is a scan in IDR's layout."""
    return (folder / "cameras.npz").is_file() and (folder / "image").is_dir()


def read_idr_scan(folder: Path) -> DtuScan:
    """Read one scan; raises UserError naming the file that is missing or damaged."""
    file, pictures = folder / "cameras.npz", _pictures(folder / "image")
    masks = _pictures(folder / "mask") if (folder / "mask").is_dir() else []
    if masks and len(masks) != len(pictures):
        raise UserError(f"{folder / 'mask'}: {len(masks)} masks for {len(pictures)} images; provide all or none")
    what = "file of cameras"
    # Each matrix is checked for finite values by name below; the file may contain other arrays.
    stored = read_npz(file, what, finite=False)
    with reading(file, what):
        matrices = {name: np.asarray(value, np.float64) for name, value in stored.items()}
    frames = []
    for index, picture in enumerate(pictures):
        if f"world_mat_{index}" not in matrices:
            raise UserError(f"{file}: no world_mat_{index}, the camera of {picture.name}")
        intrinsics, pose = split_projection(matrices[f"world_mat_{index}"], f"{file}: world_mat_{index}")
        height, width = image_size(picture)
        frames.append(Frame(picture, masks[index] if masks else None, Camera(intrinsics, pose, width, height)))
    return DtuScan(frames, _region(matrices, file))


def read_mvsnet_scan(root: Path, scan: str) -> DtuScan:
    """Read one scan of MVSNet's training set, such as scan1, under light 3; intrinsics are averaged over all views."""
    folder = root / "Rectified" / f"{scan}_train"
    pictures = sorted(folder.glob("rect_*_3_r5000.png"))
    if not pictures:
        raise UserError(f"{folder}: no rect_*_3_r5000.png in it; expected MVSNet's preprocessed training set")
    all_intrinsics, poses = [], []
    for picture in pictures:
        found = re.match(r"rect_(\d+)_", picture.name)
        number = int(found[1]) - 1 if found else 0
        intrinsics, pose = read_mvsnet_camera(root / "Cameras" / "train" / f"{number:08d}_cam.txt")
        all_intrinsics.append(intrinsics)
        poses.append(pose)
    intrinsics = np.mean(all_intrinsics, 0)
    intrinsics[:2] *= MVSNET_SCALE
    sizes = [image_size(picture) for picture in pictures]
    cameras = [Camera(_half_pixel(intrinsics), pose, width, height) for pose, (height, width) in zip(poses, sizes)]
    return DtuScan([Frame(picture, None, camera) for picture, camera in zip(pictures, cameras)], None)


def read_mvsnet_camera(file: Path) -> tuple[Array, Array]:
    """Return the intrinsics (3, 3) as stored and world_from_camera (4, 4) of an MVSNet camera file."""
    lines = [words for _, words in read_words(file)]
    try:
        heads = [lines.index(["extrinsic"]) + 1, lines.index(["intrinsic"]) + 1]
        extrinsic = np.array(lines[heads[0] : heads[0] + 4], np.float64).reshape(4, 4)
        intrinsic = np.array(lines[heads[1] : heads[1] + 3], np.float64).reshape(3, 3)
    except ValueError as error:
        raise UserError(f"{file}: expected `extrinsic`, 4 rows of 4, `intrinsic`, 3 rows of 3 ({error})") from error
    if not np.isfinite(intrinsic).all() or min(intrinsic[0, 0], intrinsic[1, 1]) <= 0:
        raise UserError(f"{file}: the intrinsics must be finite with focal lengths above 0; restore the file")
    return intrinsic, np.linalg.inv(check_pose(extrinsic, str(file)))


def split_projection(projection: Array, source: str) -> tuple[Array, Array]:
    """Decompose a projection (3 or 4, 4), integer pixel centres, into intrinsics (3, 3), centres at +0.5, and pose (4, 4).

    The pose is camera-to-world. Raises UserError for a matrix that is not the projection of a camera.
    """
    matrix = projection[:3]
    if matrix.shape != (3, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:, :3])) < 1e-12:
        raise UserError(f"{source}: not the projection matrix of a camera, 3x4 with an invertible left part")
    matrix = matrix * np.sign(np.linalg.det(matrix[:, :3]))
    intrinsics, rotation = rq(matrix[:, :3])
    signs = np.sign(np.diag(intrinsics))
    intrinsics, rotation = intrinsics * signs, signs[:, None] * rotation
    translation = np.linalg.solve(intrinsics, matrix[:, 3])
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.T, -rotation.T @ translation
    return _half_pixel(intrinsics / intrinsics[2, 2]), check_pose(pose, source)


def _half_pixel(intrinsics: Array) -> Array:
    moved = np.array(intrinsics, np.float64)
    moved[:2, 2] += 0.5
    return moved


def _region(matrices: dict[str, Array], file: Path) -> Array | None:
    if "scale_mat_0" not in matrices:
        return None
    region = matrices["scale_mat_0"]
    if region.shape != (4, 4) or not np.isfinite(region).all() or region[0, 0] <= 0:
        raise UserError(f"{file}: scale_mat_0 maps the unit sphere to the subject; expected 4x4 numbers and a positive scale")
    return np.stack([region[:3, 3] - region[0, 0], region[:3, 3] + region[0, 0]])


def _pictures(folder: Path) -> list[Path]:
    found = sorted(file for file in folder.glob("*") if file.suffix.lower() in (".png", ".jpg"))
    if not found:
        raise UserError(f"{folder}: no images in it")
    return found
