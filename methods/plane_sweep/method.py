"""Plane-sweep stereo on posed images with depth map fusion: the classical baseline without a depth sensor."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh, Method, MethodCard, Reconstruction
from deep3dmap.geometry.tsdf_volume import TSDFVolume
from deep3dmap.methods.plane_sweep.depth_maps import estimate_depths, key_overlaps
from deep3dmap.methods.plane_sweep.options import PlaneSweepConfig
from deep3dmap.methods.plane_sweep.pose_corrections import bundled_poses, turned_poses
from deep3dmap.methods.plane_sweep.scaled_scan import ScaledScan


class PlaneSweep(Method):
    """Collins' plane sweep with normalised cross-correlation, winner-takes-all and a consistency check. Not trainable."""

    card = MethodCard(
        title="Plane-sweep stereo",
        authors="Robert Collins; in the form of David Gallup et al.",
        year=1996,
        paper="A Space-Sweep Approach to True Multi-Image Matching, CVPR 1996, doi:10.1109/CVPR.1996.517097",
        tasks=("indoor", "outdoor"),
        consumes=("images", "intrinsics", "world_from_camera"),
        produces=("mesh",),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
        tried_on=("rooms",),
        is_baseline=True,
    )
    config_type = PlaneSweepConfig

    def __init__(self, config: PlaneSweepConfig) -> None:
        config.check()
        self.config = config

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Sweep every key frame, drop matches that are neither unique nor confirmed, and fuse the rest; world frame, metres.

        The mesh is empty if no match is left. `notes` include the number of swept key frames. Raises UserError for fewer than
        two frames, and if no frame has a neighbour to match.
        """
        c = self.config
        if c.bundle_views:
            given = {**given, "world_from_camera": bundled_poses(ScaledScan.of(given, c.bundle_width), c)}
        scan = ScaledScan.of(given, c.width)
        if c.pose_rounds:
            scan = scan._replace(world_from_camera=turned_poses(ScaledScan.of(given, c.pose_width), c))
        shares = key_overlaps(scan, c)
        reach = c.reach or math.inf
        kept = {key: torch.where(depth <= reach, depth, 0) for key, depth in estimate_depths(scan, shares, c).items()}
        notes = {"key_frames": len(shares), "swept": len(kept), "kept": _share(list(kept.values()))}
        return Reconstruction(frame="world", unit="metre", mesh=self._fuse(scan, kept), notes=notes)

    def _fuse(self, scan: ScaledScan, depths: dict[int, Tensor]) -> Mesh:
        c = self.config
        if not any(bool((depth > 0).any()) for depth in depths.values()):
            return Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
        keys = list(depths)
        volume = TSDFVolume.for_frames(
            list(depths.values()), scan.intrinsics[keys], scan.world_from_camera[keys],
            voxel_size=c.voxel_size, truncation=c.truncation_voxels * c.voxel_size, colors=c.color,
        )  # fmt: skip
        for key, depth in depths.items():
            image = scan.image(key) if c.color else None
            volume.integrate(depth, scan.intrinsics[key], scan.world_from_camera[key], image=image)
        vertices, faces, colors = volume.extract_mesh(c.min_weight)
        return Mesh(vertices.numpy(), faces.numpy(), None if colors is None else colors.numpy())


def _share(depths: list[Tensor]) -> float:
    return sum(float((depth > 0).double().mean()) for depth in depths) / len(depths)
