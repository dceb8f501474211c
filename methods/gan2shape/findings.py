"""The reconstruction from a fit: the relief, and the generator's pictures of it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from deep3dmap.core import Reconstruction
from deep3dmap.methods.gan2shape.networks import ShapeModel
from deep3dmap.methods.gan2shape.steps import Projector, before_background
from deep3dmap.nn.relief_findings import YAWS, relief_reconstruction, relit, turned
from deep3dmap.nn.relief_model import Explanation
from deep3dmap.render.relief_shading import ReliefLight


class Wall(NamedTuple):
    """A plain background. mask: (1, 1, S, S), of the object before it in the canonical picture. color: (1, 3, 1, 1)."""

    mask: Tensor
    color: Tensor

    def behind(self, found: Explanation) -> Explanation:
        """Return an explanation with this background around the object, where masked losses leave the albedo undetermined."""
        albedo, texture = (self.mask * one + (1 - self.mask) * self.color for one in (found.canonical.albedo, found.texture))
        return found._replace(canonical=found.canonical._replace(albedo=albedo), texture=texture)


@dataclass(frozen=True)
class Findings:
    """The explanation of a picture and its code.

    latent: (1, D). own: (1, 3, S, S), the generator's picture of `latent`. wall: what is shown around the object; None for what
    the networks predict.
    """

    model: ShapeModel
    found: Explanation
    projector: Projector
    latent: Tensor
    own: Tensor
    wall: Wall | None = None

    def rotated_gan(self) -> Tensor:
        """Return the generator's pictures of the object from five viewpoints."""
        given = self.found.canonical.repeated(len(YAWS))
        light = ReliefLight(*(part.expand(len(YAWS), *part.shape[1:]) for part in self.found.light))
        relief = self.model.show(given, turned(self.found), light).relief
        pseudo = before_background(relief, *self.wall).images if self.wall else relief.image
        return self.projector.project(self.model, pseudo, self.latent, self.own).images

    def reconstruction(self, notes: dict[str, Any]) -> Reconstruction:
        """Return the relief with its pictures."""
        strips, found = {"input_by_gan": self.own, "rotated_gan": self.rotated_gan()}, self.found
        if self.wall:
            found = self.wall.behind(found)
            strips["relit"] = before_background(relit(self.model, found), *self.wall).images
        return relief_reconstruction(self.model, found, strips, notes)
