"""TSDFs of a whole scan at three resolutions, fused from its depth maps: the training targets of scene networks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.frusta import bounds
from deep3dmap.geometry.tsdf_volume import MAX_VOXELS, TSDFVolume

LEVELS = 3
TRUNCATION_VOXELS = 3
MAX_FRAMES_FOR_BOUNDS = 200


@dataclass(frozen=True)
class SceneTSDF:
    """TSDFs of a whole scan, fine to coarse, each (X, Y, Z) float32 in units of the truncation (3 voxels of the level).

    origin: (3,) float64, world position of voxel [0, 0, 0] in metres, shared by all levels. voxel_size: of the finest level,
    in metres.
    """

    tsdf: Sequence[Tensor]
    origin: Tensor
    voxel_size: float

    def bytes(self) -> int:
        """Return the memory used by the TSDFs, in bytes."""
        return sum(level.nbytes for level in self.tsdf)


def fuse_scene(
    depths: Sequence[Any],
    intrinsics: Any,
    world_from_camera: Any,
    voxel_size: float,
    max_depth: float,
    device: torch.device | str = "cpu",
) -> SceneTSDF:
    """Fuse all depth maps (H, W) of a scan on three levels, ignoring depth beyond max_depth and frames without a finite pose.

    depths: in metres. intrinsics: (V, 3, 3). world_from_camera: (V, 4, 4). device: where the TSDFs are computed and stored; the
    origin stays on the CPU.

    Raises UserError, before allocating anything, if no frame has valid depth or the grid would be too large.
    """
    poses, matrices = np.asarray(world_from_camera, np.float64), np.asarray(intrinsics, np.float64)
    frames = np.flatnonzero(np.isfinite(poses).all((1, 2)))
    lower, upper = _observed_bounds(depths, matrices, poses, frames, max_depth)
    dimensions = [np.round((upper - lower) / (voxel_size * 2**level)).astype(int) for level in range(LEVELS)]
    if math.prod(dimensions[0]) > MAX_VOXELS:
        size = f"{' x '.join(map(str, dimensions[0]))} voxels, {math.prod(dimensions[0]) * 9 / 1e9:.1f} GB"
        raise UserError(f"the targets of a scan would be {size}; use larger voxels, or check the poses' unit")
    volumes = [volume(lower, tuple(size), voxel_size * 2**level, device) for level, size in enumerate(dimensions)]
    for frame in frames.tolist():
        depth = torch.from_numpy(np.asarray(depths[frame], np.float32)).to(device)
        for level in volumes:
            level.integrate(depth, matrices[frame], poses[frame], max_depth=max_depth)
    return SceneTSDF([level.tsdf for level in volumes], torch.from_numpy(lower), voxel_size)


def _observed_bounds(
    depths: Sequence[Any],
    intrinsics: NDArray[np.float64],
    poses: NDArray[np.float64],
    frames: NDArray[np.int64],
    max_depth: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds (3,), (3,) of the world origin and all frusta, each up to its frame's largest depth."""
    step = max(1, len(frames) // MAX_FRAMES_FOR_BOUNDS)
    lower, upper, found = np.zeros(3), np.zeros(3), False
    for frame in frames[::step].tolist():
        depth = np.asarray(depths[frame])
        valid = depth[np.isfinite(depth) & (depth > 0) & (depth <= max_depth)]
        if not valid.size:
            continue
        found = True
        height, width = depth.shape
        low, high = bounds(intrinsics[frame][None], poses[frame][None], width, height, 0.0, float(valid.max()))
        lower, upper = np.minimum(lower, low.numpy()), np.maximum(upper, high.numpy())
    if not found:
        raise UserError(f"no frame of the scan has a depth between 0 and {max_depth:g} m; check the unit and max_depth")
    return lower, upper


def volume(origin: Any, size: tuple[int, ...], voxel_size: float, device: torch.device | str = "cpu") -> TSDFVolume:
    """Return an empty volume without colours and with a truncation of three voxels."""
    x, y, z = size
    return TSDFVolume(origin, (x, y, z), voxel_size, TRUNCATION_VOXELS * voxel_size, colors=False, device=device)
