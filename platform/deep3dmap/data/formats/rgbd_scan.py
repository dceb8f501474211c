"""A scan from a depth sensor and a colour camera, independent of the file layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.dataset import LazySequence
from deep3dmap.core.errors import UserError
from deep3dmap.geometry.depth_registration import register_depth

MAX_MEDIAN_DEPTH = 50.0  # largest plausible median depth of a scan in metres; beyond it, the unit must be wrong


@dataclass(frozen=True)
class Scan:
    """One scan, with lazily loaded pixels. Its fields are the keys of a sample.

    images: V (3, H, W) float32 RGB in [0, 1]. intrinsics: (V, 3, 3) of the colour camera, pixel centres at +0.5.
    world_from_camera: (V, 4, 4) poses of the colour camera. sensor_depths: V (h, w) float32 metres, 0 = invalid, with
    depth_intrinsics (V, 3, 3) and color_from_depth (4, 4), the transform between the two cameras (identity if unknown).
    depths, true_depths: V (H, W) depth in the colour camera; true_depths equals depths unless exact depth is known.
    """

    images: Sequence[NDArray[np.float32]]
    depths: Sequence[NDArray[np.float32]]
    true_depths: Sequence[NDArray[np.float32]]
    sensor_depths: Sequence[NDArray[np.float32]]
    intrinsics: NDArray[np.float64]
    depth_intrinsics: NDArray[np.float64]
    color_from_depth: NDArray[np.float64]
    world_from_camera: NDArray[np.float64]


@dataclass(frozen=True)
class RgbdCameras:
    """Two cameras: their intrinsics (3, 3), pixel centres at +0.5, and the transform (4, 4) between them."""

    color: NDArray[np.float64]
    depth: NDArray[np.float64]
    color_from_depth: NDArray[np.float64]

    @property
    def alike(self) -> bool:
        """Whether the cameras coincide, so that depth is already registered to the image."""
        return bool(np.allclose(self.color, self.depth, atol=1e-6) and np.allclose(self.color_from_depth, np.eye(4)))


def make_scan(
    images: Sequence[NDArray[np.float32]],
    sensor_depths: Sequence[NDArray[np.float32]],
    cameras: RgbdCameras,
    world_from_depth: NDArray[np.float64],
    size: tuple[int, int],
    exact: Sequence[NDArray[np.float32]] | None = None,
) -> Scan:
    """Return a scan whose depth is registered to the colour camera, with (H, W) `size`, when it is read.

    world_from_depth: (V, 4, 4) poses of the depth camera, as estimated by depth trackers.
    exact: exact depth in the colour camera for `true_depths`; defaults to `depths`.
    """
    depths = sensor_depths
    if not cameras.alike:
        depths = LazySequence(partial(_registered, sensor_depths, cameras, size), len(sensor_depths))
    frames = len(world_from_depth)
    color, depth = (np.repeat(intrinsics[None], frames, 0) for intrinsics in (cameras.color, cameras.depth))
    true_depths = depths if exact is None else exact
    poses = world_from_depth @ np.linalg.inv(cameras.color_from_depth)
    return Scan(images, depths, true_depths, sensor_depths, color, depth, cameras.color_from_depth, poses)


def pinhole(values: Sequence[float], source: str) -> NDArray[np.float64]:
    """Return intrinsics (3, 3), pixel centres at +0.5, from fx, fy, cx, cy with integer centres.

    Raises UserError naming `source` for invalid values.
    """
    if len(values) != 4 or not np.isfinite(values).all() or min(values[:2]) <= 0:
        raise UserError(f"{source}: must be fx, fy, cx, cy in pixels with focal lengths above 0, got {list(values)}")
    fx, fy, cx, cy = values
    return np.array([[fx, 0, cx + 0.5], [0, fy, cy + 0.5], [0, 0, 1]])


def _registered(
    depths: Sequence[NDArray[np.float32]], cameras: RgbdCameras, size: tuple[int, int], index: int
) -> NDArray[np.float32]:
    return register_depth(depths[index], cameras.depth, cameras.color, cameras.color_from_depth, size)
