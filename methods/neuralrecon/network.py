"""NeuralRecon: image features lifted into a fragment's voxels and refined from coarse to fine (Sun et al., CVPR 2021)."""

from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.methods.neuralrecon.backbone import MnasMulti
from deep3dmap.methods.neuralrecon.conv_gru import ConvGRU
from deep3dmap.methods.neuralrecon.gru_fusion import Fused, GRUFusion
from deep3dmap.methods.neuralrecon.losses import level_loss
from deep3dmap.methods.neuralrecon.network_config import DepthScale, NetworkConfig
from deep3dmap.methods.neuralrecon.network_output import LevelOutput, NetworkOutput
from deep3dmap.methods.neuralrecon.spvcnn import SPVCNN
from deep3dmap.methods.neuralrecon.tsdf_map import TSDFMap
from deep3dmap.methods.neuralrecon.voxel_grid import (
    children,
    dense_grid,
    rows_of_elements,
    to_aligned_camera,
    world_positions,
)
from deep3dmap.ops.back_project import back_project

# The official code subtracts BGR means from RGB images; its weights require the same.
PIXEL_MEAN = (103.53, 116.28, 123.675)
FULL_WIDTH = 96


class NeuConNet(nn.Module):
    """The coarse-to-fine loop over sparse voxels. image_channels: of the feature maps, fine to coarse.

    fusing: whether features are currently fused across fragments; False in the first phase of training.
    """

    def __init__(self, config: NetworkConfig, image_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.config, self.fusing = config, config.fusion
        if config.fusion:
            cells = [
                ConvGRU(width, width, config.voxel_size * config.interval(level), config.reset_gate, config.backend)
                for level, width in enumerate(config.channels)
            ]
            self.gru_fusion = GRUFusion(cells, config.channels, config.n_vox, config.voxel_size, config.full)
        self.sp_convs, self.tsdf_preds, self.occ_preds = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(config.channels):
            parent = config.channels[level - 1] + 2 if level else 0
            inputs = image_channels[config.levels - 1 - level] + 1 + parent
            voxel_size = config.voxel_size * config.interval(level)
            self.sp_convs.append(SPVCNN(inputs, width / FULL_WIDTH, voxel_size, backend=config.backend))
            self.tsdf_preds.append(nn.Linear(width, 1))
            self.occ_preds.append(nn.Linear(width, 1))

    def forward(self, features: list[Tensor], inputs: dict[str, Any]) -> NetworkOutput:
        """Predict the fragment's surface; see NeuralReconNetwork. features: (B, V, C, H, W), fine to coarse.

        A batch element without occupied voxels is absent from the finer levels; if all are, the loop ends early.
        """
        batch, device = len(features[0]), features[0].device
        coordinates = dense_grid(self.config.n_vox, self.config.interval(0), batch, device)
        parent: Tensor | None = None
        levels: list[LevelOutput] = []
        for level in range(self.config.levels):
            if parent is not None:
                coordinates = children(coordinates, self.config.interval(level))
                parent = parent.repeat_interleave(8, dim=0)
            output, voxel_features = self._predict(level, coordinates, parent, features, inputs)
            levels.append(output)
            kept = self._keep(output, level, batch)
            coordinates, tsdf = output.coordinates[kept], output.tsdf[kept]
            if len(kept) == 0:
                return NetworkOutput(coordinates, tsdf, False, levels)
            parent = torch.cat([voxel_features[kept], tsdf, output.occupancy[kept]], 1)
        return NetworkOutput(coordinates, tsdf, True, levels)

    def _predict(
        self, level: int, coordinates: Tensor, parent: Tensor | None, features: list[Tensor], inputs: dict[str, Any]
    ) -> tuple[LevelOutput, Tensor]:
        lifted, views = self._lift(level, coordinates, features, inputs)
        lifted = lifted if parent is None else torch.cat([lifted, parent], 1)
        positions = world_positions(coordinates, inputs["vol_origin_partial"], self.config.voxel_size)
        positions = to_aligned_camera(positions, coordinates[:, 0], inputs["world_to_aligned_camera"])
        voxel_features = self.sp_convs[level](lifted, positions, coordinates[:, 0])
        fused = self._fuse(level, coordinates, voxel_features, inputs)
        # With `full`, voxels from the history are included, and these need not be visible in this fragment.
        mask = None if self.fusing and self.config.full else views > 1
        tsdf, occupancy = self.tsdf_preds[level](fused.features), self.occ_preds[level](fused.features)
        return LevelOutput(fused.coordinates, tsdf, occupancy, fused.tsdf, fused.occupancy, mask), fused.features

    def _lift(self, level: int, coordinates: Tensor, features: list[Tensor], inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Return image features and depth of each voxel, (N, C + 1), and the number of views in which it is visible, (N,)."""
        scale = self.config.levels - 1 - level
        positions = world_positions(coordinates, inputs["vol_origin_partial"], self.config.voxel_size)
        lifted, counts = [], []
        parts = positions.split(rows_of_elements(coordinates, len(features[scale])))
        for element, (maps, mine) in enumerate(zip(features[scale], parts)):
            mean, depth, count = back_project(maps, inputs["projection"][element, :, scale], mine)
            lifted.append(torch.cat([mean, normalized_depth(depth, self.config.depth_scale)[:, None]], 1))
            counts.append(count)
        return torch.cat(lifted), torch.cat(counts)

    def _fuse(self, level: int, coordinates: Tensor, features: Tensor, inputs: dict[str, Any]) -> Fused:
        if self.fusing:
            return self.gru_fusion(coordinates, features, inputs, level)
        if "tsdf" not in inputs:
            return Fused(coordinates, features, None, None)
        scale = self.config.levels - 1 - level
        batch, x, y, z = coordinates.long().unbind(1)
        at = (batch, *(axis // self.config.interval(level) for axis in (x, y, z)))
        return Fused(coordinates, features, inputs["tsdf"][scale][at][:, None], inputs["occupancy"][scale][at][:, None])

    def _keep(self, output: LevelOutput, level: int, batch: int) -> Tensor:
        """Return the row indices of occupied voxels, ascending; in training a random subset of limited size."""
        occupied = output.occupancy[:, 0] > self.config.thresholds[level]
        rows = (occupied if output.mask is None else occupied & output.mask).nonzero()[:, 0]
        limit = self.config.train_num_sample[level] * batch
        if not self.training or len(rows) <= limit:
            return rows
        return rows[torch.randperm(len(rows), device=rows.device)[:limit].sort().values]


class NeuralReconNetwork(nn.Module):
    """Backbone and coarse-to-fine network, with the parameter names of the official checkpoints."""

    pixel_mean: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        # Depthwise convolutions on a CPU take half the time with channels last.
        self.backbone2d = MnasMulti(config.backbone_alpha, config.backbone_momentum)
        self.backbone2d.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.neucon_net = NeuConNet(config, self.backbone2d.out_channels)
        for part in self.neucon_net.modules():
            if isinstance(part, nn.BatchNorm1d):
                part.momentum = config.sparse_momentum
        self.register_buffer("pixel_mean", torch.tensor(PIXEL_MEAN)[:, None, None], persistent=False)

    def forward(self, inputs: dict[str, Any]) -> NetworkOutput:
        """Predict the surface of B fragments of V views.

        inputs: `images` (B, V, 3, H, W) RGB 0..255, H and W multiples of 16; `projection` (B, V, 3, 4, 4) from the world to
        pixels of the feature maps at 1/4, 1/8, 1/16; `vol_origin_partial` (B, 3) world metres of the box's lowest voxel;
        `world_to_aligned_camera` (B, 4, 4). With fusion also `scene` (B names) and optionally `vol_origin` (B, 3). For the
        losses `tsdf` and `occupancy`, lists fine to coarse of (B, X, Y, Z).
        """
        return self.neucon_net(self.image_features(inputs["images"]), inputs)

    def image_features(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps (B, V, C, H', W') at 1/4, 1/8 and 1/16."""
        normalized = images.float() - self.pixel_mean
        if self.training and not self.config.joint_views:
            # One view at a time: batch statistics are computed over the batch and not over the views.
            views = [self._maps(view) for view in normalized.unbind(1)]
            return [torch.stack(maps, 1) for maps in zip(*views)]
        return [maps.unflatten(0, images.shape[:2]) for maps in self._maps(normalized.flatten(0, 1))]

    def _maps(self, images: Tensor) -> list[Tensor]:
        return [maps.contiguous() for maps in self.backbone2d(images.contiguous(memory_format=torch.channels_last))]

    def losses(self, output: NetworkOutput) -> dict[str, Tensor]:
        """Return the weighted loss of each level that was reached; raises ValueError if the inputs contained no targets."""
        terms = {}
        for level, (weight, at) in enumerate(zip(self.config.loss_weights, output.levels)):
            if at.tsdf_target is None or at.occupancy_target is None:
                raise ValueError("computing the loss requires `tsdf` and `occupancy` among the inputs")
            loss = level_loss(at.tsdf, at.occupancy, at.tsdf_target, at.occupancy_target, at.mask, self.config.pos_weight)
            terms[f"level_{level}"] = weight * loss
        return terms

    @property
    def fusing(self) -> bool:
        """Whether features are currently fused across fragments."""
        return self.neucon_net.fusing

    def fuse(self, fusing: bool) -> None:
        """Switch fusion across fragments on or off; raises ValueError if the network was built without it."""
        if fusing and not self.config.fusion:
            raise ValueError("this network has no recurrent cells: build it with fusion=True")
        self.neucon_net.fusing = fusing

    def reset(self) -> None:
        """Discard the scenes fused so far, for example at the start of an epoch."""
        if self.config.fusion:
            self.neucon_net.gru_fusion.reset()

    def map_state(self) -> dict[str, Tensor]:
        """Return the scenes fused so far as tensors under flat names; empty without recurrent cells."""
        return self.neucon_net.gru_fusion.state() if self.config.fusion else {}

    def load_map_state(self, state: dict[str, Tensor]) -> None:
        """Restore the scenes returned by `map_state`."""
        if self.config.fusion:
            self.neucon_net.gru_fusion.load_state(state)


def normalized_depth(depth: Tensor, scale: DepthScale = "norm") -> Tensor:
    """Return depths (N,) minus their mean, divided by `scale`; voxels that no view sees (depth 0) get 0.

    norm: divide by the L2 norm of the deviations, as the official code does. Values shrink as 1 / sqrt(N), to a few hundredths
    while features are around one. deviation: divide by the standard deviation, from which short trainings learn more.
    """
    seen = depth > 0
    mean = torch.where(seen, depth, 0).sum() / seen.sum().clamp(min=1)
    deviation = torch.where(seen, depth - mean, 0)
    norm = deviation.norm() + 1e-5
    return deviation / (norm if scale == "norm" else norm / seen.sum().clamp(min=1).sqrt())


def integrate_output(output: NetworkOutput, inputs: dict[str, Any], surface: TSDFMap) -> None:
    """Write the predictions of a batch, in order, to the scene's map; a fragment that ended early leaves the map unchanged."""
    if not output.complete:
        return
    for element, scene in enumerate(inputs["scene"]):
        mine = output.coordinates[:, 0] == element
        world_origin = inputs["vol_origin"][element] if "vol_origin" in inputs else None
        origin = inputs["vol_origin_partial"][element]
        surface.update(scene, origin, output.coordinates[mine, 1:], output.tsdf[mine], world_origin)
