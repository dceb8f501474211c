"""A host for learning in this very process, without Ray."""

from collections.abc import Mapping

import torch


class LocalHost:
    """One worker in the process at hand; nobody asks it to stop, and what it reports is kept."""

    rank = 0
    world_size = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.reports: list[dict[str, float]] = []

    def report(self, metrics: Mapping[str, float]) -> None:
        """Keep what was reported."""
        self.reports.append(dict(metrics))

    def should_stop(self) -> bool:
        """No scheduler is there to ask for an early end."""
        return False
