"""The losses of a generative adversarial network in its non-saturating form, with the R1 penalty."""

import torch
from torch import Tensor
from torch.nn.functional import softplus


def generator_loss(fake: Tensor) -> Tensor:
    """Return the mean of -log D(fake) for logits (B,) of generated images (Goodfellow et al., NeurIPS 2014, section 3)."""
    return softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of real images called real and generated ones called fake; logits (B,) each."""
    return softplus(-real).mean() + softplus(fake).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Return the squared norm (B,) of each logit's gradient with respect to its image, differentiable itself.

    R1 of Mescheder et al., "Which Training Methods for GANs do actually Converge?", ICML 2018, is gamma / 2 times its mean over
    real images. images: (B, ...), requires a gradient, and logits (B,) were computed from it.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(1)
