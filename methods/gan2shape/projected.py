"""What step 2 leaves to step 3: the generator's pictures of an object from many views, kept as their latent codes.

A checkpoint holds codes and masks only; the pictures are made from them again by the frozen generator, in the same batches.
"""

import torch
from torch import Tensor, nn

from deep3dmap.methods.gan2shape.steps import Projector, Pseudo


class ProjectedSamples(nn.Module):
    """`count` batches of `size` samples of side x side pixels."""

    codes: Tensor
    masks: Tensor

    def __init__(self, count: int, size: int, style_dim: int, side: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(count, size, style_dim))
        self.register_buffer("masks", torch.zeros(count, size, 1, side, side, dtype=torch.uint8))

    def keep(self, index: int, latent: Tensor, mask: Tensor) -> None:
        """Keep the codes (N, D) and masks (N, 1, S, S) of a batch."""
        self.codes[index].copy_(latent)
        self.masks[index].copy_((mask * 255).round())

    @torch.no_grad()
    def batch(self, index: int, projector: Projector) -> Pseudo:
        """Return a batch with its pictures."""
        side = self.masks.shape[-1]
        pictures = projector.to_working_size(projector.generator.synthesis(self.codes[index]), side)
        return Pseudo(pictures, self.masks[index].float() / 255)
