"""Draws pseudo samples of objects as they are explained now, and what the generator makes of them."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from deep3dmap.methods.gan2shape import steps
from deep3dmap.methods.gan2shape.options import GAN2ShapeConfig
from deep3dmap.methods.gan2shape.samplers import LightRange, ViewPrior, draw_lights
from deep3dmap.methods.gan2shape.shape_model import ShapeModel, widen_yaw
from deep3dmap.methods.gan2shape.subjects import Subjects


class Explainer(Protocol):
    """The parts of the method that pseudo samples come from."""

    config: GAN2ShapeConfig
    model: ShapeModel
    view_prior: ViewPrior
    light_range: LightRange

    @property
    def projector(self) -> steps.Projector:
        """Moves a latent code."""
        ...

    def own_picture(self, latent: Tensor) -> Tensor:
        """Return the generator's picture of a code."""
        ...

    def object_mask(self, picture: Tensor) -> Tensor:
        """Return the mask of the object in a picture."""
        ...


class PseudoSampler:
    """Valid while depth, albedo, view and light do not learn: the last subject's explanation is kept."""

    def __init__(self, method: Explainer, subjects: Subjects, batch: int) -> None:
        self._method, self._subjects, self._batch = method, subjects, batch
        self._subject = -1
        self._drawn: Callable[[], steps.Pseudo]
        self._own: Tensor

    def draw(self, subject: int) -> tuple[steps.Pseudo, steps.Projection]:
        """Return a batch of pseudo samples of a subject, and their projections, through which gradients go."""
        if subject != self._subject:
            self._drawn = self._explained(subject)
            self._own = self._method.own_picture(self._subjects.latent(subject).detach())
            self._subject = subject
        pseudo, latent = self._drawn(), self._subjects.latent(subject).detach()
        return pseudo, self._method.projector.project(self._method.model, pseudo.images, latent, self._own)

    @torch.no_grad()
    def _explained(self, subject: int) -> Callable[[], steps.Pseudo]:
        method, picture = self._method, self._subjects.picture(subject)
        canonical = method.model.canonical(picture)
        found = method.model.explain(picture, canonical)
        mask = torch.ones_like(picture[:, :1])
        if method.config.use_mask:
            mask = steps.canonical_mask(method.model, canonical, found.views, method.object_mask(picture))

        def draw() -> steps.Pseudo:
            views = widen_yaw(method.view_prior.draw(self._batch), method.config.view_scale).to(picture)
            return steps.pseudo_samples(method.model, found, mask, views, draw_lights(self._batch), method.light_range)

        return draw
