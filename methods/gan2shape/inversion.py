"""The latent code of a photograph by optimisation in W (Karras et al., CVPR 2020, appendix D)."""

import math

import torch
from torch import Tensor

from deep3dmap.geometry.relief_losses import photometric_loss
from deep3dmap.methods.gan2shape.steps import Loss, Perceptual, Projector

RAMP_UP, RAMP_DOWN = 0.05, 0.25  # fractions of the steps in which the learning rate rises and falls
NOISE, NOISE_UNTIL = 0.05, 0.75  # initial noise relative to the spread of w, and fraction of the steps until it vanishes
SPREAD_OF = 2048  # samples for estimating the mean and the spread of w


def inversion_rate(step: int, steps: int) -> float:
    """Return the factor of the learning rate: a linear warm-up and a cosine decay."""
    done = step / steps
    down = 0.5 - 0.5 * math.cos(min(1.0, (1 - done) / RAMP_DOWN) * math.pi)
    return down * min(1.0, (done + 1 / steps) / RAMP_UP)


def inversion_loss(
    projector: Projector, latent: Tensor, spread: Tensor, picture: Tensor, perceptual: Perceptual, done: float
) -> Loss:
    """Return the loss of the generator's pictures of codes (N, D) against pictures (N, 3, S, S); done: fraction of steps."""
    strength = NOISE * max(0.0, 1 - done / NOISE_UNTIL) ** 2
    noisy = latent + torch.randn_like(latent) * (strength * spread / latent.shape[1] ** 0.5)
    shown = projector.to_working_size(projector.generator.synthesis(noisy), picture.shape[-1])
    terms = {"photometric": photometric_loss(shown, picture), "perceptual": perceptual(shown, picture).mean()}
    return Loss(terms["photometric"] + terms["perceptual"], terms)
