"""The stages of GAN2Shape, each of three steps (Pan et al., ICLR 2021, section 3.2): trained networks and their samples."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Step
from deep3dmap.methods.gan2shape import steps
from deep3dmap.methods.gan2shape.bas_relief import ReliefScale
from deep3dmap.methods.gan2shape.networks import ShapeModel
from deep3dmap.methods.gan2shape.options import StageSchedule, at_stage
from deep3dmap.methods.gan2shape.phases import Phases, Prepare, StepLoss
from deep3dmap.methods.gan2shape.projected import ProjectedSamples
from deep3dmap.methods.gan2shape.pseudo_sampler import PseudoSampler
from deep3dmap.methods.gan2shape.subjects import Subjects
from deep3dmap.nn.relief_model import Canonical
from deep3dmap.nn.stylegan2 import Discriminator


@dataclass(frozen=True)
class Stages:
    """Shared components of the stages.

    scale_of: the relief scale of a subject's ellipsoid. mask_of: where its photograph is compared; None for everywhere.
    residual_of: what the generator's picture of a subject lacks, added to its other pictures; None for nothing.
    """

    model: ShapeModel
    subjects: Subjects
    schedule: StageSchedule
    projected: ProjectedSamples
    projector: steps.Projector
    discriminator: Discriminator
    perceptual: steps.Perceptual
    weights: steps.Weights
    adam: OptimizerConfig
    view_start_rate: float
    sampler: Callable[[], PseudoSampler]
    scale_of: Callable[[int], ReliefScale]
    mask_of: Callable[[int], Tensor] | None = None
    residual_of: Callable[[int], Tensor] | None = None

    def run(self, phases: Phases) -> Iterator[Step]:
        """Run the stages: train the albedo network, then the offset encoder, then all networks but the encoder."""
        networks, schedule = self.model.networks, self.schedule
        for stage in range(schedule.stages):
            first, second, third = schedule.steps_of(stage)
            step1 = self._step1(at_stage(schedule.mirror_step1, stage))
            yield from phases.run(f"stage {stage} step 1", networks.albedo.parameters(), first, step1, self.adam)
            yield from phases.run(f"stage {stage} step 2", networks.offset.parameters(), second, self._step2, self.adam)
            begins = stage == 0 and schedule.view_start > 0
            if begins:
                readers, faster = self._parameters("view", "light"), replace(self.adam, lr=self.view_start_rate)
                yield from phases.run("start of views", readers, schedule.view_start, self._view_start, faster)
            step3 = self._step3(at_stage(schedule.mirror_step3, stage), collected=begins)
            shape = self._parameters("depth", "albedo", "view", "light")
            yield from phases.run(f"stage {stage} step 3", shape, third, step3, self.adam)

    def _parameters(self, *names: str) -> list[nn.Parameter]:
        return [parameter for name in names for parameter in getattr(self.model.networks, name).parameters()]

    def _step1(self, mirror: bool) -> Prepare:
        """Explain the picture; trains only the albedo network."""

        def loss_of(step: int) -> steps.Loss:
            subject = self.subjects.turn(step)
            return self._explain(subject, self.model.canonical(self.subjects.picture(subject)), mirror)

        return lambda resumed: loss_of

    def _step2(self, resumed: bool) -> StepLoss:
        """Make the generator show the object from other views under other lights; trains only the offset encoder."""
        sampler = self.sampler()

        def loss_of(step: int) -> steps.Loss:
            drawn, found = sampler.draw(self.subjects.turn(step))
            return steps.step2(found, drawn.pseudo, self.discriminator, self.weights)

        return loss_of

    def _view_start(self, resumed: bool) -> StepLoss:
        """Predict the known views and lights of the generator's pictures; trains the view and light networks."""
        if not resumed:
            self._collect()

        def loss_of(step: int) -> steps.Loss:
            return self._known_views(step, self._projected(step).images)

        return loss_of

    def _step3(self, mirror: bool, collected: bool) -> Prepare:
        """Explain the generator's pictures and the photograph by one object; trains all networks but the offset encoder."""

        def prepare(resumed: bool) -> StepLoss:
            if not resumed and not collected:
                self._collect()

            def loss_of(step: int) -> steps.Loss:
                subject = self.subjects.turn(step)
                canonical = self.model.canonical(self.subjects.picture(subject))
                ours = self._explain(subject, canonical, mirror)
                sample = self._projected(step)
                theirs, _ = steps.step3(self.model, sample, canonical, self.weights, self.perceptual, mirror)
                total = ours.total + theirs.total
                terms = {**ours.terms, **{f"{name}_projected": value for name, value in theirs.terms.items()}}
                if self.weights.view:
                    known = self._known_views(step, sample.images)
                    total, terms = total + self.weights.view * known.total, {**terms, **known.terms}
                if self.weights.relief:
                    terms["relief"] = scale = self.scale_of(subject).error(canonical.depth[0])
                    total = total + self.weights.relief * scale
                return steps.Loss(total, terms)

            return loss_of

        return prepare

    def _explain(self, subject: int, canonical: Canonical, mirror: bool) -> steps.Loss:
        picture, mask = self.subjects.picture(subject), self.mask_of(subject) if self.mask_of else None
        return steps.step1(self.model, picture, canonical, self.weights, self.perceptual, mirror, mask)[0]

    def _known_views(self, step: int, images: Tensor) -> steps.Loss:
        subject = self.subjects.turn(step)
        own = self.projected.own_views[subject : subject + 1]
        origin = self.projected.origin(self._batch(step))
        return steps.view_start(self.model, images, origin, self.subjects.picture(subject), own)

    def _projected(self, step: int) -> steps.Pseudo:
        sample = self.projected.batch(self._batch(step), self.projector)
        if self.residual_of is None:
            return sample
        return sample._replace(images=(sample.images + self.residual_of(self.subjects.turn(step))).clamp(-1, 1))

    def _batch(self, step: int) -> int:
        return self.subjects.batch_of(self.subjects.turn(step), step, self.schedule.collect)

    @torch.no_grad()
    def _collect(self) -> None:
        sampler = self.sampler()
        for subject in range(len(self.subjects)):
            self.projected.own_views[subject] = self.model.unit_views(self.subjects.picture(subject))[0]
            for index in range(subject, len(self.projected.codes), len(self.subjects)):
                drawn, found = sampler.draw(subject)
                self.projected.keep(index, found.latent, drawn)
