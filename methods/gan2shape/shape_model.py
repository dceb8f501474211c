"""What GAN2Shape learns about one object: depth, albedo, view and light of a picture, and how the generator moves it."""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.methods.gan2shape.samplers import YAW
from deep3dmap.nn.relief_networks import PictureToPicture, PictureToVector, ResidualEncoder
from deep3dmap.render.photo_geometric import PhotoGeometricRenderer, Relief
from deep3dmap.render.relief_shading import ReliefLight, apply_light, decode_light, diffuse_term


@dataclass(frozen=True)
class ShapeSpace:
    """Units and limits of the quantities that networks give in [-1, 1].

    nearest, farthest: of canonical depth. border: depth towards which the outer columns are drawn, and `pull`, how far: the
    published code overshoots by 2 %. rotation: degrees. shift: along x and y; shift_z: along z.
    """

    size: int = 128
    nearest: float = 0.9
    farthest: float = 1.1
    border: float = 1.04
    pull: float = 1.02
    rotation: float = 60.0
    shift: float = 0.1
    shift_z: float = 0.0
    degrees: float = 10.0
    pivot: float = 1.0

    def renderer(self) -> PhotoGeometricRenderer:
        """Return the renderer of these reliefs."""
        return PhotoGeometricRenderer(ReliefCamera(self.size, self.degrees, self.pivot), self.nearest, self.farthest)

    def to_depth(self, raw: Tensor) -> Tensor:
        """Turn (N, 1, H, W) of the depth network into depth maps (N, H, W), whose mean is in the middle of the range."""
        level = (raw[:, 0] - raw[:, 0].mean((1, 2), keepdim=True)).tanh()
        return (1 + level) / 2 * self.farthest + (1 - level) / 2 * self.nearest

    def with_border(self, depth: Tensor) -> Tensor:
        """Draw the two outer columns on either side to the border's depth."""
        outer = torch.zeros_like(depth[0])
        outer[:, :2] = outer[:, -2:] = self.pull
        return depth * (1 - outer) + self.border * outer

    def to_views(self, unit: Tensor) -> Tensor:
        """Scale (N, 6) in the view network's units to radians and lengths."""
        turn = math.radians(self.rotation)
        return unit * unit.new_tensor([turn, turn, turn, self.shift, self.shift, self.shift_z])


@dataclass(frozen=True)
class Priors:
    """Means that are added to what the networks say: view (6,) and light (4,), in their units."""

    view: Tensor = field(default_factory=lambda: torch.zeros(6))
    light: Tensor = field(default_factory=lambda: torch.zeros(4))


class ShapeNetworks(nn.Module):
    """The five networks. width: channels of the first layers, None for the published ones; code: length of the inner code."""

    def __init__(
        self, size: int, style_dim: int = 512, *, width: int | None = None, code: int = 256, offset_width: int = 32
    ) -> None:
        super().__init__()
        self.depth = PictureToPicture(size, 1, width=width, code=code)
        self.albedo = PictureToPicture(size, 3, width=width, code=code, squash=True)
        self.view = PictureToVector(size, 6, width=width)
        self.light = PictureToVector(size, 4, width=width)
        self.offset = ResidualEncoder(size, style_dim, width=offset_width)


class Canonical(NamedTuple):
    """An object by itself. depth: (N, H, W). albedo: (N, 3, H, W) in [-1, 1]."""

    depth: Tensor
    albedo: Tensor

    def mirrored_too(self) -> "Canonical":
        """Append the mirror images, 2 N in all."""
        return Canonical(torch.cat([self.depth, self.depth.flip(2)]), torch.cat([self.albedo, self.albedo.flip(3)]))

    def repeated(self, count: int) -> "Canonical":
        """Return the one object `count` times."""
        return Canonical(self.depth.expand(count, -1, -1), self.albedo.expand(count, -1, -1, -1))


class Explanation(NamedTuple):
    """How N pictures come about. views: (N, 6), scaled. term: (N, 1, H, W), the diffuse shading. texture: (N, 3, H, W)."""

    canonical: Canonical
    views: Tensor
    light: ReliefLight
    term: Tensor
    texture: Tensor
    relief: Relief


class ShapeModel:
    """The networks, the priors and the renderer, put together as in the paper's section 3."""

    def __init__(self, networks: ShapeNetworks, space: ShapeSpace, priors: Priors) -> None:
        self.networks, self.space, self.priors = networks, space, priors
        self.renderer = space.renderer()

    def canonical(self, images: Tensor) -> Canonical:
        """Return the objects that pictures (N, 3, S, S) show."""
        depth = self.space.with_border(self.space.to_depth(self.networks.depth(images)))
        return Canonical(depth, self.networks.albedo(images))

    def views(self, images: Tensor) -> Tensor:
        """Return the views (N, 6) of pictures, scaled."""
        return self.space.to_views(self.unit_views(images))

    def unit_views(self, images: Tensor) -> Tensor:
        """Return the views (N, 6) of pictures, in the network's units."""
        return self.networks.view(images) + self.priors.view.to(images)

    def light(self, images: Tensor) -> ReliefLight:
        """Return the lights of pictures."""
        return decode_light(self.networks.light(images) + self.priors.light.to(images))

    def explain(self, images: Tensor, canonical: Canonical, mirror: bool = False) -> Explanation:
        """Show an object (one for all pictures or one each) as the pictures' views and lights would; mirrored copies behind."""
        given = canonical if len(canonical.depth) == len(images) else canonical.repeated(len(images))
        views, light = self.views(images), self.light(images)
        if mirror:
            given, views = given.mirrored_too(), views.repeat(2, 1)
            light = ReliefLight(light.ambient.repeat(2), light.diffuse.repeat(2), light.direction.repeat(2, 1))
        return self.show(given, views, light)

    def show(self, canonical: Canonical, views: Tensor, light: ReliefLight) -> Explanation:
        """Show objects from views (N, 6) under lights."""
        term = diffuse_term(self.renderer.camera.normals(canonical.depth), light.direction)
        texture = apply_light(canonical.albedo, term, light.ambient, light.diffuse)
        return Explanation(canonical, views, light, term, texture, self.renderer.render(texture, canonical.depth, views))


def widen_yaw(unit_views: Tensor, factor: float) -> Tensor:
    """Multiply the yaw of views (N, 6), which lets pseudo samples turn further than pictures do."""
    scale = torch.ones(6)
    scale[YAW] = factor
    return unit_views * scale.to(unit_views)
