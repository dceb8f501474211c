"""The frozen generator and discriminator from which shape is learned."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.frameworks.saved_checkpoints import read_checkpoint
from deep3dmap.methods.gan2shape.options import UNTRAINED
from deep3dmap.nn.official_checkpoints import strip_prefix
from deep3dmap.nn.stylegan2 import Discriminator, Generator, StyleGAN2Size, load_discriminator, load_generator
from deep3dmap.nn.stylegan2.network_files import discriminator_of, generator_of

TO_TRY = StyleGAN2Size(32, 16, 2, 256, 8)


def frozen_gan(named: str) -> tuple[Generator, Discriminator]:
    """Return both networks, from a run's checkpoint folder, a file, or with random weights.

    Raises UserError for an empty name, and for weights that are missing or do not fit.
    """
    if not named:
        raise UserError(
            "method.gan is empty; name the generator and discriminator to learn from: the RUN_ID of a stylegan2 run in this "
            "store, stylegan2/VARIANT for its newest run, a checkpoint folder, or an official file"
        )
    if named == UNTRAINED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            generator, discriminator = Generator(TO_TRY), Discriminator(TO_TRY)
    elif Path(named).is_dir():
        generator, discriminator = _from_checkpoint(Path(named))
    else:
        generator, discriminator = load_generator(Path(named)), load_discriminator(Path(named))
    for network in (generator, discriminator):
        network.requires_grad_(False)
    return generator, discriminator


def _from_checkpoint(folder: Path) -> tuple[Generator, Discriminator]:
    """Load both networks from a run's checkpoint, with the averaged generator if it was saved."""
    state = read_checkpoint(folder).weights()
    generator, discriminator = (_part(state, part, folder) for part in ("generator", "discriminator"))
    return generator_of(generator, str(folder)), discriminator_of(discriminator, str(folder))


def _part(state: dict[str, Any], part: str, folder: Path) -> dict[str, Tensor]:
    found = strip_prefix(state, f"{part}.")
    if not found:
        raise UserError(f"{folder}: a checkpoint without a {part}; use a run of a method that trains one, such as stylegan2")
    return found
