"""A folder of calibrated images of one subject: transforms.json with cameras, and an image and a mask for each camera.

transforms.json as written by this package states its convention (camera axes x right, y down, z forward; pixel centres at
+0.5). NeRF-style files with camera_angle_x or fl_x and OpenGL camera axes (x right, y up, z backwards) are also supported.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading
from deep3dmap.core.pinhole_camera import Camera, check_pose
from deep3dmap.data.formats.images import check_image_size, image_size, read_gray16, read_image, write_gray16, write_image
from deep3dmap.data.formats.pose_conventions import OPENCV, OPENCV_FROM_OPENGL, OPENGL, check_convention

CAMERAS = "transforms.json"
MAX_SIDE = 1 << 16


class Frame(NamedTuple):
    """One view: image file, mask file (None if there is none) and camera."""

    image: Path
    mask: Path | None
    camera: Camera


def write_views(
    folder: Path, images: Sequence[NDArray[np.float32]], masks: Sequence[NDArray[np.float32]], cameras: Sequence[Camera]
) -> None:
    """Write view_00.png (3, H, W), mask_00.png (H, W) in [0, 1], ..., and transforms.json into `folder`."""
    frames = []
    for index, (image, mask, camera) in enumerate(zip(images, masks, cameras, strict=True)):
        names = {"file_path": f"view_{index:02d}.png", "mask_path": f"mask_{index:02d}.png"}
        write_image(folder / names["file_path"], image)
        write_gray16(folder / names["mask_path"], np.round(mask * 65535).astype(np.uint16))
        camera_fields = {"intrinsics": camera.intrinsics.tolist(), "transform_matrix": camera.world_from_camera.tolist()}
        frames.append({**names, "w": camera.width, "h": camera.height, **camera_fields})
    metadata = {"camera_axes": OPENCV, "pixel_centers": 0.5, "unit": "metre", "frames": frames}
    (folder / CAMERAS).write_text(json.dumps(metadata, indent=1))


def read_frames(folder: Path, name: str = CAMERAS) -> list[Frame]:
    """Read the transforms.json of a folder, or the file `name` in the same format.

    Raises UserError naming the file and the invalid field, or the actual convention of the poses if it differs.
    """
    file = folder / name
    with reading(file, "JSON file", "a folder of views needs it for its cameras"):
        about = json.loads(file.read_text())
    if not isinstance(about, dict) or not isinstance(about.get("frames"), list) or not about["frames"]:
        raise UserError(f"{file}: no list 'frames' in it")
    axes = str(about.get("camera_axes", OPENGL))
    if axes not in (OPENCV, OPENGL):
        raise UserError(f"{file}: camera_axes must be '{OPENCV}' or '{OPENGL}', got '{axes}'")
    frames = [_parse_frame(folder, about, frame, f"{file}: frame {index}", axes) for index, frame in enumerate(about["frames"])]
    other = OPENCV if axes == OPENGL else OPENGL
    poses = np.stack([frame.camera.world_from_camera for frame in frames])
    check_convention(poses, str(file), axes, f'Convert the matrices, or write "camera_axes": "{other}" in the file')
    return frames


def read_mask(frame: Frame) -> NDArray[np.float32]:
    """Return the (H, W) coverage in [0, 1] from the mask file or the image's alpha channel; ones if there is neither."""
    if frame.mask is not None:
        values = _read_gray(frame.mask)
        if values.shape != (frame.camera.height, frame.camera.width):
            raise UserError(f"{frame.mask}: the mask has {values.shape} pixels, which differs from its image")
        return values
    return _read_alpha(frame)


def read_views(frames: Sequence[Frame], masked: bool = True) -> dict[str, NDArray[Any]]:
    """Return images, masks if `masked`, intrinsics and world_from_camera; raises UserError if images differ in size."""
    sizes = {(frame.camera.height, frame.camera.width) for frame in frames}
    if len(sizes) > 1:
        raise UserError(f"{frames[0].image.parent}: images of different sizes {sorted(sizes)}; resize them to one size")
    images = np.stack([_read_checked_image(frame) for frame in frames])
    masks = {"masks": np.stack([read_mask(frame) for frame in frames])} if masked else {}
    return {
        "images": images,
        **masks,
        "intrinsics": np.stack([frame.camera.intrinsics for frame in frames]),
        "world_from_camera": np.stack([frame.camera.world_from_camera for frame in frames]),
    }


def _read_checked_image(frame: Frame) -> NDArray[np.float32]:
    image, camera = read_image(frame.image), frame.camera
    if image.shape[1:] != (camera.height, camera.width):
        size = f"{image.shape[2]} x {image.shape[1]}"
        raise UserError(f"{frame.image}: {size} pixels, but its camera has {camera.width} x {camera.height}")
    return image


def _read_gray(file: Path) -> NDArray[np.float32]:
    from PIL import Image

    with reading(file, "image"), Image.open(file) as opened:
        mode = opened.mode
    if mode.startswith("I"):
        return (read_gray16(file) / 65535).astype(np.float32)
    return read_image(file)[0]


def _read_alpha(frame: Frame) -> NDArray[np.float32]:
    from PIL import Image

    with reading(frame.image, "image"), Image.open(frame.image) as opened:
        check_image_size(frame.image, opened)
        if "A" not in opened.getbands():
            return np.ones((frame.camera.height, frame.camera.width), np.float32)
        return np.asarray(opened.getchannel("A"), np.float32) / np.float32(255)


def _parse_frame(folder: Path, about: dict[str, Any], frame: Any, where: str, axes: str) -> Frame:
    if not isinstance(frame, dict) or "file_path" not in frame or "transform_matrix" not in frame:
        raise UserError(f"{where}: needs file_path and transform_matrix")
    image = _image_file(folder, str(frame["file_path"]), where)
    merged = {**about, **frame}
    with reading(Path(where), "camera", "check its numbers"):
        height, width = (int(merged["h"]), int(merged["w"])) if "h" in merged and "w" in merged else image_size(image)
        intrinsics = _intrinsics(merged, height, width)
        pose = check_pose(np.array(frame["transform_matrix"], np.float64), where)
        if not (0 < height < MAX_SIDE and 0 < width < MAX_SIDE):
            raise UserError(f"{where}: w and h must be image sizes in pixels, got {width} and {height}")
    if axes == OPENGL:
        pose = pose @ OPENCV_FROM_OPENGL
    mask = folder / str(frame["mask_path"]) if frame.get("mask_path") else None
    if mask is not None and not mask.is_file():
        raise UserError(f"{where}: {mask} is missing")
    return Frame(image, mask, Camera(intrinsics, pose, width, height))


def _image_file(folder: Path, name: str, where: str) -> Path:
    # NeRF's original files omit the suffix.
    for file in (folder / name, folder / f"{name}.png", folder / f"{name}.jpg"):
        if file.is_file():
            return file
    raise UserError(f"{where}: {folder / name} is missing")


def _intrinsics(merged: dict[str, Any], height: int, width: int) -> NDArray[np.float64]:
    if "intrinsics" in merged:
        return _checked_intrinsics(np.array(merged["intrinsics"], np.float64))
    if "fl_x" in merged:
        focal_x, focal_y = float(merged["fl_x"]), float(merged.get("fl_y", merged["fl_x"]))
    else:
        focal_x = focal_y = width / 2 / np.tan(float(merged["camera_angle_x"]) / 2)
    centre = float(merged.get("cx", width / 2)), float(merged.get("cy", height / 2))
    return _checked_intrinsics(np.array([[focal_x, 0, centre[0]], [0, focal_y, centre[1]], [0, 0, 1.0]]))


def _checked_intrinsics(intrinsics: NDArray[np.float64]) -> NDArray[np.float64]:
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all() or min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
        raise ValueError("intrinsics must be 3x3 finite numbers with focal lengths above 0")
    return intrinsics
