"""An optimiser of the loop: with its name, its schedule, its gradient scale and the averages its updates move."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.frameworks.gradients import average_gradients
from deep3dmap.frameworks.optimization import Schedule
from deep3dmap.frameworks.weight_average import WeightAverage


class NamedOptimizer:
    """An optimiser that updates once all micro-batches of an update are in."""

    def __init__(self, name: str, optimizer: torch.optim.Optimizer, schedule: Schedule, scaler: torch.amp.GradScaler) -> None:
        self.name, self.optimizer, self.schedule, self.scaler = name, optimizer, schedule, scaler
        self.base_rates = [float(group["lr"]) * group.pop("rate", 1.0) for group in optimizer.param_groups]
        self.micro_batches = 0
        self.averages: list[WeightAverage] = []

    @property
    def parameters(self) -> list[Tensor]:
        """Everything it updates, in order."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def set_rates(self, step: int) -> None:
        """Set the learning rates of a turn of the schedule."""
        factor = self.schedule(step)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates):
            group["lr"] = rate * factor

    def update(self, clip_norm: float, world_size: int) -> None:
        """Average the gradients over the workers, clip them, take the step, forget them, and move the averages."""
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
        """Return moments, gradient scale and averages; rates follow from the step, other settings from the configuration."""
        return {
            "moments": self.optimizer.state_dict()["state"],
            "scaler": self.scaler.state_dict(),
            "averages": [average.state_dict() for average in self.averages],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back moments and gradient scale; averages take theirs when they are made."""
        present = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["moments"], "param_groups": present})
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
