"""A scan at the working resolution, whose frames are read on demand."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import UserError
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.methods.plane_sweep.cost_volume import GreyFrame
from deep3dmap.methods.plane_sweep.frame_choice import overlap


class ScaledScan(NamedTuple):
    """images: the frames as given. height, width: working resolution in pixels. intrinsics: (V, 3, 3). world_from_camera:
    (V, 4, 4)."""

    images: Any
    height: int
    width: int
    intrinsics: Tensor
    world_from_camera: Tensor

    @classmethod
    def of(cls, given: dict[str, Any], across: int) -> "ScaledScan":
        """Return the scan scaled to a width of at most `across` pixels; raises UserError for fewer than two frames."""
        images = given["images"]
        if len(images) < 2:
            raise UserError(f"plane_sweep: a scan needs at least two frames from different places, got {len(images)}")
        high, wide = images[0].shape[-2:]
        width = min(across, wide)
        height = max(1, round(high * width / wide))
        intrinsics = torch.from_numpy(np.asarray(given["intrinsics"], np.float64))
        intrinsics = scale_intrinsics(intrinsics, width / wide, height / high)
        return cls(images, height, width, intrinsics, torch.from_numpy(np.asarray(given["world_from_camera"], np.float64)))

    def image(self, index: int) -> Tensor:
        """Read a frame (3, H, W) at the working resolution."""
        given = torch.from_numpy(np.asarray(self.images[index], np.float32))
        return torch.nn.functional.interpolate(given[None], (self.height, self.width), mode="area")[0]

    def view(self, index: int) -> GreyFrame:
        """Read a frame in grey, for matching."""
        return GreyFrame(self.image(index).mean(0), self.intrinsics[index], self.world_from_camera[index])

    def overlap(self, index: int, near: float, far: float) -> Tensor:
        """Return (V,): the fraction of a frame's view between two depths that is visible in each frame."""
        return overlap(index, self.intrinsics, self.world_from_camera, (self.height, self.width), near, far)
