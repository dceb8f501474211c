"""The distance between two pictures in the discriminator's features (Pan et al., ICLR 2021, equation 3)."""

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from deep3dmap.geometry.relief_losses import photometric_loss
from deep3dmap.nn.stylegan2 import Discriminator

BLOCKS = 4


def discriminator_distance(discriminator: Discriminator, fake: Tensor, real: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the mean absolute difference of features, summed over the first blocks; no gradient to `real`.

    fake, real: (N, 3, S, S), of a size that the blocks can halve. mask: (N, 1, S, S), averaged to the size of the features.
    """
    blocks = min(BLOCKS, len(discriminator.blocks))
    with torch.no_grad():
        wanted = discriminator.features(real, blocks)
    terms = []
    for ours, theirs in zip(discriminator.features(fake, blocks), wanted):
        smaller = None if mask is None else adaptive_avg_pool2d(mask, (ours.shape[2], ours.shape[3]))
        terms.append(photometric_loss(ours, theirs, smaller))
    return torch.stack(terms).sum()
