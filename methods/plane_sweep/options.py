"""The options of plane-sweep stereo: what is swept, which matches are believed, and how they are fused."""

from dataclasses import dataclass

from deep3dmap.core.errors import UserError
from deep3dmap.core.options import option


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

    def check(self) -> None:
        """Raise UserError for options that no scan can be swept with."""
        if not 0 < self.near < self.far or self.planes < 3 or self.width < 16:
            raise UserError("plane_sweep: near is above 0 and below far, planes at least 3, width at least 16")
        if self.window < 3 or self.window % 2 == 0:
            raise UserError(f"plane_sweep: window is odd and at least 3, got {self.window}")
        if min(self.views, self.check_views) < 1 or self.baseline <= 0 or self.voxel_size <= 0:
            raise UserError("plane_sweep: views and check_views are at least 1, baseline and voxel_size above 0")
