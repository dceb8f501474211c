"""Non-saturating losses of generative adversarial networks; R1 is `frameworks.gradients.gradient_penalty`."""

from torch import Tensor
from torch.nn.functional import softplus


def generator_loss(fake: Tensor) -> Tensor:
    """Return the mean of -log D(fake) for logits (B,) of generated images (Goodfellow et al., NeurIPS 2014, section 3)."""
    return softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean of -log D(real) plus the mean of -log(1 - D(fake)) for logits (B,) of real and generated images."""
    return softplus(-real).mean() + softplus(fake).mean()
