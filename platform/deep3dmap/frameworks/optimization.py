"""Construction of optimisers and learning-rate schedules from their configuration."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig
from deep3dmap.core.errors import UserError, unknown

# Maps a step of the schedule to the factor of the learning rate.
Schedule = Callable[[int], float]


def build_optimizer(parameters: Iterable[Any], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimiser; raises UserError for an unknown name."""
    first, second = config.betas
    shared: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.name in ("adam", "adamw"):
        adam = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
        groups = [{**group, "params": list(group["params"])} if isinstance(group, dict) else group for group in parameters]
        # By default, torch updates one parameter at a time on a CPU, which takes four times as long.
        return adam(groups, betas=(first, second), eps=config.eps, fused=_on_cpu(groups) or None, **shared)
    if config.name == "sgd":
        return torch.optim.SGD(parameters, momentum=config.momentum, **shared)
    if config.name == "rmsprop":
        return torch.optim.RMSprop(parameters, alpha=config.smoothing, eps=config.eps, **shared)
    raise unknown("optimizer.name", config.name, ("adam", "adamw", "sgd", "rmsprop"))


def _on_cpu(groups: list[Any]) -> bool:
    parameters = [p for group in groups for p in (group["params"] if isinstance(group, dict) else [group])]
    return all(p.device.type == "cpu" and p.is_floating_point() for p in parameters)


def build_schedule(config: ScheduleConfig, steps_per_epoch: int, total_steps: int) -> Schedule:
    """Return the learning-rate factor as a function of the number of completed steps. total_steps: the budget (0 = unknown).

    Raises UserError for an unknown name, or for milestones if the budget in steps is unknown.
    """
    if config.name not in ("constant", "cosine", "step"):
        raise unknown("schedule.name", config.name, ("constant", "cosine", "step"))
    if config.milestones and not total_steps:
        raise UserError("schedule.milestones are shares of the budget in steps: set trainer.max_steps= or trainer.max_epochs=")
    return lambda step: _warmup(step, config) * _decay(step, config, steps_per_epoch, total_steps)


def _warmup(step: int, config: ScheduleConfig) -> float:
    return min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0


def _decay(step: int, config: ScheduleConfig, steps_per_epoch: int, total_steps: int) -> float:
    if config.name == "step" and config.milestones:
        return config.factor ** sum(step >= share * total_steps for share in config.milestones)
    if config.name == "step":
        every = config.every_steps or config.every_epochs * steps_per_epoch
        return config.factor ** (step // every) if every else 1.0
    if config.name == "cosine":
        progress = min(1.0, step / total_steps) if total_steps else 0.0
        return config.final_factor + (1 - config.final_factor) * 0.5 * (1 + math.cos(math.pi * progress))
    return 1.0
