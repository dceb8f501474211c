"""Exponential moving averages of weights, each with its own decay."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


class WeightAverage:
    """An exponential moving average of a module's parameters.

    decay: share of the average retained by an update. ramp: at update n, the half-life is at most `ramp` x n updates, so that
    the poor initial weights are forgotten quickly (Karras et al., StyleGAN2-ADA, 2020); None = the full decay from the start.
    """

    def __init__(self, module: nn.Module, decay: float, ramp: float | None = None) -> None:
        self.module, self.decay, self.ramp, self.updates = module, decay, ramp, 0
        self._averaged = AveragedModel(module, multi_avg_fn=self._move, use_buffers=False)
        # AveragedModel would copy the weights at its first update, but the average starts from the weights before it.
        self._averaged.n_averaged.fill_(1)

    def update(self) -> None:
        """Move the average towards the current weights."""
        self.updates += 1
        self._averaged.update_parameters(self.module)

    def parameters(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name."""
        return dict(self._averaged.module.named_parameters())

    def state_dict(self) -> dict[str, Any]:
        """Return the average and its number of updates."""
        return {"parameters": {name: value.detach() for name, value in self.parameters().items()}, "updates": self.updates}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state returned by `state_dict`."""
        self.updates = int(state["updates"])
        copy_parameters(state["parameters"], self._averaged.module)

    def _move(self, averaged: Any, current: Any, count: Any) -> None:
        torch._foreach_lerp_(averaged, current, 1 - self._present_decay())

    def _present_decay(self) -> float:
        if self.ramp is None or self.decay <= 0:
            return self.decay
        half_life = math.log(0.5) / math.log(self.decay)
        return float(0.5 ** (1 / max(min(half_life, self.ramp * self.updates), 1e-8)))


def copy_parameters(source: Mapping[str, Tensor], module: nn.Module) -> None:
    """Copy parameters into a module by name."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(source[name])
