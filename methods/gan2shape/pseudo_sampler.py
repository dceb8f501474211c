"""Sampling of pseudo samples from the current explanation of objects, and their projections by the generator."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.methods.gan2shape import steps
from deep3dmap.methods.gan2shape.masks import background_color
from deep3dmap.methods.gan2shape.networks import ShapeModel
from deep3dmap.methods.gan2shape.samplers import LightRange, ViewPrior, draw_lights, widen_yaw
from deep3dmap.methods.gan2shape.subjects import Subjects


@dataclass(frozen=True)
class Explainer:
    """Models and ranges for pseudo samples. view_scale: factor of their yaw. side: working size in pixels."""

    model: ShapeModel
    projector: steps.Projector
    view_prior: ViewPrior
    light_range: LightRange
    view_scale: float
    side: int


class PseudoSampler:
    """Samples pseudo samples, caching the last subject's explanation.

    Valid only while depth, albedo, view and light are not trained.

    mask_of: mask of a subject in its picture, to which pseudo samples are restricted; None for no restriction. plain: the
    object stands in front of a plain background, which is put behind the pseudo samples too.
    """

    def __init__(
        self,
        explainer: Explainer,
        subjects: Subjects,
        batch: int,
        mask_of: Callable[[int], Tensor] | None = None,
        plain: bool = False,
    ) -> None:
        self._explainer, self._subjects, self._batch = explainer, subjects, batch
        self._mask_of, self._plain = mask_of, plain
        self._subject = -1
        self._drawn: Callable[[], steps.PseudoBatch]
        self._own: Tensor

    def draw(self, subject: int) -> tuple[steps.PseudoBatch, steps.Projection]:
        """Return a batch of pseudo samples of a subject, and their projections, which propagate gradients."""
        explainer, latent = self._explainer, self._subjects.latent(subject).detach()
        if subject != self._subject:
            self._drawn = self._explained(subject)
            self._own = explainer.projector.picture(latent, explainer.side)
            self._subject = subject
        drawn = self._drawn()
        return drawn, explainer.projector.project(explainer.model, drawn.pseudo.images, latent, self._own)

    @torch.no_grad()
    def _explained(self, subject: int) -> Callable[[], steps.PseudoBatch]:
        explainer, picture = self._explainer, self._subjects.picture(subject)
        canonical = explainer.model.canonical(picture)
        found = explainer.model.explain(picture, canonical)
        mask, background = torch.ones_like(picture[:, :1]), None
        if self._mask_of:
            object_mask = self._mask_of(subject)
            mask = steps.canonical_mask(explainer.model, canonical, found.views, object_mask)
            # Masked losses leave the albedo there undetermined, and the generator cannot show such noise.
            background = background_color(picture, object_mask) if self._plain else None

        def draw() -> steps.PseudoBatch:
            views = widen_yaw(explainer.view_prior.draw(self._batch), explainer.view_scale).to(picture)
            lights = draw_lights(self._batch)
            return steps.pseudo_samples(explainer.model, found, mask, views, lights, explainer.light_range, background)

        return draw
