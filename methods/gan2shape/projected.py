"""Results of step 2 for step 3: the generator's pictures of an object from many views, stored as latent codes.

A checkpoint contains codes, masks, views and lights; the frozen generator recreates the pictures, in the same batches.
"""

import torch
from torch import Tensor, nn

from deep3dmap.methods.gan2shape.steps import Origin, Projector, Pseudo, PseudoBatch


class ProjectedSamples(nn.Module):
    """`count` batches of `size` samples of side x side pixels, and the view of each subject's photograph at that time."""

    codes: Tensor
    masks: Tensor
    views: Tensor
    lights: Tensor
    own_views: Tensor

    def __init__(self, count: int, size: int, style_dim: int, side: int, subjects: int = 1) -> None:
        super().__init__()
        self.register_buffer("own_views", torch.zeros(subjects, 6))
        self.register_buffer("codes", torch.zeros(count, size, style_dim))
        self.register_buffer("masks", torch.zeros(count, size, 1, side, side, dtype=torch.uint8))
        self.register_buffer("views", torch.zeros(count, size, 6))
        self.register_buffer("lights", torch.zeros(count, size, 5))

    def keep(self, index: int, latent: Tensor, drawn: PseudoBatch) -> None:
        """Store the codes (N, D) of a batch, with the masks and origins of its pseudo samples."""
        self.codes[index].copy_(latent)
        self.masks[index].copy_((drawn.pseudo.mask * 255).round())
        self.views[index].copy_(drawn.origin.views)
        self.lights[index].copy_(drawn.origin.lights)

    def origin(self, index: int) -> Origin:
        """Return the views and lights of a batch's pseudo samples."""
        return Origin(self.views[index], self.lights[index])

    def batch(self, index: int, projector: Projector) -> Pseudo:
        """Return a batch with its pictures."""
        pictures = projector.picture(self.codes[index], self.masks.shape[-1])
        return Pseudo(pictures, self.masks[index].float() / 255)
