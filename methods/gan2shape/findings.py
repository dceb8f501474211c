"""The reconstruction from a fit: the relief, and the generator's pictures of it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from deep3dmap.core import Reconstruction
from deep3dmap.methods.gan2shape.networks import ShapeModel
from deep3dmap.methods.gan2shape.steps import Projector
from deep3dmap.nn.relief_findings import YAWS, relief_reconstruction, turned
from deep3dmap.nn.relief_model import Explanation
from deep3dmap.render.relief_shading import ReliefLight


@dataclass(frozen=True)
class Findings:
    """The explanation of a picture and its code. latent: (1, D). own: (1, 3, S, S), the generator's picture of `latent`."""

    model: ShapeModel
    found: Explanation
    projector: Projector
    latent: Tensor
    own: Tensor

    def rotated_gan(self) -> Tensor:
        """Return the generator's pictures of the object from five viewpoints."""
        given = self.found.canonical.repeated(len(YAWS))
        light = ReliefLight(*(part.expand(len(YAWS), *part.shape[1:]) for part in self.found.light))
        pseudo = self.model.show(given, turned(self.found), light).relief.image
        return self.projector.project(self.model, pseudo, self.latent, self.own).images

    def reconstruction(self, notes: dict[str, Any]) -> Reconstruction:
        """Return the relief with its pictures."""
        strips = {"input_by_gan": self.own, "rotated_gan": self.rotated_gan()}
        return relief_reconstruction(self.model, self.found, strips, notes)
