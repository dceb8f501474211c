"""What a training loop asks of the process it runs in. Methods never see it."""

from collections.abc import Mapping
from typing import Protocol

import torch


class Host(Protocol):
    """The process of one worker: a worker of Ray Train, a trial of Ray Tune, or the process at hand."""

    rank: int
    world_size: int
    device: torch.device

    def report(self, metrics: Mapping[str, float]) -> None:
        """Tell the scheduler of an evaluation. Every rank calls it equally often."""
        ...

    def should_stop(self) -> bool:
        """Whether the scheduler has asked this run to end."""
        ...
