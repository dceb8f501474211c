"""The path length of StyleGAN2 as a pure function, before its weight; the adversarial losses and R1 are those of all GANs."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


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
    # In full precision: squares of half-precision gradients may leave its range.
    lengths = gradient.float().square().sum(2).mean(1).sqrt()
    mean = torch.lerp(running_mean, lengths.mean(), decay)
    return PathLength((lengths - mean).square().mean(), mean.detach(), lengths)
