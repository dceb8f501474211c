"""What the network is trained to predict: distances of the whole scan's surface, occupied where a fragment's views saw it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from deep3dmap.core import UserError
from deep3dmap.geometry.frusta import bounds
from deep3dmap.geometry.tsdf_volume import MAX_VOXELS, TSDFVolume
from deep3dmap.methods.neuralrecon.fragments import LEVELS

MARGIN = 3
MAX_FRAMES_FOR_BOUNDS = 200
FREE = 1.0
OCCUPIED_BELOW = 0.999
MIN_OBSERVATIONS = 1


@dataclass(frozen=True)
class SceneTargets:
    """Distances of a whole scan in truncations (3 voxels of their level), fine to coarse, each (X, Y, Z) float32.

    origin: (3,) float64, world metres of voxel [0, 0, 0], the same on every level. voxel_size: metres of the finest.
    """

    tsdf: list[Tensor]
    origin: Tensor
    voxel_size: float

    def bytes(self) -> int:
        """Return the memory they take."""
        return sum(level.nbytes for level in self.tsdf)


def scene_targets(
    depths: Sequence[Any], intrinsics: Any, world_from_camera: Any, voxel_size: float, max_depth: float
) -> SceneTargets:
    """Fuse all depth maps (H, W) of a scan on three levels; depth beyond max_depth is ignored, and frames without a pose are.

    Raises UserError, before anything is allocated, where no frame has valid depth or the grid would be too large.
    """
    poses, lenses = np.asarray(world_from_camera, np.float64), np.asarray(intrinsics, np.float64)
    frames = np.flatnonzero(np.isfinite(poses).all((1, 2)))
    lower, upper = _seen(depths, lenses, poses, frames, max_depth)
    dimensions = [np.round((upper - lower) / (voxel_size * 2**level)).astype(int) for level in range(LEVELS)]
    if math.prod(dimensions[0]) > MAX_VOXELS:
        size = f"{' x '.join(map(str, dimensions[0]))} voxels, {math.prod(dimensions[0]) * 9 / 1e9:.1f} GB"
        raise UserError(f"the targets of a scan would be {size}; use a larger method.voxel_size, or check the poses' unit")
    volumes = [_volume(lower, tuple(size), voxel_size * 2**level) for level, size in enumerate(dimensions)]
    for frame in frames:
        depth = torch.from_numpy(np.asarray(depths[frame], np.float32))
        for volume in volumes:
            volume.integrate(depth, lenses[frame], poses[frame], max_depth=max_depth)
    return SceneTargets([volume.tsdf for volume in volumes], torch.from_numpy(lower), voxel_size)


def fragment_targets(
    scene: SceneTargets,
    depths: Sequence[Tensor],
    intrinsics: Any,
    world_from_camera: Any,
    box_origin: Tensor,
    n_vox: tuple[int, int, int],
    max_depth: float,
    scan_from_world: NDArray[np.float64] | None = None,
) -> dict[str, list[Tensor]]:
    """Return `tsdf` and `occupancy`, each fine to coarse (X, Y, Z), of one fragment's box.

    depths: its views' maps (H, W) with intrinsics (V, 3, 3) and poses (V, 4, 4) in the world in which box_origin (3,) lies.
    scan_from_world: takes that world back to the scan's, where it was turned or shifted (augmentation).
    The distances are the whole scan's, the occupancy is what these views saw, at least two of them.
    """
    back = torch.eye(4, dtype=torch.float64) if scan_from_world is None else torch.from_numpy(scan_from_world)
    tsdf, occupancy = [], []
    for level, distances in enumerate(scene.tsdf):
        size = (n_vox[0] >> level, n_vox[1] >> level, n_vox[2] >> level)
        voxel_size = scene.voxel_size * 2**level
        own = _volume(box_origin.double().numpy(), size, voxel_size)
        for depth, lens, pose in zip(depths, intrinsics, world_from_camera):
            own.integrate(depth, lens, pose, max_depth=max_depth)
        occupancy.append((own.tsdf.abs() < OCCUPIED_BELOW) & (own.weight > MIN_OBSERVATIONS))
        # The coarse levels' samples are every second and fourth of the finest level's, counted in their own voxels.
        indices = _voxels_in_scan(size, box_origin, voxel_size, back, scene.origin)
        tsdf.append(_resampled(distances, indices))
    return {"tsdf": tsdf, "occupancy": occupancy}


def _voxels_in_scan(
    size: tuple[int, int, int], box_origin: Tensor, voxel_size: float, scan_from_world: Tensor, origin: Tensor
) -> Tensor:
    """Return where a box's voxels lie in the scan's grid, (X, Y, Z, 3) float64 in its voxels."""
    axes = [torch.arange(count, dtype=torch.float64) for count in size]
    world = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * voxel_size + box_origin.double()
    return (world @ scan_from_world[:3, :3].T + scan_from_world[:3, 3] - origin) / voxel_size


def _resampled(tsdf: Tensor, indices: Tensor) -> Tensor:
    """Return distances at the indices: bilinear near the surface, nearest elsewhere, free outside.

    The official code normalises by the last index and samples as if by the size (align_corners=False); its weights were
    trained with that half a voxel, so it is kept.
    """
    last = torch.tensor(tsdf.shape, dtype=torch.float64) - 1
    grid = (2 * indices / last - 1).float()
    outside = (grid.abs() >= 1).any(-1)
    where = grid.flip(-1)[None]
    nearest, linear = (
        functional.grid_sample(tsdf[None, None], where, mode=mode, align_corners=False)[0, 0]
        for mode in ("nearest", "bilinear")
    )
    sampled = torch.where(nearest.abs() < FREE, linear, nearest)
    return torch.where(outside, FREE, sampled)


def _volume(origin: Any, size: tuple[int, ...], voxel_size: float) -> TSDFVolume:
    x, y, z = size
    return TSDFVolume(origin, (x, y, z), voxel_size, MARGIN * voxel_size, colors=False)


def _seen(
    depths: Sequence[Any], lenses: NDArray[np.float64], poses: NDArray[np.float64], frames: NDArray[np.int64], max_depth: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounds (3,), (3,) of the world's origin and the frusta, each as deep as its frame's largest depth."""
    step = max(1, len(frames) // MAX_FRAMES_FOR_BOUNDS)
    lower, upper, found = np.zeros(3), np.zeros(3), False
    for frame in frames[::step]:
        depth = np.asarray(depths[frame])
        valid = depth[np.isfinite(depth) & (depth > 0) & (depth <= max_depth)]
        if not valid.size:
            continue
        found = True
        height, width = depth.shape
        low, high = bounds(lenses[frame][None], poses[frame][None], width, height, 0.0, float(valid.max()))
        lower, upper = np.minimum(lower, low.numpy()), np.maximum(upper, high.numpy())
    if not found:
        raise UserError(f"no frame of the scan has a depth between 0 and {max_depth:g} m; check the unit and method.max_depth")
    return lower, upper
