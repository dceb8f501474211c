"""The losses of a generative adversarial network in its non-saturating form; R1 is `frameworks.gradients.gradient_penalty`."""

from torch import Tensor
from torch.nn.functional import softplus


def generator_loss(fake: Tensor) -> Tensor:
    """Return the mean of -log D(fake) for logits (B,) of generated images (Goodfellow et al., NeurIPS 2014, section 3)."""
    return softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of real images called real and generated ones called fake; logits (B,) each."""
    return softplus(-real).mean() + softplus(fake).mean()
