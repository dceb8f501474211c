"""The interface between a training loop and the process it runs in. Methods do not use it."""

from collections.abc import Mapping
from typing import Protocol

import torch


class Host(Protocol):
    """The process of one worker: a Ray Train worker, a Ray Tune trial, or the current process."""

    rank: int
    world_size: int
    device: torch.device

    def report(self, metrics: Mapping[str, float]) -> None:
        """Report the metrics of an evaluation to the scheduler. Every rank must call it the same number of times."""
        ...

    def should_stop(self) -> bool:
        """Return whether the scheduler has requested this run to stop."""
        ...
