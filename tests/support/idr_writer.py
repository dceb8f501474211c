"""Writes a scan in IDR's layout of DTU: images, masks, and projections with integer pixel centres."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.formats.images import write_image


def write_idr_scan(
    folder: Path,
    images: Sequence[NDArray[np.float32]],
    masks: Sequence[NDArray[np.float32]],
    cameras: Sequence[Camera],
    centre: NDArray[np.float64],
    radius: float,
) -> None:
    """Write image/000.png, mask/000.png, ... and cameras.npz; the sphere, in the cameras' unit, contains the subject."""
    for name in ("image", "mask"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    matrices: dict[str, Any] = {}
    region = np.diag([radius, radius, radius, 1.0])
    region[:3, 3] = centre
    for index, (image, mask, camera) in enumerate(zip(images, masks, cameras, strict=True)):
        write_image(folder / "image" / f"{index:03d}.png", image)
        write_image(folder / "mask" / f"{index:03d}.png", np.repeat(mask[None], 3, 0))
        intrinsics = np.eye(4)
        intrinsics[:3, :3] = camera.intrinsics
        intrinsics[:2, 2] -= 0.5
        matrices |= {f"world_mat_{index}": intrinsics @ camera.camera_from_world, f"scale_mat_{index}": region}
    np.savez(folder / "cameras.npz", allow_pickle=False, **matrices)
