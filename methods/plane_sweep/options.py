"""The options of plane-sweep stereo: sweep, acceptance of matches, and fusion."""

from dataclasses import dataclass

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option


@dataclass
class PlaneSweepConfig:
    """Options of the sweep, the acceptance of matches, and the fusion."""

    width: int = option(
        320, "image width in pixels for the sweep; larger images are averaged down", low=80, high=1280, valid="[1, inf)"
    )
    planes: int = option(96, "number of planes, evenly spaced in inverse depth", low=16, high=512, valid="[2, inf)")
    near: float = option(0.8, "depth in metres of the nearest plane", low=0.1, high=2, valid="(0, inf)")
    far: float = option(6.0, "depth in metres of the farthest plane", low=2, high=20, valid="(0, inf)")
    window: int = option(7, "side of the matching window in pixels, odd", low=3, high=21, valid="[1, inf)")
    noise: float = option(
        1.0, "standard deviation of grey values (0..255) regarded as noise", low=0.5, high=10, valid="(0, inf)"
    )
    small_step: float = option(
        0.0,
        "smoothness penalty for a step to the next plane, in units of correlation; 0 = no smoothness",
        low=0,
        high=1,
        valid="[0, inf)",
    )
    large_step: float = option(0.5, "smoothness penalty for a jump to any other plane", low=0, high=4, valid="[0, inf)")
    views: int = option(4, "neighbours that a key frame is matched with", low=1, high=10, valid="[1, inf)")
    baseline: float = option(
        0.4, "preferred distance in metres between a key frame and its neighbours", low=0.05, high=2, valid="(0, inf)"
    )
    min_overlap: float = option(
        0.5, "fraction of a key frame's view that a neighbour must see", low=0.1, high=0.9, valid="[0, 1]"
    )
    key_distance: float = option(
        0.4, "metres of translation that suffice for a new key frame", low=0.02, high=1, valid="[0, inf)"
    )
    key_degrees: float = option(15.0, "degrees of rotation that suffice for a new key frame", low=2, high=60, valid="[0, inf)")
    min_score: float = option(0.3, "minimum correlation of an accepted match", low=0, high=1, valid="[-1, 1]")
    sure_ratio: float = option(
        0.6, "ratio of a match's cost to its rival's below which it needs no confirmation", low=0, high=1, valid="[0, inf)"
    )
    check_views: int = option(4, "other key frames that a depth map is checked against", low=1, high=10, valid="[1, inf)")
    tolerance: float = option(
        0.03, "maximum relative difference in depth for two key frames to agree", low=0.005, high=0.1, valid="(0, inf)"
    )
    min_agreeing: int = option(1, "key frames required to confirm any other match", low=0, high=5, valid="[0, inf)")
    reach: float = option(
        0.0,
        "maximum depth in metres for fusion, as errors grow with the square of depth; 0 = no limit",
        low=0,
        valid="[0, inf)",
    )
    voxel_size: float = option(0.04, "edge of a voxel in metres", low=0.01, high=0.1, log=True, valid="(0, inf)")
    truncation_voxels: float = option(3.0, "truncation distance in voxels", low=2, high=10, valid="(0, inf)")
    bundle_views: int = option(
        0, "frames that each frame is matched with in the bundle adjustment before the sweep; 0 = none", low=0, high=40,
        valid="[0, inf)",
    )  # fmt: skip
    bundle_width: int = option(640, "image width in pixels for the bundle adjustment", low=160, high=1280, valid="[1, inf)")
    pose_rounds: int = option(0, "rounds of rotation refinement before the final sweep", low=0, high=4, valid="[0, inf)")
    pose_width: int = option(160, "image width in pixels for the rotation refinement", low=80, high=640, valid="[1, inf)")
    pose_views: int = option(
        12, "frames that a key frame is aligned with in the rotation refinement", low=2, high=40, valid="[1, inf)"
    )
    min_weight: float = option(1.0, "observations required for a voxel to become surface", low=1, high=10, valid="[0, inf)")
    color: bool = option(True, "also fuse the frames' colours")

    def check(self) -> None:
        """Raise UserError for options with which no scan can be swept."""
        if not 0 < self.near < self.far or self.planes < 3 or self.width < 16:
            raise UserError("plane_sweep: near must be above 0 and below far, planes at least 3, width at least 16")
        if self.window < 3 or self.window % 2 == 0:
            raise UserError(f"plane_sweep: window must be odd and at least 3, got {self.window}")
        if min(self.views, self.check_views) < 1 or self.baseline <= 0 or self.voxel_size <= 0:
            raise UserError("plane_sweep: views and check_views must be at least 1, baseline and voxel_size above 0")
