"""The sizes and components of the network."""

from dataclasses import dataclass
from typing import Literal

from deep3dmap.core import UserError
from deep3dmap.ops.sparse import SparseBackend

DepthScale = Literal["norm", "deviation"]


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes and components of the network, levels coarse to fine; raises UserError for inconsistent values.

    n_vox: the fragment box in finest voxels. voxel_size: metres, finest level. channels: features per level; their number is
    the number of levels. joint_views: compute the image network's batch statistics over all views of a batch at once; the
    official code computes them per view. thresholds: occupancy logit above which a voxel is kept. train_num_sample: maximum
    voxels per fragment in training. fusion: fuse features across fragments. full: see GRUFusion. reset_gate: see ConvGRU.
    depth_scale: see normalized_depth.
    """

    n_vox: tuple[int, int, int] = (96, 96, 96)
    voxel_size: float = 0.04
    channels: tuple[int, ...] = (96, 48, 24)
    backbone_alpha: float = 1.0
    backbone_momentum: float = 3e-4
    sparse_momentum: float = 0.1
    joint_views: bool = False
    thresholds: tuple[float, ...] = (0.0, 0.0, 0.0)
    train_num_sample: tuple[int, ...] = (4096, 16384, 65536)
    fusion: bool = True
    full: bool = True
    reset_gate: Literal["intended", "upstream"] = "intended"
    depth_scale: DepthScale = "norm"
    backend: SparseBackend = "auto"
    pos_weight: float = 1.5
    loss_weights: tuple[float, ...] = (1.0, 0.8, 0.64)

    def __post_init__(self) -> None:
        for name in ("thresholds", "train_num_sample", "loss_weights"):
            if len(getattr(self, name)) != self.levels:
                raise UserError(f"neuralrecon: {name} needs one number for each of the {self.levels} levels")
        if any(width < 3 or width % 3 for width in self.channels):
            raise UserError(f"neuralrecon: the channels of all levels must be multiples of 3, got {self.channels}")
        if self.levels != 3 or min(self.n_vox) < self.interval(0) or any(side % self.interval(0) for side in self.n_vox):
            raise UserError(f"neuralrecon: needs 3 levels and n_vox in multiples of {self.interval(0)}, got {self.n_vox}")

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.channels)

    def interval(self, level: int) -> int:
        """Return the edge length of a level's voxels in finest voxels."""
        return int(2 ** (self.levels - 1 - level))
