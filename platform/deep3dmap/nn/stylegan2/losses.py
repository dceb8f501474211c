"""StyleGAN2's path length regularisation as a pure function; for the adversarial losses see `nn.adversarial_losses`."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class PathLength(NamedTuple):
    """penalty: scalar, unweighted. mean: the new running mean, detached. lengths: (N,)."""

    penalty: Tensor
    mean: Tensor
    lengths: Tensor


def path_length_penalty(images: Tensor, w: Tensor, noise: Tensor, running_mean: Tensor, decay: float = 0.01) -> PathLength:
    """Return the mean squared deviation of |J^T y| from its running mean (Karras et al., CVPR 2020, section 3.2).

    images: (N, 3, H, W) generated from w (N, latents, D). noise: unit normal, shaped like images; divided by sqrt(H W).
    The running mean is updated before the comparison and is not detached in it, as in the official code.
    """
    height, width = images.shape[2:]
    (gradient,) = torch.autograd.grad((images * noise).sum() / math.sqrt(height * width), w, create_graph=True)
    # In full precision, because squared half-precision gradients may overflow.
    lengths = gradient.float().square().sum(2).mean(1).sqrt()
    mean = torch.lerp(running_mean, lengths.mean(), decay)
    return PathLength((lengths - mean).square().mean(), mean.detach(), lengths)
