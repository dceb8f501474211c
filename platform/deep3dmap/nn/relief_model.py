"""Image formation from depth, albedo, view and light, each predicted by a network (Wu, Rupprecht and Vedaldi, CVPR 2020)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.render.photo_geometric import PhotoGeometricRenderer, Relief
from deep3dmap.render.relief_shading import ReliefLight, apply_light, decode_light, diffuse_term

YAW = 1  # index of the rotation about the vertical axis in a view


@dataclass(frozen=True)
class ReliefSpace:
    """Units and ranges of the quantities that networks predict in [-1, 1].

    size: side of the images in pixels. nearest, farthest: range of canonical depth. border: depth towards which the outer
    columns are pulled; pull: how far, where 1 is completely (Wu et al.) and the published code of Pan et al. overshoots by 2 %.
    rotation: largest rotation in degrees. shift: largest translation along x and y; shift_z: along z. degrees, pivot: see
    `ReliefCamera`.
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
        """Convert the depth network's output (N, 1, H, W) to depth maps (N, H, W), centred in the depth range."""
        level = (raw[:, 0] - raw[:, 0].mean((1, 2), keepdim=True)).tanh()
        return (1 + level) / 2 * self.farthest + (1 - level) / 2 * self.nearest

    def with_border(self, depth: Tensor) -> Tensor:
        """Pull the two outer columns on either side towards the border depth."""
        outer = torch.zeros_like(depth[0])
        outer[:, :2] = outer[:, -2:] = self.pull
        return depth * (1 - outer) + self.border * outer

    def to_views(self, unit: Tensor) -> Tensor:
        """Scale views (N, 6) from the network's units to radians and lengths."""
        turn = math.radians(self.rotation)
        return unit * unit.new_tensor([turn, turn, turn, self.shift, self.shift, self.shift_z])


@dataclass(frozen=True)
class Priors:
    """Means that are added to the networks' outputs: view (6,) and light (4,), in the networks' units."""

    view: Tensor = field(default_factory=lambda: torch.zeros(6))
    light: Tensor = field(default_factory=lambda: torch.zeros(4))


class ReliefNetworks(Protocol):
    """The networks applied to images (N, 3, S, S) in [-1, 1]."""

    @property
    def depth(self) -> Callable[[Tensor], Tensor]:
        """Network that returns (N, 1, S, S), unbounded and up to a constant."""

    @property
    def albedo(self) -> Callable[[Tensor], Tensor]:
        """Network that returns (N, 3, S, S) in [-1, 1]."""

    @property
    def view(self) -> Callable[[Tensor], Tensor]:
        """Network that returns (N, 6) in [-1, 1]."""

    @property
    def light(self) -> Callable[[Tensor], Tensor]:
        """Network that returns (N, 4) in [-1, 1]."""


Networks = TypeVar("Networks", bound=ReliefNetworks)


class Canonical(NamedTuple):
    """An object in its canonical view. depth: (N, H, W). albedo: (N, 3, H, W) in [-1, 1]."""

    depth: Tensor
    albedo: Tensor

    def mirrored_too(self) -> "Canonical":
        """Append the horizontally mirrored objects, 2 N in total."""
        return Canonical(torch.cat([self.depth, self.depth.flip(2)]), torch.cat([self.albedo, self.albedo.flip(3)]))

    def repeated(self, count: int) -> "Canonical":
        """Repeat a single object `count` times."""
        return Canonical(self.depth.expand(count, -1, -1), self.albedo.expand(count, -1, -1, -1))


class Explanation(NamedTuple):
    """The components of N images. views: (N, 6), scaled. term: (N, 1, H, W), diffuse shading. texture: (N, 3, H, W)."""

    canonical: Canonical
    views: Tensor
    light: ReliefLight
    term: Tensor
    texture: Tensor
    relief: Relief


class ReliefModel(Generic[Networks]):
    """The networks, priors and renderer, combined as in section 3 of the paper."""

    def __init__(self, networks: Networks, space: ReliefSpace, priors: Priors) -> None:
        self.networks, self.space, self.priors = networks, space, priors
        self.renderer = space.renderer()

    def canonical(self, images: Tensor) -> Canonical:
        """Predict the canonical objects of images (N, 3, S, S)."""
        depth = self.space.with_border(self.space.to_depth(self.networks.depth(images)))
        return Canonical(depth, self.networks.albedo(images))

    def views(self, images: Tensor) -> Tensor:
        """Predict the views (N, 6) of images, in radians and lengths."""
        return self.space.to_views(self.unit_views(images))

    def unit_views(self, images: Tensor) -> Tensor:
        """Predict the views (N, 6) of images, in the network's units."""
        return self.networks.view(images) + self.priors.view.to(images)

    def light(self, images: Tensor) -> ReliefLight:
        """Predict the lights of images."""
        return decode_light(self.networks.light(images) + self.priors.light.to(images))

    def explain(self, images: Tensor, canonical: Canonical, mirror: bool = False) -> Explanation:
        """Render objects, one for all images or one each, with the images' views and lights; mirror: append mirrored ones."""
        given = canonical if len(canonical.depth) == len(images) else canonical.repeated(len(images))
        views, light = self.views(images), self.light(images)
        if mirror:
            given, views = given.mirrored_too(), views.repeat(2, 1)
            light = ReliefLight(light.ambient.repeat(2), light.diffuse.repeat(2), light.direction.repeat(2, 1))
        return self.show(given, views, light)

    def show(self, canonical: Canonical, views: Tensor, light: ReliefLight) -> Explanation:
        """Render objects from views (N, 6) under the given lights."""
        term = diffuse_term(self.renderer.camera.normals(canonical.depth), light.direction)
        texture = apply_light(canonical.albedo, term, light.ambient, light.diffuse)
        return Explanation(canonical, views, light, term, texture, self.renderer.render(texture, canonical.depth, views))
