"""The generator: a radiance field rendered at scattered points of the images of given cameras.

One network serves the coarse and the fine pass, so that the discriminator judges one scene (GNeRF, section 3.1).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.methods.gnerf.pose_vectors import opencv_pose
from deep3dmap.nn.radiance.nerf_mlp import NeRFMLP
from deep3dmap.nn.radiance.patches import patch_pixels
from deep3dmap.nn.radiance.rays import rays_through
from deep3dmap.nn.radiance.sampling import even_distances, importance_distances
from deep3dmap.nn.radiance.volume_rendering import RayColors, interval_lengths, render_rays
from deep3dmap.render.volume import Rays


@dataclass(frozen=True)
class GeneratorConfig:
    """width, depth, skips, octaves: of `NeRFMLP`; the official script gives directions as many octaves as positions.

    coarse, fine: samples of the first pass, and those added where there is something. white: the background, else black.
    chunk: rays that are rendered at once.
    """

    width: int = 360
    depth: int = 8
    skips: tuple[int, ...] = (4,)
    position_octaves: int = 10
    direction_octaves: int = 10
    coarse: int = 64
    fine: int = 64
    near: float = 2.0
    far: float = 6.0
    white: bool = True
    chunk: int = 32768


@dataclass(frozen=True)
class Randomness:
    """What makes a rendering one of training: random fine samples, and density noise of this standard deviation."""

    generator: torch.Generator
    deviation: float = 0.0


class Passes(NamedTuple):
    """Colours of the same rays from the coarse and from the fine samples."""

    coarse: RayColors
    fine: RayColors


class Generator(nn.Module):
    """A radiance field with its way of rendering."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        octaves = config.position_octaves, config.direction_octaves
        self.nerf = NeRFMLP(config.width, config.depth, config.skips, *octaves)

    def forward(
        self, coordinates: Tensor, poses: Tensor, intrinsics: Tensor, size: tuple[int, int], random: Randomness | None = None
    ) -> tuple[Tensor, Tensor]:
        """Render B images (B, 3, h, w) in [-1, 1] by the coarse and by the fine pass.

        coordinates: (B, h, w, 2) as of `nn.radiance.patches`. poses: (B, 3, 4) OpenGL camera axes. intrinsics: (3, 3) of
        images of `size` (height, width), centres at +0.5. random: None has no noise, and fine samples evenly in probability.
        """
        passes = self.render(self.rays(coordinates, poses, intrinsics, size), random)
        shape = coordinates.shape[:3]
        coarse, fine = (one.color.view(*shape, 3).movedim(-1, 1) * 2 - 1 for one in passes)
        return coarse, fine

    def rays(self, coordinates: Tensor, poses: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Rays:
        """Return the rays (B h w, 3) of `forward`; differentiable in the poses."""
        pixels = patch_pixels(coordinates, *size)
        rays = rays_through(pixels, intrinsics, opencv_pose(poses)[:, None, None])
        return Rays(rays.origins.reshape(-1, 3), rays.directions.reshape(-1, 3))

    def render(self, rays: Rays, random: Randomness | None = None) -> Passes:
        """Render rays (N, 3) with unit directions, `chunk` at once."""
        chunks = zip(rays.origins.split(self.config.chunk), rays.directions.split(self.config.chunk))
        passes = [self._render(Rays(*chunk), random) for chunk in chunks]
        coarse, fine = (RayColors(*map(torch.cat, zip(*parts))) for parts in zip(*passes))
        return Passes(coarse, fine)

    def _render(self, rays: Rays, random: Randomness | None) -> Passes:
        c = self.config
        near, far = (rays.origins.new_full((len(rays.origins),), end) for end in (c.near, c.far))
        distances = even_distances(near, far, c.coarse)
        coarse = self._gather(rays, distances, far, random)
        chosen = importance_distances(distances, coarse.weights, c.fine, random.generator if random else None)
        return Passes(coarse, self._gather(rays, chosen, far, random))

    def _gather(self, rays: Rays, distances: Tensor, far: Tensor, random: Randomness | None) -> RayColors:
        points = rays.origins[:, None] + distances[..., None] * rays.directions[:, None]
        raw, color = self.nerf.raw(points, rays.directions[:, None].expand_as(points))
        if random is not None:
            device = random.generator.device
            raw = raw + random.deviation * torch.randn(raw.shape, generator=random.generator, device=device).to(raw)
        background = 1.0 if self.config.white else None
        return render_rays(raw.relu(), color, distances, interval_lengths(distances, far), background)
