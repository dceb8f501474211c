"""The floor of the indoor suite: every frame is a wall at the mean training depth. Images are not used."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deep3dmap.core import Mesh, Method, MethodCard, Reconstruction, Step, UserError
from deep3dmap.core.options import option
from deep3dmap.frameworks import TrainLoop
from deep3dmap.frameworks.inputs import select
from deep3dmap.geometry.tsdf_volume import TSDFVolume


@dataclass
class MeanDepthPlaneConfig:
    """Fusion of the constant depth."""

    voxel_size: float = option(0.04, "edge of a voxel in metres", low=0.01, high=0.1, log=True, valid="(0, inf)")
    truncation_voxels: float = option(4.0, "truncation distance in voxels", low=2, high=10, valid="(0, inf)")
    untrained_depth: float = option(2.0, "depth in metres without training rooms", low=0.5, high=5, valid="(0, inf)")
    frames_per_room: int = option(16, "frames per training room whose depth is averaged", low=1, high=1000, valid="[1, inf)")


class MeanDepthPlane(Method):
    """Assigns the mean depth of the training rooms to every frame, and fuses the frames with their poses."""

    card = MethodCard(
        title="Mean depth plane",
        authors="deep3dmap",
        year=2025,
        paper="",
        tasks=("indoor",),
        consumes=("images", "intrinsics", "world_from_camera"),
        produces=("mesh",),
        trains_on=("depths",),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
        is_baseline=True,
    )
    config_type = MeanDepthPlaneConfig

    def __init__(self, config: MeanDepthPlaneConfig) -> None:
        if config.voxel_size <= 0 or config.truncation_voxels < 1 or config.untrained_depth <= 0 or config.frames_per_room < 1:
            raise UserError("mean_depth_plane: voxel_size and untrained_depth must be above 0, the other fields at least 1")
        self.config = config
        self.total, self.count = 0.0, 0

    @property
    def depth(self) -> float:
        """The constant depth in metres."""
        return self.total / self.count if self.count else self.config.untrained_depth

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """Add one training room per step to the mean, visiting each room once."""
        for index in range(loop.step, len(loop.dataset)):
            depths = select(loop.dataset[index], self.card.trains_on, loop.settings.inputs)["depths"]
            self._learn(depths)
            yield Step(loss=0.0, terms={"depth": self.depth})

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Fuse the constant depth maps; the surface is in the world frame, metres."""
        c, poses = self.config, torch.from_numpy(np.asarray(given["world_from_camera"], np.float64))
        intrinsics = torch.from_numpy(np.asarray(given["intrinsics"], np.float64))
        height, width = given["images"][0].shape[-2:]
        plane = torch.full((height, width), self.depth)
        volume = TSDFVolume.for_frames(
            [plane] * len(poses),
            intrinsics,
            poses,
            voxel_size=c.voxel_size,
            truncation=c.truncation_voxels * c.voxel_size,
            max_depth=2 * self.depth,
            colors=False,
        )
        for index in range(len(poses)):
            volume.integrate(plane, intrinsics[index], poses[index], max_depth=2 * self.depth)
        vertices, faces, _ = volume.extract_mesh(1.0)
        notes = {"depth": self.depth, "training_rooms": self.count // c.frames_per_room}
        return Reconstruction(frame="world", unit="metre", mesh=Mesh(vertices.numpy(), faces.numpy()), notes=notes)

    def state_dict(self) -> dict[str, Any]:
        """Return the sum and number of frame means."""
        return {"total": torch.tensor(self.total, dtype=torch.float64), "count": torch.tensor(self.count)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the sum and number."""
        self.total, self.count = float(state["total"]), int(state["count"])

    def _learn(self, depths: Any) -> None:
        chosen = np.unique(np.linspace(0, len(depths) - 1, self.config.frames_per_room).round().astype(int))
        for index in chosen:
            depth = np.asarray(depths[int(index)], np.float64)
            if (depth > 0).any():
                self.total, self.count = self.total + float(depth[depth > 0].mean()), self.count + 1
