"""GIRAFFE: generation of scenes whose objects can be rotated, moved, added and exchanged, learnt from pictures alone."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from deep3dmap.config.compose import build_section
from deep3dmap.core import Asset, MethodCard, Reconstruction, Step, UserError
from deep3dmap.frameworks import CustomFramework, TrainLoop
from deep3dmap.methods.giraffe.config import GiraffeConfig, build_discriminator, generator_config, scene_config
from deep3dmap.methods.giraffe.controls import Controls, change_scenes
from deep3dmap.methods.giraffe.generator import Generator, Scene
from deep3dmap.methods.giraffe.official_weights import load_official
from deep3dmap.methods.giraffe.positions import read_positions
from deep3dmap.methods.giraffe.scenes import join_scenes, sample_scenes, scenes_of_indices, to_device
from deep3dmap.nn.adversarial_losses import discriminator_loss, generator_loss

SHOWN = 16  # pictures of a reconstruction
SCENES_PER_BATCH = 16
ORIGIN = "github.com/autonomousvision/giraffe"


class Giraffe(CustomFramework):
    """A generative adversarial network whose generator renders a scene composed of feature fields, one per object."""

    card = MethodCard(
        title="GIRAFFE",
        authors="M. Niemeyer, A. Geiger",
        year=2021,
        paper="GIRAFFE: Representing Scenes as Compositional Generative Neural Feature Fields, CVPR 2021",
        tasks=("generation", "generation_control"),
        consumes=(),
        produces=("samples",),
        licence="MIT",
        trains_on=("image",),
        tried_on=("clevr",),
        assets=(
            Asset("official weights", "weights", "MIT", "both networks", f"{ORIGIN}, checkpoint_<data>-<hash>.pt"),
            Asset("positions", "positions", "MIT", "object positions of complete scenes", f"{ORIGIN}, data/clevr*/*.npz"),
        ),
    )
    config_type = GiraffeConfig
    config: GiraffeConfig
    # Each worker samples codes and noise for its own share of the batch.
    draws = True

    def __init__(self, config: GiraffeConfig) -> None:
        super().__init__(config)
        self.generator = Generator(generator_config(config))
        self.discriminator = build_discriminator(config)
        self.scenes = scene_config(config)
        self.positions = read_positions(Path(config.positions), config.objects) if config.positions else None
        if config.weights:
            load_official(Path(config.weights), self.generator, self.discriminator)

    @classmethod
    def trains(cls, config: GiraffeConfig) -> bool:
        """Return False when official weights are given."""
        return not config.weights

    def train_steps(self, loop: TrainLoop) -> Iterator[Step]:
        """For every batch of pictures, update the generator, then the discriminator on new scenes."""
        rates = {"generator": 1.0, "discriminator": self.config.discriminator_rate}
        for name, rate in rates.items():
            module = loop.prepare(getattr(self, name))
            loop.optimizer(name, [{"params": module.parameters(), "rate": rate}])
        loop.average(self.generator, after="generator")
        batches = loop.batches(self.card.trains_on, self.transform)
        while True:
            reals = [next(batches)["image"] for _ in range(loop.plan.micro_batches)]
            generator_losses = [self._train_generator(loop, len(real)) for real in reals]
            loop.update("generator")
            discriminator_terms = [self._train_discriminator(loop, real) for real in reals]
            loop.update("discriminator")
            terms = {name: torch.stack([one[name] for one in discriminator_terms]).mean() for name in discriminator_terms[0]}
            terms["generator"] = torch.stack(generator_losses).mean()
            yield Step(terms["generator"] + terms["discriminator"], terms)

    def transform(self, sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
        """Resize a picture to the networks' size and mirror it with a probability of one half."""
        image = torch.as_tensor(np.asarray(sample["image"], np.float32))
        if image.shape[1] != image.shape[2]:
            raise UserError(
                f"giraffe trains on square pictures, got {image.shape[2]} x {image.shape[1]}; crop them in the dataset"
            )
        if image.shape[1] != self.config.image_size:
            size = (self.config.image_size,) * 2
            image = interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)
        return {"image": image.flip(2) if self.config.flip and generator.random() < 0.5 else image}

    def _train_generator(self, loop: TrainLoop, count: int) -> Tensor:
        with loop.micro_batch("generator"):
            loss = generator_loss(self.discriminator(self._training_pictures(count)))
            loop.backward(loss)
        return loss.detach()

    def _train_discriminator(self, loop: TrainLoop, real: Tensor) -> dict[str, Tensor]:
        with loop.micro_batch("discriminator"):
            with torch.no_grad():
                fake = self._training_pictures(len(real))
            logits = self.discriminator(real.requires_grad_())
            penalty = loop.gradient_penalty(logits, real).mean()
            loss = discriminator_loss(logits, self.discriminator(fake))
            loop.backward(loss + self.config.penalty * penalty)
        return {"discriminator": loss.detach(), "r1": penalty.detach()}

    def _training_pictures(self, count: int) -> Tensor:
        """Generate pictures of new scenes with noise, using the random numbers of the step."""
        seeds = torch.randint(2**62, (2,)).tolist()
        scene = sample_scenes(self.scenes, count, torch.Generator().manual_seed(seeds[0]), positions=self.positions)
        noise = torch.Generator(self.device).manual_seed(seeds[1])
        images: Tensor = self.generator(to_device(scene, self.device), noise).image
        return images

    def generate(self, indices: range, seed: int, temperature: float = 1.0, **controls: Any) -> Tensor:
        """Generate the scenes with these indices, without noise. controls: fields of `Controls`, applied to all scenes.

        temperature: standard deviation of the codes; the paper's figures use 0.65. Raises UserError for unknown controls and
        invalid values.
        """
        parsed_controls: Controls = build_section(Controls, controls)
        if not isinstance(temperature, int | float) or not 0 <= temperature < math.inf:
            raise UserError(f"temperature must be a finite number of at least 0, got {temperature!r}")

        def fetch(numbers: list[int]) -> Scene:
            return scenes_of_indices(self.scenes, numbers, seed, temperature, self.positions)

        pictures = []
        for start in range(0, len(indices), SCENES_PER_BATCH):
            numbers = indices[start : start + SCENES_PER_BATCH]
            scene = join_scenes([change_scenes(fetch([number]), parsed_controls, number, fetch) for number in numbers])
            pictures.append(self.generator(to_device(scene, self.device)).image)
        return torch.cat(pictures).clamp(0, 1)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Generate the first scenes of seed 0."""
        return Reconstruction("image", "pixel", samples=self.generate(range(SHOWN), 0).cpu().numpy())
