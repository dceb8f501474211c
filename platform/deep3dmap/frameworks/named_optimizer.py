"""A named optimiser of the loop, with its schedule, its gradient scaler and the weight averages it updates."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.frameworks.gradients import average_gradients
from deep3dmap.frameworks.optimization import Schedule
from deep3dmap.frameworks.weight_average import WeightAverage


class NamedOptimizer:
    """An optimiser that accumulates gradients over micro-batches. micro_batches: number since the last step."""

    def __init__(self, name: str, optimizer: torch.optim.Optimizer, schedule: Schedule, scaler: torch.amp.GradScaler) -> None:
        self.name, self.optimizer, self.schedule, self.scaler = name, optimizer, schedule, scaler
        self.base_rates = [float(group["lr"]) * group.pop("rate", 1.0) for group in optimizer.param_groups]
        self.micro_batches = 0
        self.averages: list[WeightAverage] = []

    @property
    def parameters(self) -> list[Tensor]:
        """All parameters that it updates, in order."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def set_rates(self, step: int) -> None:
        """Set the learning rates for a step of the schedule."""
        factor = self.schedule(step)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates):
            group["lr"] = rate * factor

    def update(self, clip_norm: float, world_size: int) -> None:
        """Average the gradients over the workers, clip them, take a step, clear them, and update the weight averages."""
        average_gradients(self.parameters, world_size)
        if clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.micro_batches = 0
        for average in self.averages:
            average.update()

    def state_dict(self) -> dict[str, Any]:
        """Return moments, gradient scale and averages; learning rates follow from the step, other settings from the config."""
        return {
            "moments": self.optimizer.state_dict()["state"],
            "scaler": self.scaler.state_dict(),
            "averages": [average.state_dict() for average in self.averages],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore moments and gradient scale; averages are restored when they are created."""
        present = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["moments"], "param_groups": present})
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
