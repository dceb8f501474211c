"""The losses of StyleGAN2 as pure functions: logistic losses and the path length, before any weight; R1 is elsewhere."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus


def discriminator_logistic(real: Tensor, fake: Tensor) -> Tensor:
    """Return the logistic loss of logits for real and for generated pictures (Goodfellow et al., 2014)."""
    return softplus(-real).mean() + softplus(fake).mean()


def generator_nonsaturating(fake: Tensor) -> Tensor:
    """Return the generator's non-saturating loss of the logits for its pictures."""
    return softplus(-fake).mean()


class PathLength(NamedTuple):
    """penalty: scalar, before its weight. mean: the new running mean, detached. lengths: (N,)."""

    penalty: Tensor
    mean: Tensor
    lengths: Tensor


def path_length_penalty(images: Tensor, w: Tensor, noise: Tensor, running_mean: Tensor, decay: float = 0.01) -> PathLength:
    """Return how far the lengths of J^T y are from their running mean (Karras et al., CVPR 2020, section 3.2).

    images: (N, 3, H, W) made from w (N, latents, D). noise: like the images, unit normal; it is divided by sqrt(H W).
    The mean is updated before it is compared with, and takes its gradient, as in the official code.
    """
    height, width = images.shape[2:]
    (gradient,) = torch.autograd.grad((images * noise).sum() / math.sqrt(height * width), w, create_graph=True)
    lengths = gradient.square().sum(2).mean(1).sqrt()
    mean = torch.lerp(running_mean, lengths.mean(), decay)
    return PathLength((lengths - mean).square().mean(), mean.detach(), lengths)
