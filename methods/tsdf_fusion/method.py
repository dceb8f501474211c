"""Volumetric fusion of a sensor's depth maps into a truncated signed distance field, whose zero surface becomes a mesh."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from deep3dmap.core import Mesh, Method, MethodCard, Reconstruction, UserError
from deep3dmap.core.options import option
from deep3dmap.geometry.tsdf_volume import TSDFVolume


@dataclass
class TSDFFusionConfig:
    """Resolution of the volume, and selection of the depth to fuse."""

    voxel_size: float = option(0.02, "edge of a voxel in metres", low=0.01, high=0.1, log=True, valid="(0, inf)")
    truncation_voxels: float = option(4.0, "truncation distance in voxels", low=2, high=10, valid="(0, inf)")
    max_depth: float = option(4.0, "ignore depth beyond this distance in metres", low=1, high=10, valid="(0, inf)")
    min_weight: float = option(1.0, "observations required for a voxel to become surface", low=1, high=10, valid="[0, inf)")
    color: bool = option(True, "also fuse the frames' colours")


class TSDFFusion(Method):
    """Curless and Levoy's fusion, as in KinectFusion: a running mean of projective signed distances. Not trainable."""

    card = MethodCard(
        title="TSDF fusion",
        authors="Brian Curless and Marc Levoy; real-time form by Newcombe et al. (KinectFusion)",
        year=1996,
        paper="A Volumetric Method for Building Complex Models from Range Images, SIGGRAPH 1996, doi:10.1145/237170.237269",
        tasks=("indoor", "outdoor"),
        consumes=("images", "depths", "intrinsics", "world_from_camera"),
        produces=("mesh",),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
    )
    config_type = TSDFFusionConfig

    def __init__(self, config: TSDFFusionConfig) -> None:
        if config.voxel_size <= 0 or config.truncation_voxels < 1 or config.max_depth <= 0:
            raise UserError("tsdf_fusion: voxel_size and max_depth must be above 0, truncation_voxels at least 1")
        self.config = config

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Fuse all frames and return the surface in the world frame, metres."""
        c = self.config
        depths = [torch.from_numpy(np.asarray(depth, np.float32)) for depth in given["depths"]]
        intrinsics, poses = (
            torch.from_numpy(np.asarray(given[key], np.float64)) for key in ("intrinsics", "world_from_camera")
        )
        volume = TSDFVolume.for_frames(
            depths,
            intrinsics,
            poses,
            voxel_size=c.voxel_size,
            truncation=c.truncation_voxels * c.voxel_size,
            max_depth=c.max_depth,
            colors=c.color,
        )
        for index, depth in enumerate(depths):
            image = torch.from_numpy(np.asarray(given["images"][index])) if c.color else None
            volume.integrate(depth, intrinsics[index], poses[index], image=image, max_depth=c.max_depth)
        vertices, faces, colors = volume.extract_mesh(c.min_weight)
        mesh = Mesh(vertices.numpy(), faces.numpy(), None if colors is None else colors.numpy())
        return Reconstruction(frame="world", unit="metre", mesh=mesh)
