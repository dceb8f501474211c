"""StyleGAN2 with adaptive augmentation (Karras et al., CVPR 2020 and NeurIPS 2020)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.config.schema import OptimizerConfig
from deep3dmap.core import Asset, MethodCard, Reconstruction, Step, UserError
from deep3dmap.frameworks import CustomFramework, TrainLoop
from deep3dmap.methods.stylegan2.options import StyleGAN2Config
from deep3dmap.methods.stylegan2.samples import generate_samples
from deep3dmap.nn.adversarial_losses import discriminator_loss, generator_loss
from deep3dmap.nn.stylegan2 import Discriminator, Generator, load_generator, mix_styles
from deep3dmap.nn.stylegan2.augment import Augmentation
from deep3dmap.nn.stylegan2.augment_controller import AugmentController
from deep3dmap.nn.stylegan2.losses import path_length_penalty

GENERATOR, DISCRIMINATOR = "generator", "discriminator"


class StyleGAN2(CustomFramework):
    """A generator and a discriminator, trained adversarially."""

    card = MethodCard(
        title="StyleGAN2",
        authors="T. Karras, S. Laine, M. Aittala, J. Hellsten, J. Lehtinen, T. Aila",
        year=2020,
        paper="Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020",
        tasks=("generation",),
        consumes=(),
        produces=("samples",),
        licence="Nvidia Source Code License-NC (the original code; none of it is used here)",
        trains_on=("image",),
        tried_on=("face_depth",),
        assets=(
            Asset(
                "StyleGAN2 generator",
                "weights",
                "depends on the file",
                "a generator in rosinality's or NVlabs' naming",
                "rosinality/stylegan2-pytorch and NVlabs/stylegan2-ada-pytorch",
            ),
        ),
    )
    config_type = StyleGAN2Config
    draws = True
    config: StyleGAN2Config
    path_mean: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__(config)
        self.generator = load_generator(Path(config.weights)) if config.weights else Generator(config.size())
        self.discriminator = Discriminator(self.generator.size)
        self.augmentation = Augmentation()
        self.controller = AugmentController(config.augment_target, ramp=config.augment_ramp)
        self.register_buffer("path_mean", torch.zeros(()))

    @classmethod
    def trains(cls, config: StyleGAN2Config) -> bool:
        """Return False when weights are given, which are used unchanged."""
        return not config.weights

    # -- training -----------------------------------------------------------------------------------------------------

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """In each step, update the discriminator and the generator once; at intervals, also apply their penalties."""
        c = self.config
        if c.weights:
            return
        for module in (self.generator, self.discriminator):
            loop.prepare(module)
        path_every = c.path_every if c.path_length else 0
        loop.optimizer(GENERATOR, self.generator.parameters(), lazy_rates(loop.settings.optimizer, path_every))
        loop.optimizer(DISCRIMINATOR, self.discriminator.parameters(), lazy_rates(loop.settings.optimizer, c.r1_every))
        decay = 0.5 ** (loop.settings.trainer.batch_size / (1000 * c.half_life))
        loop.average(self.generator, after=GENERATOR, decay=decay, ramp=c.average_ramp or None)
        batches = loop.batches(self.card.trains_on, self._prepared)
        while True:
            reals = [next(batches)["image"] * 2 - 1 for _ in range(loop.plan.micro_batches)]
            terms = self._discriminate(loop, reals)
            if loop.step % c.r1_every == 0:
                terms |= self._penalise_gradients(loop, reals)
            terms |= self._generate(loop, reals)
            if path_every and loop.step % path_every == 0:
                terms |= self._penalise_path_lengths(loop, reals)
            yield Step(terms[GENERATOR] + terms[DISCRIMINATOR], terms)

    def _discriminate(self, loop: TrainLoop, reals: list[Tensor]) -> dict[str, Any]:
        """Update the discriminator on real and generated pictures, and the augmentation controller on its logits."""
        losses, logits = [], []
        for real in reals:
            with loop.micro_batch(DISCRIMINATOR):
                with torch.no_grad():
                    fake = self._draw(len(real))
                of_real = self.discriminator(self._augmented(real))
                loss = discriminator_loss(of_real, self.discriminator(self._augmented(fake)))
                loop.backward(loss)
            losses.append(loss.detach())
            logits.append(of_real.detach())
        loop.update(DISCRIMINATOR)
        if not self.config.augment:
            return {DISCRIMINATOR: torch.stack(losses).mean()}
        self.controller.update(_over_workers(torch.cat(logits), loop.world_size))
        return {DISCRIMINATOR: torch.stack(losses).mean(), "augmented": self.controller.probability}

    def _penalise_gradients(self, loop: TrainLoop, reals: list[Tensor]) -> dict[str, Any]:
        """Apply R1, weighted for all steps since it was last applied."""
        penalties = []
        for real in reals:
            with loop.micro_batch(DISCRIMINATOR):
                pictures = real.detach().requires_grad_()
                penalty = loop.gradient_penalty(self.discriminator(self._augmented(pictures)), pictures).mean()
                loop.backward(penalty * (self.config.r1 / 2 * self.config.r1_every))
            penalties.append(penalty.detach())
        loop.update(DISCRIMINATOR)
        return {"r1": torch.stack(penalties).mean()}

    def _generate(self, loop: TrainLoop, reals: list[Tensor]) -> dict[str, Any]:
        losses = []
        for real in reals:
            with loop.micro_batch(GENERATOR):
                loss = generator_loss(self.discriminator(self._augmented(self._draw(len(real)))))
                loop.backward(loss)
            losses.append(loss.detach())
        loop.update(GENERATOR)
        return {GENERATOR: torch.stack(losses).mean()}

    def _penalise_path_lengths(self, loop: TrainLoop, reals: list[Tensor]) -> dict[str, Any]:
        """Apply the path length penalty to half a batch, weighted for all steps since it was last applied."""
        means, lengths = [], []
        for real in reals:
            with loop.micro_batch(GENERATOR):
                w = self._styles(max(1, len(real) // 2))
                pictures = self.generator.synthesis(w, self.generator.synthesis.draw_noise(len(w)))
                found = path_length_penalty(pictures, w, torch.randn_like(pictures), self.path_mean)
                loop.backward(found.penalty * (self.config.path_length * self.config.path_every))
            means.append(found.mean)
            lengths.append(found.lengths.detach().mean())
        loop.update(GENERATOR)
        # All workers compare with the same mean.
        self.path_mean.copy_(_over_workers(torch.stack(means), loop.world_size).mean())
        return {"path_length": torch.stack(lengths).mean()}

    def _draw(self, count: int) -> Tensor:
        return self.generator.synthesis(self._styles(count), self.generator.synthesis.draw_noise(count))

    def _styles(self, count: int) -> Tensor:
        """Return w (count, latents, D) of random z: the same for all layers, or two that switch at a random layer."""
        size = self.generator.size
        first, second = torch.randn(2, count, size.style_dim, device=self.device)
        mixed = bool(torch.rand(()) < self.config.mixing)
        crossover = int(torch.randint(1, size.latents, ())) if mixed else size.latents
        return mix_styles(self.generator.mapping(first), self.generator.mapping(second), size.latents, crossover)

    def _augmented(self, pictures: Tensor) -> Tensor:
        return self.augmentation(pictures, self.controller.probability) if self.config.augment else pictures

    def _prepared(self, sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        image, side = np.asarray(sample["image"], np.float32), self.config.resolution
        if image.shape != (3, side, side):
            raise UserError(
                f"stylegan2 trains on pictures of {side} x {side} pixels (method.resolution), the dataset has "
                f"{image.shape[2]} x {image.shape[1]}"
            )
        turned = self.config.mirror and generator.random() < 0.5
        return {"image": np.ascontiguousarray(image[:, :, ::-1]) if turned else image}

    # -- inference ----------------------------------------------------------------------------------------------------

    def generate(self, indices: range, seed: int, **controls: Any) -> Tensor:
        """Return samples; for the controls see `generate_samples`."""
        return generate_samples(self.generator, indices, seed, controls)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Return a sheet of samples."""
        sheet = self.generate(range(self.config.sheet), 0)
        return Reconstruction("image", "pixel", samples=sheet.float().cpu().numpy())

    def get_extra_state(self) -> dict[str, float]:
        """Return the state of the augmentation controller."""
        return self.controller.state_dict()

    def set_extra_state(self, state: dict[str, float]) -> None:
        """Restore the state of the augmentation controller."""
        self.controller.load_state_dict(state)


def lazy_rates(optimizer: OptimizerConfig, every: int) -> OptimizerConfig:
    """Scale learning rate and betas for a penalty that adds an update every `every` steps (Karras et al., appendix B).

    0 means no penalty.
    """
    share = every / (every + 1) if every else 1.0
    return replace(optimizer, lr=optimizer.lr * share, betas=[beta**share for beta in optimizer.betas])


def _over_workers(values: Tensor, world_size: int) -> Tensor:
    """Return the values of all workers, one after the other."""
    if world_size == 1:
        return values
    parts = [torch.empty_like(values) for _ in range(world_size)]
    torch.distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)
