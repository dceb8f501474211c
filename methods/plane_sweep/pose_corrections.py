"""Pose refinement from the pictures: bundle adjustment of shared corners, and alignment of rotations using depth maps."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.methods.plane_sweep.bundle import adjust_poses
from deep3dmap.methods.plane_sweep.depth_maps import estimate_depths, key_overlaps
from deep3dmap.methods.plane_sweep.frame_choice import neighbours, overlapping
from deep3dmap.methods.plane_sweep.options import PlaneSweepConfig
from deep3dmap.methods.plane_sweep.rotation_refinement import PairRotation, agreed_turns, rotate_cameras, turn_onto
from deep3dmap.methods.plane_sweep.scaled_scan import ScaledScan
from deep3dmap.methods.plane_sweep.tracks import find_tracks


def bundled_poses(scan: ScaledScan, c: PlaneSweepConfig) -> NDArray[np.float64]:
    """Return poses (V, 4, 4) near the given ones, refined by bundle adjustment of the frames' corners."""
    frames, intrinsics, poses = range(len(scan.intrinsics)), scan.intrinsics.numpy(), scan.world_from_camera.numpy()
    shares = [scan.overlap(frame, c.near, c.far) for frame in frames]
    pairs = overlapping(shares, c.bundle_views, c.min_overlap)
    greys = [scan.image(frame).mean(0).numpy() for frame in frames]
    return adjust_poses(find_tracks(greys, pairs, intrinsics, poses), intrinsics, poses)


def turned_poses(scan: ScaledScan, c: PlaneSweepConfig) -> Tensor:
    """Return poses (V, 4, 4) with refined rotations, using the depths estimated with the given poses."""
    for _ in range(c.pose_rounds):
        shares, poses = key_overlaps(scan, c), scan.world_from_camera
        turns, view = [], cache(scan.view)
        for key, depth in estimate_depths(scan, shares, c).items():
            # Nearby frames determine rotations best, because errors in depth move their pixels least.
            near = neighbours(key, shares[key], poses, range(len(poses)), c.pose_views, c.baseline / 2, c.min_overlap)
            pairs = [(other, turn_onto(view(key), depth, view(other))) for other in near]
            turns += [PairRotation(key, other, turn) for other, turn in pairs if turn is not None]
        if turns:
            scan = scan._replace(world_from_camera=rotate_cameras(poses, agreed_turns(turns, len(poses))))
    return scan.world_from_camera
