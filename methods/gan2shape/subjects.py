"""The pictures that networks are fitted to: one photograph, or many that are trained on together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Subjects:
    """pictures: (1, 3, S, S) in [-1, 1] each, read when asked for. latents: (N, D), their codes."""

    pictures: Sequence[Any]
    read: Callable[[Any], Tensor]
    latents: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def picture(self, index: int) -> Tensor:
        """Return a picture (1, 3, S, S)."""
        return self.read(self.pictures[index])

    def latent(self, index: int) -> Tensor:
        """Return its code (1, D)."""
        return self.latents[index : index + 1]

    def turn(self, step: int) -> int:
        """Return whose turn it is: each once in every pass, in an order of its own."""
        count = len(self)
        if count == 1:
            return 0
        order = torch.randperm(count, generator=torch.Generator().manual_seed(step // count))
        return int(order[step % count])

    def batch_of(self, subject: int, step: int, collected: int) -> int:
        """Return which collected batch a step takes; batch k is of subject k mod N, and passes take them in turn."""
        count = len(self)
        own = (collected - subject + count - 1) // count
        return subject + count * ((step // count) % own)
