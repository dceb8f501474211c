"""The loop's tools: what a method uses while it trains, the same on one CPU and on many GPUs.

A run that is resumed builds its method anew, enters `train_steps` again and asks the loop for the same optimisers and
averages in the same order; the loop hands them back as they were.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig, TrainerConfig
from deep3dmap.core.errors import UserError
from deep3dmap.frameworks.batches import BatchPlan, Transform, map_style_batches, stream_batches, to_device
from deep3dmap.frameworks.host import Host
from deep3dmap.frameworks.inputs import select
from deep3dmap.frameworks.optimization import build_optimizer, build_schedule

_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class LoopSettings:
    """The sections of a run's configuration that the loop acts on."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


@dataclass
class _Managed:
    """An optimiser with what the loop does around it."""

    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    micro_batches: int = 0


class TrainLoop:
    """Hands a method its data, optimisers, precision and averages. `step` counts optimisation steps already taken."""

    def __init__(self, host: Host, settings: LoopSettings, dataset: Any, validation: Any = None) -> None:
        self.host, self.settings, self.dataset, self.validation = host, settings, dataset, validation
        self.device, self.rank, self.world_size, self.seed = host.device, host.rank, host.world_size, settings.seed
        self.step = 0
        # How many samples one pass over the training split has; a method that cuts its samples into pieces says so here.
        self.samples_per_epoch = len(dataset) if hasattr(dataset, "__len__") else 0
        trainer = settings.trainer
        if trainer.precision not in _PRECISIONS:
            raise UserError(f"trainer.precision is fp32, bf16 or fp16, not '{trainer.precision}'")
        parts = self.world_size * trainer.accumulate
        if trainer.batch_size % parts:
            raise UserError(f"trainer.batch_size={trainer.batch_size} must be a multiple of workers x accumulate = {parts}")
        self.plan = BatchPlan(trainer.batch_size // parts, trainer.accumulate, self.rank, self.world_size, settings.seed)
        self._scaler = torch.amp.GradScaler(self.device.type, enabled=trainer.precision == "fp16")
        self._managed: dict[int, _Managed] = {}
        self._averages: list[tuple[nn.Module, AveragedModel]] = []
        self._restored: dict[str, Any] = {}

    # -- data ---------------------------------------------------------------------------------------------------------

    def batches(self, keys: Iterable[str], transform: Transform | None = None, dataset: Any = None) -> Iterator[dict[str, Any]]:
        """Yield micro-batches for ever, on the device: the method's `keys` of each sample, transformed, stacked.

        `dataset` (default: the run's training split) is a map-style dataset, an iterable of samples or a ready DataLoader.
        `transform(sample, generator)` augments one sample.
        """
        source = self.dataset if dataset is None else dataset
        wanted, mapping = tuple(keys), self.settings.inputs

        def prepare(sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
            chosen = select(sample, wanted, mapping)
            return transform(chosen, generator) if transform else chosen

        stream: Iterator[dict[str, Any]]
        if isinstance(source, DataLoader):
            stream = (select(batch, wanted, mapping) for batch in stream_batches(source, prepare, self.plan, self.step))
        elif hasattr(source, "__getitem__") and hasattr(source, "__len__"):
            stream = map_style_batches(source, prepare, self.plan, self.step, self.settings.trainer.loader_workers)
        else:
            stream = stream_batches(source, prepare, self.plan, self.step)
        return (to_device(batch, self.device) for batch in stream)

    def validation_batches(self, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Yield this worker's share of the validation split once, unaugmented, on the device."""
        if self.validation is None:
            return
        wanted = tuple(keys)
        mine = [
            select(self.validation[i], wanted, self.settings.inputs)
            for i in range(self.rank, len(self.validation), self.world_size)
        ]
        for batch in DataLoader(mine, batch_size=self.plan.batch_size):  # type: ignore[arg-type]
            yield to_device(batch, self.device)

    @property
    def steps_per_epoch(self) -> int:
        """Optimisation steps per pass over the training split; 1 where the data have no length."""
        return self.plan.steps_per_epoch(self.samples_per_epoch) if self.samples_per_epoch else 1

    @property
    def total_steps(self) -> int:
        """Steps the budget allows, 0 where only time limits it."""
        trainer = self.settings.trainer
        limits = [trainer.max_steps] if trainer.max_steps is not None else []
        if trainer.max_epochs is not None:
            limits.append(trainer.max_epochs * self.steps_per_epoch)
        return min(limits, default=0)

    # -- modules and optimisers ---------------------------------------------------------------------------------------

    def prepare(self, module: nn.Module) -> nn.Module:
        """Put a module on the device and, with several workers, wrap it so that gradients are averaged."""
        module.to(self.device)
        if self.world_size == 1:
            return module
        devices = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(module, devices, find_unused_parameters=self.settings.trainer.find_unused_parameters)

    def optimizer(self, parameters: Iterable[Any], config: OptimizerConfig | None = None) -> torch.optim.Optimizer:
        """Build an optimiser with its schedule from the run's configuration, or from `config`."""
        optimizer = build_optimizer(parameters, config or self.settings.optimizer)
        schedule = build_schedule(optimizer, self.settings.schedule, self.steps_per_epoch, self.total_steps)
        saved = self._restored.get("optimizers", [])
        if len(self._managed) < len(saved):
            state = saved[len(self._managed)]
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
        self._managed[id(optimizer)] = _Managed(optimizer, schedule)
        return optimizer

    def average(self, module: nn.Module) -> None:
        """Keep an exponential moving average of a module's weights, if the configuration asks for one."""
        decay = self.settings.trainer.ema_decay
        if decay == 0:
            return
        averaged = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=False)
        saved = self._restored.get("averages", [])
        if len(self._averages) < len(saved):
            averaged.load_state_dict(saved[len(self._averages)])
        self._averages.append((module, averaged))

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within this context the averaged modules hold their averages."""
        kept = [{name: p.detach().clone() for name, p in module.named_parameters()} for module, _ in self._averages]
        for module, averaged in self._averages:
            _copy_parameters(dict(averaged.module.named_parameters()), module)
        try:
            yield
        finally:
            for (module, _), parameters in zip(self._averages, kept):
                _copy_parameters(parameters, module)

    # -- one step -----------------------------------------------------------------------------------------------------

    @contextmanager
    def micro_batch(self, *modules: nn.Module) -> Iterator[None]:
        """Run forward and backward of one micro-batch: autocast, and no gradient exchange until the last one of a step."""
        precision = _PRECISIONS[self.settings.trainer.precision]
        last = self._micro_batches_done() % self.plan.micro_batches == self.plan.micro_batches - 1
        with ExitStack() as stack:
            if precision is not torch.float32:
                stack.enter_context(torch.autocast(self.device.type, precision))
            for module in modules:
                if isinstance(module, DistributedDataParallel) and not last:
                    stack.enter_context(module.no_sync())
            yield

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradient of a micro-batch's mean loss."""
        self._scaler.scale(loss / self.plan.micro_batches).backward()

    def update(self, optimizer: torch.optim.Optimizer) -> bool:
        """Take the optimisation step once all micro-batches are in; returns whether it was taken."""
        managed = self._managed[id(optimizer)]
        managed.micro_batches += 1
        if managed.micro_batches % self.plan.micro_batches:
            return False
        if self.settings.trainer.clip_norm:
            self._scaler.unscale_(optimizer)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, self.settings.trainer.clip_norm)
        self._scaler.step(optimizer)
        self._scaler.update()
        optimizer.zero_grad(set_to_none=True)
        managed.schedule.step()
        for module, averaged in self._averages:
            averaged.update_parameters(module)
        return True

    def _micro_batches_done(self) -> int:
        return next((managed.micro_batches for managed in self._managed.values()), 0)

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def learning_rates(self) -> list[float]:
        """The current learning rate of each optimiser's first group."""
        return [managed.optimizer.param_groups[0]["lr"] for managed in self._managed.values()]

    def state_dict(self) -> dict[str, Any]:
        """Return optimisers, schedules, averages and the gradient scale. Random states need none: each step seeds its own."""
        return {
            "optimizers": [
                {"optimizer": m.optimizer.state_dict(), "schedule": m.schedule.state_dict()} for m in self._managed.values()
            ],
            "averages": [averaged.state_dict() for _, averaged in self._averages],
            "scaler": self._scaler.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back a state; call it before `train_steps` is entered."""
        self._restored = state
        self.step = int(state["step"])
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])

    def sum_over_workers(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sum of each value over all workers; every rank calls it with the same names."""
        if self.world_size == 1:
            return dict(values)
        packed = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(packed)
        return dict(zip(values, packed.tolist()))


def _copy_parameters(source: Mapping[str, Tensor], module: nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(source[name])
