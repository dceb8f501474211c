"""The prior of a scene's camera poses: ranges of angles and distances around the scene."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.methods.gnerf.pose_vectors import look_at_poses

Range = tuple[float, float]


@dataclass(frozen=True)
class PosePrior:
    """azimuth, elevation: degrees, uniform in the angle as in the official code, and thus denser near the pole of the sphere.

    radius: distance from the origin. spread: standard deviation, in radii, of the target point in the ground plane. even:
    uniform over the sphere instead.
    """

    azimuth: Range = (0.0, 360.0)
    elevation: Range = (0.0, 90.0)
    radius: Range = (4.0, 4.0)
    spread: float = 0.0
    even: bool = False

    def poses(self, units: Tensor, normals: Tensor | None = None) -> Tensor:
        """Return poses (N, 3, 4) for units (N, 3) in [0, 1] of azimuth, elevation and radius.

        normals: (N, 2) standard normal numbers for the target point; with None the cameras look at the origin.
        """
        ranges = (self.azimuth, self.elevation, self.radius)
        azimuth, elevation, radius = (low + units[:, i] * (high - low) for i, (low, high) in enumerate(ranges))
        azimuth, elevation = azimuth * (math.pi / 180), elevation * (math.pi / 180)
        if self.even:
            low, high = (math.sin(math.radians(end)) for end in self.elevation)
            elevation = (low + units[:, 1] * (high - low)).asin()
        level = elevation.cos()
        direction = torch.stack([level * azimuth.cos(), level * azimuth.sin(), elevation.sin()], -1)
        positions = radius[:, None] * direction
        if normals is None or self.spread == 0:
            return look_at_poses(positions)
        targets = torch.cat([self.spread * self.radius[0] * normals, torch.zeros_like(normals[:, :1])], -1)
        return look_at_poses(positions, targets)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Sample poses (count, 3, 4)."""
        device = generator.device
        units = torch.rand(count, 3, generator=generator, device=device)
        return self.poses(units, torch.randn(count, 2, generator=generator, device=device))
