"""Cameras of a generated scene, on a sphere around the origin and looking at it, their rays, and the samples along them.

World: z up. Camera axes: x right, y up, z backward (OpenGL). The image plane is [-1, 1]^2 with pixel centres on its border.
"""

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Range = tuple[float, float]


@dataclass(frozen=True)
class CameraConfig:
    """Sampling ranges of the cameras.

    azimuth: turns. height: 0 at the top pole, 0.5 at the horizon, uniform in z. radius: of the sphere, in scene units.
    normalisation: "own" gives every camera orthonormal axes; "batch" divides by the longest axis in the batch, as in the
    official code when the published weights were trained.
    """

    azimuth: Range = (0.0, 0.0)
    height: Range = (0.25, 0.25)
    radius: Range = (2.732, 2.732)
    normalisation: Literal["own", "batch"] = "own"


class RayBundle(NamedTuple):
    """origins: (B, 3). directions: (B, R, R, 3) per pixel, rows from the top; not unit length, but 1 along the optical axis."""

    origins: Tensor
    directions: Tensor


def inverse_intrinsics(field_of_view: float) -> Tensor:
    """Return the (4, 4) matrix that maps image-plane coordinates at depth 1 to camera coordinates."""
    width = math.tan(math.radians(field_of_view) / 2)
    return torch.diag(torch.tensor([width, width, 1.0, 1.0]))


def on_sphere(azimuth: Tensor, height: Tensor) -> Tensor:
    """Return unit vectors (..., 3) for azimuth in turns and height in [0, 1], where 0 is the top pole."""
    theta, z = 2 * math.pi * azimuth, 1 - 2 * height
    level = (1 - z.square()).clamp(min=0).sqrt()
    return torch.stack([level * theta.cos(), level * theta.sin(), z], -1)


def look_at_origin(eyes: Tensor, normalisation: Literal["own", "batch"] = "own") -> Tensor:
    """Return camera axes as columns (B, 3, 3) for cameras at eyes (B, 3), with z upwards in the image.

    normalisation: see `CameraConfig`; with "batch" a camera's axes depend on the other cameras and are not orthonormal.
    """
    backward = _unit(eyes, normalisation)
    up = eyes.new_tensor([0.0, 0.0, 1.0]).expand_as(eyes)
    right = _unit(torch.linalg.cross(up, backward), normalisation)
    return torch.stack([right, _unit(torch.linalg.cross(backward, right), normalisation), backward], -1)


def poses_from_units(config: CameraConfig, units: Tensor) -> Tensor:
    """Return world_from_camera (B, 4, 4) for units (B, 3) in [0, 1] within the ranges of azimuth, height and radius."""
    azimuth, height, radius = (
        low + units[:, index] * (high - low) for index, (low, high) in enumerate((config.azimuth, config.height, config.radius))
    )
    eyes = radius[:, None] * on_sphere(azimuth, height)
    poses = torch.eye(4, dtype=units.dtype, device=units.device).repeat(len(units), 1, 1)
    poses[:, :3, :3] = look_at_origin(eyes, config.normalisation)
    poses[:, :3, 3] = eyes
    return poses


def pixel_grid(resolution: int) -> Tensor:
    """Return the image-plane coordinates (R, R, 2) of the pixels, x rightwards and y upwards; rows from the top."""
    steps = torch.linspace(-1, 1, resolution)
    y, x = torch.meshgrid(-steps, steps, indexing="ij")
    return torch.stack([x, y], -1)


def cast_rays(inverse: Tensor, world_from_camera: Tensor, resolution: int) -> RayBundle:
    """Return the rays of all pixels. inverse: `inverse_intrinsics`, (B, 4, 4) or (4, 4). world_from_camera: (B, 4, 4)."""
    plane = pixel_grid(resolution).to(world_from_camera)
    ahead = torch.cat([plane, -torch.ones_like(plane[..., :1])], -1)
    inverse = inverse.to(world_from_camera).expand(len(world_from_camera), 4, 4)
    rotate = world_from_camera[:, :3, :3] @ inverse[:, :3, :3]
    return RayBundle(world_from_camera[:, :3, 3], torch.einsum("bij,rcj->brci", rotate, ahead))


def jitter_depths(depths: Tensor, units: Tensor) -> Tensor:
    """Move each depth (..., S) between the midpoints to its neighbours; units: (..., S) in [0, 1]. The ends stay in range."""
    middle = (depths[..., 1:] + depths[..., :-1]) / 2
    low = torch.cat([depths[..., :1], middle], -1)
    high = torch.cat([middle, depths[..., -1:]], -1)
    return low + units * (high - low)


def _unit(vectors: Tensor, normalisation: Literal["own", "batch"]) -> Tensor:
    length = vectors.norm(dim=-1, keepdim=True)
    if normalisation == "batch":
        length = length.max()
    return vectors / length.clamp(min=1e-5)


def sample_poses(config: CameraConfig, count: int, generator: torch.Generator) -> Tensor:
    """Sample world_from_camera (count, 4, 4), uniformly on the configured part of the sphere."""
    return poses_from_units(config, torch.rand(count, 3, generator=generator))
