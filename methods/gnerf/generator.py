"""The generator: a radiance field rendered at scattered image points of given cameras.

The coarse and the fine pass share one network, so that the discriminator judges the same scene (GNeRF, section 3.1).
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
    """width, depth, skips, octaves: of `NeRFMLP`; the official script uses equally many octaves for directions and positions.

    coarse, fine: samples of the first pass, and samples added near surfaces. white: white background, otherwise black.
    chunk: rays rendered at once.
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
    """Random perturbations of training renderings: random fine samples, and density noise with this standard deviation."""

    generator: torch.Generator
    deviation: float = 0.0


class Passes(NamedTuple):
    """Colours of the same rays from the coarse and the fine samples."""

    coarse: RayColors
    fine: RayColors


class Generator(nn.Module):
    """A radiance field and its rendering."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        octaves = config.position_octaves, config.direction_octaves
        self.nerf = NeRFMLP(config.width, config.depth, config.skips, *octaves)

    def forward(
        self, coordinates: Tensor, poses: Tensor, intrinsics: Tensor, size: tuple[int, int], random: Randomness | None = None
    ) -> tuple[Tensor, Tensor]:
        """Render B images (B, 3, h, w) in [-1, 1] with the coarse and with the fine pass.

        coordinates: (B, h, w, 2) as in `nn.radiance.patches`. poses: (B, 3, 4) with OpenGL camera axes. intrinsics: (3, 3) of
        images of `size` (height, width), centres at +0.5. random: None for no noise and evenly spaced quantiles as fine
        samples.
        """
        passes = self.render(self.rays(coordinates, poses, intrinsics, size), random)
        shape = coordinates.shape[:3]
        coarse, fine = (one.color.view(*shape, 3).movedim(-1, 1) * 2 - 1 for one in passes)
        return coarse, fine

    def rays(self, coordinates: Tensor, poses: Tensor, intrinsics: Tensor, size: tuple[int, int]) -> Rays:
        """Return the rays (B h w, 3) of `forward`; differentiable with respect to the poses."""
        pixels = patch_pixels(coordinates, *size)
        rays = rays_through(pixels, intrinsics, opencv_pose(poses)[:, None, None])
        return Rays(rays.origins.reshape(-1, 3), rays.directions.reshape(-1, 3))

    def render(self, rays: Rays, random: Randomness | None = None) -> Passes:
        """Render rays (N, 3) with unit directions, `chunk` at a time."""
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
