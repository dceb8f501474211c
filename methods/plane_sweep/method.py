"""Plane-sweep stereo on posed images, and the fusion of its depth maps: the classical baseline that needs no depth sensor."""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core import Mesh, Method, MethodCard, Reconstruction, UserError
from deep3dmap.core.options import option
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.geometry.tsdf_volume import TSDFVolume
from deep3dmap.methods.plane_sweep.bundle import adjusted
from deep3dmap.methods.plane_sweep.consistency import confirmations
from deep3dmap.methods.plane_sweep.cost_volume import DepthEstimate, GreyFrame, best_planes, inverse_depths, matching_scores
from deep3dmap.methods.plane_sweep.frame_choice import key_frames, neighbours, overlap, overlapping
from deep3dmap.methods.plane_sweep.rotation_refinement import PairRotation, agreed_turns, turn_onto, turned
from deep3dmap.methods.plane_sweep.smoothness import aggregate
from deep3dmap.methods.plane_sweep.tracks import tracked


@dataclass
class PlaneSweepConfig:
    """What is swept, which matches are believed, and how they are fused."""

    width: int = option(
        320, "sweep images of this many pixels across; larger ones are averaged down", low=80, high=1280, valid="[1, inf)"
    )
    planes: int = option(96, "planes, evenly spaced in inverse depth", low=16, high=512, valid="[2, inf)")
    near: float = option(0.8, "depth in metres of the nearest plane", low=0.1, high=2, valid="(0, inf)")
    far: float = option(6.0, "depth in metres of the farthest plane", low=2, high=20, valid="(0, inf)")
    window: int = option(7, "odd side in pixels of the windows that are compared", low=3, high=21, valid="[1, inf)")
    noise: float = option(
        1.0, "deviation of grey values, of 255, that is noise and nothing to match", low=0.5, high=10, valid="(0, inf)"
    )
    small_step: float = option(
        0.0,
        "what smoothness charges for going to the next plane, in units of correlation; 0 = no smoothness",
        low=0,
        high=1,
        valid="[0, inf)",
    )
    large_step: float = option(0.5, "what it charges for a jump to any other plane", low=0, high=4, valid="[0, inf)")
    views: int = option(4, "neighbours that a key frame is matched with", low=1, high=10, valid="[1, inf)")
    baseline: float = option(
        0.4, "wanted distance in metres between a key frame and its neighbours", low=0.05, high=2, valid="(0, inf)"
    )
    min_overlap: float = option(
        0.5, "share of a key frame's view that a neighbour has to see", low=0.1, high=0.9, valid="[0, 1]"
    )
    key_distance: float = option(0.4, "movement in metres that makes a frame a key frame", low=0.02, high=1, valid="[0, inf)")
    key_degrees: float = option(15.0, "rotation in degrees that makes a frame a key frame", low=2, high=60, valid="[0, inf)")
    min_score: float = option(0.3, "least correlation of a match that is believed", low=0, high=1, valid="[-1, 1]")
    sure_ratio: float = option(
        0.6, "a match this unique, its cost over that of its rival, needs no confirmation", low=0, high=1, valid="[0, inf)"
    )
    check_views: int = option(4, "other key frames a depth map is checked against", low=1, high=10, valid="[1, inf)")
    tolerance: float = option(
        0.03, "difference in depth, as a share of it, up to which two key frames agree", low=0.005, high=0.1, valid="(0, inf)"
    )
    min_agreeing: int = option(1, "key frames that have to confirm any other match", low=0, high=5, valid="[0, inf)")
    reach: float = option(
        0.0,
        "depth in metres beyond which nothing is fused, as errors grow with its square; 0 = no limit",
        low=0,
        valid="[0, inf)",
    )
    voxel_size: float = option(0.04, "edge of a voxel in metres", low=0.01, high=0.1, log=True, valid="(0, inf)")
    truncation_voxels: float = option(3.0, "truncation distance in voxels", low=2, high=10, valid="(0, inf)")
    bundle_views: int = option(
        0, "frames that each is matched with to adjust all poses by what they show before any sweep; 0 = none", low=0, high=40,
        valid="[0, inf)",
    )  # fmt: skip
    bundle_width: int = option(640, "pixels across of the images that this looks at", low=160, high=1280, valid="[1, inf)")
    pose_rounds: int = option(
        0, "times that the frames' rotations are corrected before the sweep that counts", low=0, high=4, valid="[0, inf)"
    )
    pose_width: int = option(
        160, "pixels across of the images that they are corrected with", low=80, high=640, valid="[1, inf)"
    )
    pose_views: int = option(
        12, "frames that a key frame's picture is found again in to correct them", low=2, high=40, valid="[1, inf)"
    )
    min_weight: float = option(1.0, "observations a voxel needs to become surface", low=1, high=10, valid="[0, inf)")
    color: bool = option(True, "fuse the frames' colours too")


class _Scan(NamedTuple):
    """A scan at the size that is swept. images: the frames as given. intrinsics, world_from_camera: (V, 3, 3), (V, 4, 4)."""

    images: Any
    height: int
    width: int
    intrinsics: Tensor
    world_from_camera: Tensor

    def image(self, index: int) -> Tensor:
        """Read a frame (3, H, W)."""
        given = torch.from_numpy(np.asarray(self.images[index], np.float32))
        return torch.nn.functional.interpolate(given[None], (self.height, self.width), mode="area")[0]

    def view(self, index: int) -> GreyFrame:
        """Read a frame for matching."""
        return GreyFrame(self.image(index).mean(0), self.intrinsics[index], self.world_from_camera[index])


class PlaneSweep(Method):
    """Collins' plane sweep with normalised cross-correlation, winner takes all, and a check between frames. Learns nothing."""

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
        if not 0 < config.near < config.far or config.planes < 3 or config.width < 16:
            raise UserError("plane_sweep: near is above 0 and below far, planes at least 3, width at least 16")
        if config.window < 3 or config.window % 2 == 0:
            raise UserError(f"plane_sweep: window is odd and at least 3, got {config.window}")
        if min(config.views, config.check_views) < 1 or config.baseline <= 0 or config.voxel_size <= 0:
            raise UserError("plane_sweep: views and check_views are at least 1, baseline and voxel_size above 0")
        self.config = config

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Sweep every key frame, drop what is neither unique nor confirmed by others, and fuse; world frame, metres.

        The mesh is empty where nothing is left. `notes` say how many key frames were swept. Raises UserError for fewer
        than two frames and if no frame has a neighbour to be matched with.
        """
        if self.config.bundle_views:
            given = {**given, "world_from_camera": self._bundled(self._scan(given, self.config.bundle_width))}
        scan = self._scan(given, self.config.width)
        if self.config.pose_rounds:
            poses = self._corrected(self._scan(given, self.config.pose_width))
            scan = scan._replace(world_from_camera=poses)
        shares = self._shares(scan)
        reach = self.config.reach or math.inf
        kept = {key: torch.where(depth <= reach, depth, 0) for key, depth in self._depths(scan, shares).items()}
        notes = {"key_frames": len(shares), "swept": len(kept), "kept": _share(list(kept.values()))}
        return Reconstruction(frame="world", unit="metre", mesh=self._fuse(scan, kept), notes=notes)

    def _depths(self, scan: _Scan, shares: dict[int, Tensor]) -> dict[int, Tensor]:
        """Return the depths (H, W) of the key frames that have neighbours, 0 where a match is not believed."""
        found = self._sweep_all(scan, shares)
        depths = {key: torch.where(sweep.score > self.config.min_score, sweep.depth, 0) for key, sweep in found.items()}
        return {key: self._confirmed(scan, key, depths, found[key].ratio, shares[key]) for key in depths}

    def _bundled(self, scan: _Scan) -> NDArray[np.float64]:
        """Return poses (V, 4, 4) near the given ones under which the frames' corners lie where they are seen."""
        frames, intrinsics, poses = range(len(scan.intrinsics)), scan.intrinsics.numpy(), scan.world_from_camera.numpy()
        shares = [self._overlap(scan, frame) for frame in frames]
        pairs = overlapping(shares, self.config.bundle_views, self.config.min_overlap)
        greys = [scan.image(frame).mean(0).numpy() for frame in frames]
        return adjusted(tracked(greys, pairs, intrinsics, poses), intrinsics, poses)

    def _corrected(self, scan: _Scan) -> Tensor:
        """Return poses (V, 4, 4) whose rotations fit the pictures better, found with the depths that the given ones lead to."""
        c = self.config
        for _ in range(c.pose_rounds):
            shares, poses = self._shares(scan), scan.world_from_camera
            turns, view = [], cache(scan.view)
            for key, depth in self._depths(scan, shares).items():
                # Near frames tell rotations best: an error in depth moves their pixels least.
                near = neighbours(key, shares[key], poses, range(len(poses)), c.pose_views, c.baseline / 2, c.min_overlap)
                pairs = [(other, turn_onto(view(key), depth, view(other))) for other in near]
                turns += [PairRotation(key, other, turn) for other, turn in pairs if turn is not None]
            if turns:
                scan = scan._replace(world_from_camera=turned(poses, agreed_turns(turns, len(poses))))
        return scan.world_from_camera

    def _shares(self, scan: _Scan) -> dict[int, Tensor]:
        return {key: self._overlap(scan, key) for key in self._keys(scan)}

    def _scan(self, given: dict[str, Any], across: int) -> _Scan:
        images = given["images"]
        if len(images) < 2:
            raise UserError(f"plane_sweep: a scan needs at least two frames from different places, got {len(images)}")
        high, wide = images[0].shape[-2:]
        width = min(across, wide)
        height = max(1, round(high * width / wide))
        intrinsics = torch.from_numpy(np.asarray(given["intrinsics"], np.float64))
        intrinsics = scale_intrinsics(intrinsics, width / wide, height / high)
        return _Scan(images, height, width, intrinsics, torch.from_numpy(np.asarray(given["world_from_camera"], np.float64)))

    def _keys(self, scan: _Scan) -> list[int]:
        return key_frames(scan.world_from_camera, self.config.key_distance, self.config.key_degrees)

    def _overlap(self, scan: _Scan, key: int) -> Tensor:
        c = self.config
        return overlap(key, scan.intrinsics, scan.world_from_camera, (scan.height, scan.width), c.near, c.far)

    def _sweep_all(self, scan: _Scan, shares: dict[int, Tensor]) -> dict[int, DepthEstimate]:
        c = self.config
        found: dict[int, DepthEstimate] = {}
        for key, own in shares.items():
            frames = range(len(scan.world_from_camera))
            chosen = neighbours(key, own, scan.world_from_camera, frames, c.views, c.baseline, c.min_overlap)
            if chosen:
                found[key] = self._sweep(scan, key, chosen)
        if not found:
            raise UserError(
                f"plane_sweep: no frame has a neighbour {c.baseline / 4:g} m or more away that sees {c.min_overlap:.0%} of its "
                "view; give more frames, or lower baseline or min_overlap"
            )
        return found

    def _sweep(self, scan: _Scan, key: int, chosen: list[int]) -> DepthEstimate:
        c = self.config
        planes = inverse_depths(c.near, c.far, c.planes)
        reference = scan.view(key)
        scores = matching_scores(reference, [scan.view(index) for index in chosen], planes, c.window, flat=(c.noise / 255) ** 2)
        smooth = aggregate(1 - scores, c.small_step, c.large_step, reference.image) if c.small_step else None
        return best_planes(scores, planes, smooth=smooth)

    def _confirmed(self, scan: _Scan, key: int, depths: dict[int, Tensor], ratio: Tensor, shares: Tensor) -> Tensor:
        """Return the depth (H, W) of a key frame where it is unique or other key frames have it too, else 0."""
        c = self.config
        others = neighbours(key, shares, scan.world_from_camera, list(depths), c.check_views, c.baseline, c.min_overlap)
        agreeing = confirmations(key, others, depths, scan.intrinsics, scan.world_from_camera, c.tolerance)
        return torch.where((agreeing >= c.min_agreeing) | (ratio <= c.sure_ratio), depths[key], 0)

    def _fuse(self, scan: _Scan, depths: dict[int, Tensor]) -> Mesh:
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
