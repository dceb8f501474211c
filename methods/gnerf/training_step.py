"""One step of a fit: the networks that are updated, and their losses."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deep3dmap.frameworks import TrainLoop
from deep3dmap.methods.gnerf import objectives
from deep3dmap.methods.gnerf.discriminator import PatchDiscriminator
from deep3dmap.methods.gnerf.generator import Generator, Randomness
from deep3dmap.methods.gnerf.inversion_network import InversionNetwork
from deep3dmap.methods.gnerf.objectives import ImagePlane, Weights
from deep3dmap.methods.gnerf.photographs import Photographs
from deep3dmap.methods.gnerf.pose_prior import PosePrior
from deep3dmap.methods.gnerf.pose_table import PoseTable
from deep3dmap.methods.gnerf.schedules import Schedules
from deep3dmap.nn.radiance.patches import Patches, crop_patches, random_patches


@dataclass(frozen=True)
class StepInputs:
    """Input of a step. rows: indices of the photographs. real: these photographs at the step's image size."""

    rows: Tensor
    real: Tensor
    image_plane: ImagePlane
    patches: Patches
    min_scale: float
    random: Randomness


@dataclass(frozen=True)
class TrainingStep:
    """The updates of one step of the loop, which depend on the step number only; no state is kept between steps."""

    generator: Generator
    discriminator: PatchDiscriminator
    inversion: InversionNetwork
    table: PoseTable
    photographs: Photographs
    prior: PosePrior
    schedules: Schedules
    weights: Weights
    batch: int

    def run(self, loop: TrainLoop) -> dict[str, Tensor]:
        """Perform the updates of the current phase and return their losses."""
        phase, inputs = self.schedules.phase(loop.step), self._sample_inputs(loop.step)
        terms: dict[str, Tensor] = {}
        if phase != "B":
            terms |= self._update_adversarial(loop, inputs)
            terms |= self._update_inversion(loop, inputs)
        if phase != "A":
            terms["photometric"] = self._update_photometric(loop, inputs)
        return terms

    def _sample_inputs(self, step: int) -> StepInputs:
        device, image_plane = self.photographs.images.device, self.photographs.image_plane
        # Seeded from the step's random numbers, so that a resumed fit uses the same.
        random = torch.Generator(device).manual_seed(int(torch.randint(2**62, ())))
        rows = torch.randperm(len(self.photographs.images))[: self.batch].to(device)
        real, small = self.photographs.some(rows, *self.schedules.image_size(step, image_plane.width, image_plane.height))
        min_scale = self.schedules.min_scale(step, image_plane.width, image_plane.height)
        patches = random_patches(len(rows), self.schedules.patch, min_scale, random)
        return StepInputs(rows, real, small, patches, min_scale, Randomness(random, self.schedules.noise(step)))

    def _update_adversarial(self, loop: TrainLoop, inputs: StepInputs) -> dict[str, Tensor]:
        """Update the field to fool the discriminator at random poses, then the discriminator."""
        random = inputs.random.generator
        with loop.micro_batch("generator"):
            patches = random_patches(self.batch, self.schedules.patch, inputs.min_scale, random)
            poses = self.prior.sample(self.batch, random)
            fake = objectives.render_both(self.generator, patches.coordinates, poses, inputs.image_plane, inputs.random)
            generator_loss = objectives.fool(self.discriminator, fake, patches.scale, random)
            loop.backward(generator_loss)
        loop.update("generator")
        with loop.micro_batch("discriminator"):
            real = crop_patches(inputs.real, inputs.patches.coordinates)
            discriminator_loss = objectives.discriminate(
                self.discriminator,
                (real, inputs.patches.scale),
                (fake, patches.scale),
                random,
                self.weights,
                loop.gradient_penalty,
            )
            loop.backward(discriminator_loss)
        loop.update("discriminator")
        return {"generator": generator_loss.detach(), "discriminator": discriminator_loss.detach()}

    def _update_inversion(self, loop: TrainLoop, inputs: StepInputs) -> dict[str, Tensor]:
        """Update the inversion network on renderings at random poses, then the poses towards its predictions."""
        with loop.micro_batch("inversion"):
            poses = self.prior.sample(self.batch, inputs.random.generator)
            inverted = objectives.invert_renderings(self.inversion, self.generator, poses, inputs.image_plane, inputs.random)
            loop.backward(inverted)
        loop.update("inversion")
        with loop.micro_batch("poses"):
            followed = objectives.follow_inversion(self.table, self.inversion, inputs.real, inputs.rows, self.weights)
            loop.backward(followed)
        loop.update("poses")
        return {"inversion": inverted.detach(), "poses": followed.detach()}

    def _update_photometric(self, loop: TrainLoop, inputs: StepInputs) -> Tensor:
        """Update the field and the poses to reproduce patches of the photographs."""
        with loop.micro_batch("generator", "poses"):
            poses = self.table(inputs.rows)
            loss = objectives.reproduce(
                self.generator, poses, inputs.real, inputs.patches, inputs.image_plane, inputs.random, self.weights
            )
            loop.backward(loss)
        loop.update("generator")
        loop.update("poses")
        return loss.detach()
