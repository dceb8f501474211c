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
class Seen:
    """Input of a step. rows: indices of the photographs. real: these photographs at the step's image size."""

    rows: Tensor
    real: Tensor
    image_plane: ImagePlane
    patches: Patches
    least_scale: float
    random: Randomness


@dataclass(frozen=True)
class Turn:
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

    def take(self, loop: TrainLoop) -> dict[str, Tensor]:
        """Perform the updates of the current phase and return their losses."""
        phase, seen = self.schedules.phase(loop.step), self._look(loop.step)
        terms: dict[str, Tensor] = {}
        if phase != "B":
            terms |= self._play(loop, seen)
            terms |= self._invert(loop, seen)
        if phase != "A":
            terms["photometric"] = self._refine(loop, seen)
        return terms

    def _look(self, step: int) -> Seen:
        device, image_plane = self.photographs.images.device, self.photographs.image_plane
        # Seeded from the step's random numbers, so that a resumed fit uses the same.
        random = torch.Generator(device).manual_seed(int(torch.randint(2**62, ())))
        rows = torch.randperm(len(self.photographs.images))[: self.batch].to(device)
        real, small = self.photographs.some(rows, *self.schedules.image_size(step, image_plane.width, image_plane.height))
        least = self.schedules.least_scale(step, image_plane.width, image_plane.height)
        patches = random_patches(len(rows), self.schedules.patch, least, random)
        return Seen(rows, real, small, patches, least, Randomness(random, self.schedules.noise(step)))

    def _play(self, loop: TrainLoop, seen: Seen) -> dict[str, Tensor]:
        """Update the field to fool the discriminator at random poses, then the discriminator."""
        random = seen.random.generator
        with loop.micro_batch("generator"):
            patches = random_patches(self.batch, self.schedules.patch, seen.least_scale, random)
            poses = self.prior.sample(self.batch, random)
            fake = objectives.render_both(self.generator, patches.coordinates, poses, seen.image_plane, seen.random)
            fooled = objectives.fool(self.discriminator, fake, patches.scale, random)
            loop.backward(fooled)
        loop.update("generator")
        with loop.micro_batch("discriminator"):
            real = crop_patches(seen.real, seen.patches.coordinates)
            judged = objectives.discriminate(
                self.discriminator,
                (real, seen.patches.scale),
                (fake, patches.scale),
                random,
                self.weights,
                loop.gradient_penalty,
            )
            loop.backward(judged)
        loop.update("discriminator")
        return {"generator": fooled.detach(), "discriminator": judged.detach()}

    def _invert(self, loop: TrainLoop, seen: Seen) -> dict[str, Tensor]:
        """Update the inversion network on renderings at random poses, then the poses towards its predictions."""
        with loop.micro_batch("inversion"):
            poses = self.prior.sample(self.batch, seen.random.generator)
            inverted = objectives.invert_renderings(self.inversion, self.generator, poses, seen.image_plane, seen.random)
            loop.backward(inverted)
        loop.update("inversion")
        with loop.micro_batch("poses"):
            followed = objectives.follow_inversion(self.table, self.inversion, seen.real, seen.rows, self.weights)
            loop.backward(followed)
        loop.update("poses")
        return {"inversion": inverted.detach(), "poses": followed.detach()}

    def _refine(self, loop: TrainLoop, seen: Seen) -> Tensor:
        """Update the field and the poses to reproduce patches of the photographs."""
        with loop.micro_batch("generator", "poses"):
            poses = self.table(seen.rows)
            loss = objectives.reproduce(
                self.generator, poses, seen.real, seen.patches, seen.image_plane, seen.random, self.weights
            )
            loop.backward(loss)
        loop.update("generator")
        loop.update("poses")
        return loss.detach()
