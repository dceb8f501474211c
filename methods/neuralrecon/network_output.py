"""What the network says about a fragment, level by level."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class LevelOutput:
    """Predictions at the voxels of one level, before any is dropped.

    coordinates: (N, 4) int32 batch, x, y, z in finest units. tsdf: (N, 1) truncations of this level. occupancy: (N, 1)
    logits. The targets (N, 1) are None without ground truth. mask: (N,) bool, the voxels that count; None = all.
    """

    coordinates: Tensor
    tsdf: Tensor
    occupancy: Tensor
    tsdf_target: Tensor | None
    occupancy_target: Tensor | None
    mask: Tensor | None


@dataclass
class NetworkOutput:
    """The surviving finest voxels (M, 4) int32 with tsdf (M, 1), and the levels that were reached.

    complete: false where a level kept no voxel at all; then there are no coordinates, and no finer levels.
    """

    coordinates: Tensor
    tsdf: Tensor
    complete: bool
    levels: list[LevelOutput] = field(default_factory=list)
