"""Optimisers and learning-rate schedules from their configuration."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig
from deep3dmap.core.errors import UserError, unknown


def build_optimizer(parameters: Iterable[Any], config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimiser; raises UserError for an unknown name."""
    first, second = config.betas
    if config.name == "adam":
        return torch.optim.Adam(parameters, lr=config.lr, betas=(first, second), weight_decay=config.weight_decay)
    if config.name == "adamw":
        return torch.optim.AdamW(parameters, lr=config.lr, betas=(first, second), weight_decay=config.weight_decay)
    if config.name == "sgd":
        return torch.optim.SGD(parameters, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    raise unknown("optimizer.name", config.name, ("adam", "adamw", "sgd"))


def build_schedule(
    optimizer: torch.optim.Optimizer, config: ScheduleConfig, steps_per_epoch: int, total_steps: int
) -> LambdaLR:
    """Build the schedule, which is stepped after every optimisation step. total_steps: the budget (0 = unknown).

    Raises UserError for milestones of a budget that is not known in steps.
    """
    if config.milestones and not total_steps:
        raise UserError("schedule.milestones are shares of the budget in steps: give trainer.max_steps= or trainer.max_epochs=")
    return LambdaLR(optimizer, lambda step: _factor(step, config, steps_per_epoch, total_steps))


def _factor(step: int, config: ScheduleConfig, steps_per_epoch: int, total_steps: int) -> float:
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.name == "constant":
        return warmup
    if config.name == "step" and config.milestones:
        return warmup * config.factor ** sum(step >= share * total_steps for share in config.milestones)
    if config.name == "step":
        every = config.every_steps or config.every_epochs * steps_per_epoch
        return warmup * (config.factor ** (step // every) if every else 1.0)
    if config.name == "cosine":
        progress = min(1.0, step / total_steps) if total_steps else 0.0
        return warmup * (config.final_factor + (1 - config.final_factor) * 0.5 * (1 + math.cos(math.pi * progress)))
    raise unknown("schedule.name", config.name, ("constant", "cosine", "step"))
