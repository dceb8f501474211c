"""A host for training in the current process, without Ray."""

from collections.abc import Mapping

import torch


class LocalHost:
    """A single worker in the current process, which is never asked to stop and stores its reports."""

    rank = 0
    world_size = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.reports: list[dict[str, float]] = []

    def report(self, metrics: Mapping[str, float]) -> None:
        """Store the reported metrics."""
        self.reports.append(dict(metrics))

    def should_stop(self) -> bool:
        """Return False, as no scheduler requests an early stop."""
        return False
