"""The layout of NeRF's synthetic scenes: transforms_train.json, _val and _test, and RGBA images.

Blender's conventions: camera_angle_x is the horizontal field of view in radians, poses are camera-to-world with OpenGL axes
(x right, y up, z backwards). Images have straight alpha and are usually composited over white.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.multiview import Frame, read_frames
from deep3dmap.data.formats.pose_conventions import OPENCV_FROM_OPENGL

SPLITS = ("train", "val", "test")


def is_scene(folder: Path) -> bool:
    """Return whether the folder is a scene in this layout; validation views are optional."""
    return {"train", "test"} <= set(present_splits(folder))


def present_splits(folder: Path) -> list[str]:
    """Return the splits present in a scene."""
    return [split for split in SPLITS if (folder / f"transforms_{split}.json").is_file()]


def read_split(folder: Path, split: str) -> list[Frame]:
    """Read the frames of a split; raises UserError naming the file and invalid field, or a different pose convention."""
    return read_frames(folder, f"transforms_{split}.json")


def write_split(
    folder: Path,
    split: str,
    images: Sequence[NDArray[np.float32]],
    masks: Sequence[NDArray[np.float32]],
    cameras: Sequence[Camera],
) -> None:
    """Write split/r_0.png, ... and transforms_<split>.json into `folder`.

    images: (3, H, W) RGB in [0, 1], without background and not premultiplied. masks: (H, W) in [0, 1]. Raises ValueError for
    cameras that the layout cannot represent: different fields of view, or an off-centre principal point.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got '{split}'")
    angles = {_field_of_view(camera) for camera in cameras}
    if len(angles) != 1:
        raise ValueError(f"all cameras of a split must have the same field of view, got {sorted(angles)}")
    (folder / split).mkdir(exist_ok=True)
    frames = []
    for index, (image, mask, camera) in enumerate(zip(images, masks, cameras, strict=True)):
        write_image(folder / split / f"r_{index}.png", np.concatenate([image, mask[None]]))
        pose = camera.world_from_camera @ OPENCV_FROM_OPENGL
        frames.append({"file_path": f"./{split}/r_{index}", "transform_matrix": pose.tolist()})
    about = {"camera_angle_x": angles.pop(), "frames": frames}
    (folder / f"transforms_{split}.json").write_text(json.dumps(about, indent=1))


def check_alpha(frames: Sequence[Frame], background: str) -> None:
    """Raise UserError for the first image without mask or alpha channel, needed to replace the background."""
    from PIL import Image

    for frame in frames:
        if frame.mask is not None:
            continue
        with reading(frame.image, "image"), Image.open(frame.image) as opened:
            bands = opened.getbands()
        if "A" not in bands:
            raise UserError(
                f"{frame.image}: no alpha channel, but a {background} background was requested; provide RGBA images, or "
                "keep their background with dataset.background=own"
            )


def _field_of_view(camera: Camera) -> float:
    intrinsics = camera.intrinsics
    centred = np.allclose(intrinsics[:2, 2], (camera.width / 2, camera.height / 2))
    if not centred or not math.isclose(intrinsics[0, 0], intrinsics[1, 1]) or intrinsics[0, 1]:
        raise ValueError("the layout of NeRF's scenes needs a single focal length and a centred principal point")
    return 2 * math.atan(camera.width / 2 / intrinsics[0, 0])
