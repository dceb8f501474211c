"""COLMAP sparse models: cameras, images and points3D, as text or binary (Schoenberger and Frahm, CVPR 2016).

Poses are world-to-camera, a quaternion (w, x, y, z) and a translation, with OpenCV axes; pixel centres are at +0.5.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.formats import colmap_binary, colmap_text
from deep3dmap.data.formats.colmap_records import CameraRecord, ImageRecord
from deep3dmap.data.formats.images import image_size
from deep3dmap.data.formats.multiview import Frame
from deep3dmap.geometry.cameras import invert, scale_intrinsics
from deep3dmap.geometry.rotations import matrix_of_quaternion, quaternion_of_matrix

Array = NDArray[np.float64]
MAX_NAME_LENGTH = 255  # longest file name that common file systems allow
PLACES = ("sparse/0", "sparse", ".")


class ColmapModel(NamedTuple):
    """A sparse model. frames: registered images, sorted by name. points: (P, 3). colors: (P, 3) RGB in [0, 1]."""

    frames: list[Frame]
    points: Array
    colors: NDArray[np.float32]


def find_model(folder: Path) -> Path | None:
    """Return the folder of a capture's sparse model (sparse/0, sparse or the folder itself), None if there is none."""
    for place in PLACES:
        if _suffix(folder / place) is not None:
            return folder / place
    return None


def read_model(folder: Path, images: str = "images") -> ColmapModel:
    """Read the capture in `folder` with images in its subfolder `images`; cameras are scaled to downscaled images.

    Raises UserError naming the file if the model is damaged, has no points or no images, has cameras with distortion, or if
    an image is missing or has another aspect ratio.
    """
    model = find_model(folder)
    if model is None:
        raise UserError(f"{folder}: no cameras, images and points3D (.bin or .txt) in it, nor in sparse/0 or sparse")
    reader = colmap_binary if _suffix(model) == ".bin" else colmap_text
    cameras, registered = reader.read_cameras(model), reader.read_images(model)
    points, colors = reader.read_points(model)
    if not registered:
        raise UserError(
            f"{model}: no image is registered; COLMAP found no poses, capture more overlap and run its mapper again"
        )
    if not np.isfinite(points).all():
        raise UserError(f"{model / 'points3D'}{_suffix(model)}: NaN or infinity among the points; run COLMAP's mapper again")
    if not len(points):
        raise UserError(
            f"{model / 'points3D'}{_suffix(model)}: the model has no points, which define the extent of the scene; "
            "run `colmap point_triangulator`, or keep the points when you export the model"
        )
    frames = [_frame(folder / images, record, cameras, model) for record in sorted(registered, key=lambda one: one.name)]
    return ColmapModel(frames, points, colors)


def write_model(
    folder: Path,
    cameras: Sequence[Camera],
    names: Sequence[str],
    points: Array,
    colors: NDArray[np.float32],
    binary: bool = True,
) -> None:
    """Write sparse/0 of a capture, with a PINHOLE camera per image. points: (P, 3). colors: (P, 3) RGB in [0, 1]."""
    place = folder / "sparse" / "0"
    place.mkdir(parents=True, exist_ok=True)
    pinholes, registered = {}, []
    for number, (camera, name) in enumerate(zip(cameras, names, strict=True), 1):
        k = camera.intrinsics
        pinholes[number] = CameraRecord("PINHOLE", camera.width, camera.height, (k[0, 0], k[1, 1], k[0, 2], k[1, 2]))
        pose = camera.camera_from_world
        quaternion = quaternion_of_matrix(pose[:3, :3]).numpy()
        registered.append(ImageRecord(tuple(map(float, quaternion)), tuple(map(float, pose[:3, 3])), number, name))
    writer = colmap_binary if binary else colmap_text
    writer.write_model(place, pinholes, registered, points, np.round(np.clip(colors, 0, 1) * 255).astype(np.uint8))


def points_bounds(points: Array, share: float = 0.01) -> Array:
    """Return a box (2, 3) around points (P, 3), with a margin and excluding the fraction `share` of outliers per side."""
    low, high = np.quantile(points, [share, 1 - share], axis=0)
    margin = 0.05 * (high - low) + 1e-9
    return np.stack([low - margin, high + margin])


def _suffix(folder: Path) -> str | None:
    for suffix in (".bin", ".txt"):
        if all((folder / f"{name}{suffix}").is_file() for name in ("cameras", "images", "points3D")):
            return suffix
    return None


def _frame(images: Path, record: ImageRecord, cameras: dict[int, CameraRecord], model: Path) -> Frame:
    if record.camera not in cameras:
        raise UserError(f"{model}: image '{_shorten(record.name)}' has camera {record.camera}, which is not in the model")
    if len(record.name) > MAX_NAME_LENGTH or not (images / record.name).is_file():
        raise UserError(f"{images / _shorten(record.name)}: the image is missing; the model refers to it")
    camera = cameras[record.camera]
    _check_numbers(record, camera, model)
    height, width = _size(images / record.name, camera)
    intrinsics = scale_intrinsics(_intrinsics(camera, model), width / camera.width, height / camera.height).numpy()
    pose = np.eye(4)
    pose[:3, :3] = matrix_of_quaternion(record.quaternion).numpy()
    pose[:3, 3] = record.translation
    return Frame(images / record.name, None, Camera(intrinsics, invert(pose).numpy(), width, height))


def _check_numbers(record: ImageRecord, camera: CameraRecord, model: Path) -> None:
    """Raise UserError for an invalid pose or camera."""
    numbers = np.array([*record.quaternion, *record.translation])
    if not np.isfinite(numbers).all() or not any(record.quaternion):
        raise UserError(f"{model}: the pose of image '{_shorten(record.name)}' is not finite or its quaternion is zero")
    focal = camera.parameters[:1] if camera.model.startswith(("SIMPLE", "RADIAL")) else camera.parameters[:2]
    if not np.isfinite(camera.parameters).all() or min(*focal, camera.width, camera.height, 1) <= 0:
        raise UserError(f"{model}: camera {record.camera} needs finite numbers, a size and a focal length above 0")


def _shorten(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:77]}..."


def _size(picture: Path, camera: CameraRecord) -> tuple[int, int]:
    """Return (height, width) of an image; raises UserError unless it is the camera's size times one factor, up to rounding."""
    height, width = image_size(picture)
    least = max((width - 1) / camera.width, (height - 1) / camera.height)
    most = min((width + 1) / camera.width, (height + 1) / camera.height)
    if least > most:
        raise UserError(
            f"{picture}: {width} x {height} pixels, but the model was built from {camera.width} x {camera.height}; both sides "
            "must be scaled by the same factor"
        )
    return height, width


def _intrinsics(camera: CameraRecord, model: Path) -> Array:
    single = camera.model.startswith(("SIMPLE", "RADIAL"))
    focal = (camera.parameters[0],) * 2 if single else camera.parameters[:2]
    centre, distortion = (
        (camera.parameters[1:3], camera.parameters[3:]) if single else (camera.parameters[2:4], camera.parameters[4:])
    )
    if any(distortion):
        raise UserError(
            f"{model}: a {camera.model} camera has distortion {tuple(distortion)}; run `colmap image_undistorter` and use its "
            "output folder"
        )
    return np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1.0]])
