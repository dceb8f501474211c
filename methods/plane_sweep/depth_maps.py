"""The depth maps of the key frames: swept one by one, keeping matches that are unique or confirmed by other key frames."""

import torch
from torch import Tensor

from deep3dmap.core import UserError
from deep3dmap.methods.plane_sweep.consistency import confirmations
from deep3dmap.methods.plane_sweep.cost_volume import DepthEstimate, best_planes, inverse_depths, matching_scores
from deep3dmap.methods.plane_sweep.frame_choice import key_frames, neighbours
from deep3dmap.methods.plane_sweep.options import PlaneSweepConfig
from deep3dmap.methods.plane_sweep.scaled_scan import ScaledScan
from deep3dmap.methods.plane_sweep.smoothness import aggregate


def key_overlaps(scan: ScaledScan, c: PlaneSweepConfig) -> dict[int, Tensor]:
    """Return {key frame: (V,) fraction of its view that each frame sees}."""
    keys = key_frames(scan.world_from_camera, c.key_distance, c.key_degrees)
    return {key: scan.overlap(key, c.near, c.far) for key in keys}


def estimate_depths(scan: ScaledScan, shares: dict[int, Tensor], c: PlaneSweepConfig) -> dict[int, Tensor]:
    """Return the depths (H, W) of the key frames that have neighbours, 0 where a match is rejected.

    shares: from `key_overlaps`. Raises UserError if no frame has a neighbour to match.
    """
    found = _sweep_all(scan, shares, c)
    depths = {key: torch.where(sweep.score > c.min_score, sweep.depth, 0) for key, sweep in found.items()}
    return {key: _filter_depth(scan, key, depths, found[key].ratio, shares[key], c) for key in depths}


def _sweep_all(scan: ScaledScan, shares: dict[int, Tensor], c: PlaneSweepConfig) -> dict[int, DepthEstimate]:
    found: dict[int, DepthEstimate] = {}
    for key, own in shares.items():
        frames = range(len(scan.world_from_camera))
        chosen = neighbours(key, own, scan.world_from_camera, frames, c.views, c.baseline, c.min_overlap)
        if chosen:
            found[key] = _sweep(scan, key, chosen, c)
    if not found:
        raise UserError(
            f"plane_sweep: no frame has a neighbour at least {c.baseline / 4:g} m away that sees {c.min_overlap:.0%} of its "
            "view; give more frames, or lower baseline or min_overlap"
        )
    return found


def _sweep(scan: ScaledScan, key: int, chosen: list[int], c: PlaneSweepConfig) -> DepthEstimate:
    planes = inverse_depths(c.near, c.far, c.planes)
    reference = scan.view(key)
    scores = matching_scores(reference, [scan.view(index) for index in chosen], planes, c.window, flat=(c.noise / 255) ** 2)
    smooth = aggregate(1 - scores, c.small_step, c.large_step, reference.image) if c.small_step else None
    return best_planes(scores, planes, smooth=smooth)


def _filter_depth(
    scan: ScaledScan, key: int, depths: dict[int, Tensor], ratio: Tensor, shares: Tensor, c: PlaneSweepConfig
) -> Tensor:
    """Return the depth (H, W) of a key frame where it is unique or confirmed by other key frames, else 0."""
    others = neighbours(key, shares, scan.world_from_camera, list(depths), c.check_views, c.baseline, c.min_overlap)
    agreeing = confirmations(key, others, depths, scan.intrinsics, scan.world_from_camera, c.tolerance)
    return torch.where((agreeing >= c.min_agreeing) | (ratio <= c.sure_ratio), depths[key], 0)
