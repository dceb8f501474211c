"""The network's predictions for a fragment, level by level."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class LevelOutput:
    """Predictions at the voxels of one level, before any are dropped.

    coordinates: (N, 4) int32 (batch, x, y, z in finest units). tsdf: (N, 1) in truncations of this level. occupancy: (N, 1)
    logits. The targets (N, 1) are None without ground truth. mask: (N,) bool, voxels that enter the loss and may be kept;
    None = all.
    """

    coordinates: Tensor
    tsdf: Tensor
    occupancy: Tensor
    tsdf_target: Tensor | None
    occupancy_target: Tensor | None
    mask: Tensor | None


@dataclass
class NetworkOutput:
    """The remaining finest voxels (M, 4) int32 with tsdf (M, 1), and the outputs of the levels that were reached.

    complete: False if no voxel was kept at some level; then there are no coordinates and no finer levels.
    """

    coordinates: Tensor
    tsdf: Tensor
    complete: bool
    levels: list[LevelOutput] = field(default_factory=list)
