"""The pictures to which networks are fitted: one photograph, or many for joint training."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Subjects:
    """pictures: (1, 3, S, S) in [-1, 1] each, read on demand. latents: (N, D), their codes."""

    pictures: Sequence[Any]
    read: Callable[[Any], Tensor]
    latents: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def picture(self, index: int) -> Tensor:
        """Return a picture (1, 3, S, S)."""
        return self.read(self.pictures[index])

    def latent(self, index: int) -> Tensor:
        """Return the code (1, D) of a picture."""
        return self.latents[index : index + 1]

    def turn(self, step: int) -> int:
        """Return the index of the next subject: each once per pass, in a random order that differs between passes."""
        count = len(self)
        if count == 1:
            return 0
        order = torch.randperm(count, generator=torch.Generator().manual_seed(step // count))
        return int(order[step % count])

    def batch_of(self, subject: int, step: int, collected: int) -> int:
        """Return the index of a step's collected batch: batch k belongs to subject k mod N, and passes cycle through them."""
        count = len(self)
        own = (collected - subject + count - 1) // count
        return subject + count * ((step // count) % own)
