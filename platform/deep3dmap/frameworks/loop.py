"""The loop's tools: what a method uses while it learns, the same on one CPU and on many GPUs.

A run that is resumed builds its method anew, enters its generator again and asks the loop for the same optimisers and averages
by name; the loop hands them back as they were.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from deep3dmap.config.schema import OptimizerConfig, ScheduleConfig, TrainerConfig
from deep3dmap.core.errors import UserError, nearest
from deep3dmap.frameworks.batches import BatchPlan, Transform, map_style_batches, stream_batches, to_device
from deep3dmap.frameworks.gradients import gradient_penalty
from deep3dmap.frameworks.host import Host
from deep3dmap.frameworks.inputs import select
from deep3dmap.frameworks.named_optimizer import NamedOptimizer
from deep3dmap.frameworks.optimization import Schedule, build_optimizer, build_schedule
from deep3dmap.frameworks.replicas import require_equal_replicas, send_from_first
from deep3dmap.frameworks.weight_average import WeightAverage, copy_parameters

_PRECISIONS = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class LoopSettings:
    """The sections of a run's configuration that the loop acts on."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


class TrainLoop:
    """Hands a method its data, optimisers, precision and averages. `step` counts the turns already taken.

    planned_steps: a method whose schedule has an end of its own says here how many turns it has.
    """

    def __init__(self, host: Host, settings: LoopSettings, dataset: Any, validation: Any = None) -> None:
        self.host, self.settings, self.dataset, self.validation = host, settings, dataset, validation
        self.device, self.rank, self.world_size, self.seed = host.device, host.rank, host.world_size, settings.seed
        self.step = self.planned_steps = 0
        # How many samples one pass over the training split has; a method that cuts its samples into pieces says so here.
        self.samples_per_epoch = len(dataset) if hasattr(dataset, "__len__") else 0
        trainer = settings.trainer
        if trainer.precision not in _PRECISIONS:
            raise UserError(f"trainer.precision is fp32, tf32, bf16 or fp16, not '{trainer.precision}'")
        parts = self.world_size * trainer.accumulate
        if trainer.batch_size % parts:
            raise UserError(f"trainer.batch_size={trainer.batch_size} must be a multiple of workers x accumulate = {parts}")
        self.plan = BatchPlan(trainer.batch_size // parts, trainer.accumulate, self.rank, self.world_size, settings.seed)
        self._managed: dict[str, NamedOptimizer] = {}
        self._prepared: list[nn.Module] = []
        self._learning: tuple[NamedOptimizer, ...] = ()
        self._restored: dict[str, Any] = {}

    # -- data ---------------------------------------------------------------------------------------------------------

    def batches(
        self, keys: Iterable[str], transform: Transform | None = None, dataset: Any = None, per_step: int = 1
    ) -> Iterator[dict[str, Any]]:
        """Yield micro-batches for ever, on the device: the method's `keys` of each sample, transformed, stacked.

        `dataset` (default: the run's training split) is a map-style dataset, an iterable of samples or a ready DataLoader.
        `transform(sample, generator)` augments one sample. per_step: how many batches, of trainer.accumulate micro-batches
        each, one turn takes; a resume goes on after as many of them per turn, and an epoch of the training split has so many
        turns less.
        """
        source = self.dataset if dataset is None else dataset
        wanted, mapping = tuple(keys), self.settings.inputs
        plan = replace(self.plan, per_step=per_step)
        if dataset is None:
            self.plan = plan

        def prepare(sample: dict[str, Any], generator: np.random.Generator) -> dict[str, Any]:
            chosen = select(sample, wanted, mapping)
            return transform(chosen, generator) if transform else chosen

        stream: Iterator[dict[str, Any]]
        if isinstance(source, DataLoader):
            stream = (select(batch, wanted, mapping) for batch in stream_batches(source, prepare, plan, self.step))
        elif hasattr(source, "__getitem__") and hasattr(source, "__len__"):
            stream = map_style_batches(source, prepare, plan, self.step, self.settings.trainer.loader_workers)
        else:
            stream = stream_batches(source, prepare, plan, self.step)
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
        """Steps per pass over the training split; 1 where the data have no length."""
        return self.plan.steps_per_epoch(self.samples_per_epoch) if self.samples_per_epoch else 1

    @property
    def total_steps(self) -> int:
        """Steps the budget allows, 0 where only time limits it."""
        trainer = self.settings.trainer
        limits = [trainer.max_steps] if trainer.max_steps is not None else []
        if trainer.max_epochs is not None:
            limits.append(trainer.max_epochs * self.steps_per_epoch)
        if self.planned_steps:
            limits.append(self.planned_steps)
        return min(limits, default=0)

    # -- modules and optimisers ---------------------------------------------------------------------------------------

    def prepare(self, module: nn.Module, broadcast_buffers: bool = True) -> nn.Module:
        """Put a module on the device and make all workers start from worker 0's weights; returns the module.

        Gradients are averaged over the workers by `update`, so any number of modules may be prepared, and run in any order.
        broadcast_buffers: worker 0's buffers, such as the statistics of batch norm, are sent to all before each validation
        and checkpoint.
        """
        module.to(self.device)
        send_from_first([*module.parameters(), *module.buffers()], self.world_size)
        if broadcast_buffers:
            self._prepared.append(module)
        return module

    def optimizer(
        self,
        name: str,
        parameters: Iterable[Any],
        config: OptimizerConfig | None = None,
        schedule: Schedule | None = None,
    ) -> torch.optim.Optimizer:
        """Build an optimiser from the run's configuration or `config`; after a resume it is what it was under this name.

        parameters: tensors, or groups {"params": ..., "rate": factor of the learning rate}. schedule: factor of the learning
        rate at a turn, where the method has one of its own.
        """
        if name in self._managed:
            raise ValueError(f"there is an optimiser '{name}' already; release it first")
        optimizer = build_optimizer(parameters, config or self.settings.optimizer)
        factor = schedule or self._configured_schedule
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.settings.trainer.precision == "fp16")
        managed = NamedOptimizer(name, optimizer, factor, scaler)
        if name in self._restored:
            managed.load_state_dict(self._restored[name])
        managed.set_rates(self.step)
        self._managed[name] = managed
        return optimizer

    def release(self, name: str) -> None:
        """Let go of an optimiser and its averages, at the end of a stage or scene."""
        self._find(name)
        del self._managed[name]
        self._restored.pop(name, None)

    def average(self, module: nn.Module, after: str, decay: float | None = None, ramp: float | None = None) -> None:
        """Keep an exponential moving average of a module's weights, moved by the updates of the optimiser `after` only.

        decay: default trainer.ema_decay; 0 keeps none. ramp: see WeightAverage. What is averaged is validated and used for
        inference.
        """
        chosen = self.settings.trainer.ema_decay if decay is None else decay
        if chosen == 0:
            return
        managed, average = self._find(after), WeightAverage(module, chosen, ramp)
        saved = self._restored.get(after, {}).get("averages", [])
        if len(managed.averages) < len(saved):
            average.load_state_dict(saved[len(managed.averages)])
        managed.averages.append(average)

    @property
    def averages(self) -> list[WeightAverage]:
        """All moving averages of weights."""
        return [average for managed in self._managed.values() for average in managed.averages]

    @contextmanager
    def averaged_weights(self) -> Iterator[None]:
        """Within this context the averaged modules hold their averages."""
        averages = self.averages
        kept = [{name: p.detach().clone() for name, p in average.module.named_parameters()} for average in averages]
        for average in averages:
            copy_parameters(average.parameters(), average.module)
        try:
            yield
        finally:
            for average, parameters in zip(averages, kept):
                copy_parameters(parameters, average.module)

    # -- one turn -----------------------------------------------------------------------------------------------------

    @contextmanager
    def micro_batch(self, *names: str) -> Iterator[None]:
        """Run forward and backward of one micro-batch for the optimisers `names` (default: the only one).

        Within it the precision of the run holds, and the parameters of all other optimisers gather no gradient.
        """
        learning = tuple(self._find(name) for name in (names or self._only()))
        if len({id(managed.scaler) for managed in learning if managed.scaler.is_enabled()}) > 1:
            raise UserError("fp16: optimisers with one loss share one gradient scale; make them one, with parameter groups")
        precision = _PRECISIONS[self.settings.trainer.precision]
        with (
            _without_gradient(self._others(learning)),
            torch.autocast(self.device.type, precision, enabled=precision is not torch.float32),
        ):
            before, self._learning = self._learning, learning
            try:
                yield
            finally:
                self._learning = before
        for managed in learning:
            managed.micro_batches += 1

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradient of a micro-batch's mean loss, in a `micro_batch`."""
        if not self._learning:
            raise RuntimeError("loop.backward outside of loop.micro_batch: it is that which says whose loss this is")
        self._learning[0].scaler.scale(loss / self.plan.micro_batches).backward()

    def update(self, name: str | None = None) -> bool:
        """Update by the optimiser `name` (default: the only one) once all its micro-batches are in; returns whether it did."""
        managed = self._find(name or self._only()[0])
        if managed.micro_batches == 0:
            raise RuntimeError(f"loop.update('{managed.name}') without a loop.micro_batch('{managed.name}') before it")
        if managed.micro_batches < self.plan.micro_batches:
            return False
        managed.update(self.settings.trainer.clip_norm, self.world_size)
        return True

    def gradient_penalty(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """Return (B,) squared gradient norms of `outputs` by `inputs`, in a `micro_batch`; see gradients.gradient_penalty."""
        scaler = self._learning[0].scaler if self._learning else None
        return gradient_penalty(outputs, inputs, scaler.get_scale() if scaler is not None and scaler.is_enabled() else 1.0)

    def advance(self) -> None:
        """Count a turn; called by the session after each yield."""
        self.step += 1
        for managed in self._managed.values():
            managed.set_rates(self.step)

    def _configured_schedule(self, step: int) -> float:
        # Built anew for each turn: how long an epoch is may show after the optimiser is made.
        return build_schedule(self.settings.schedule, self.steps_per_epoch, self.total_steps)(step)

    def _find(self, name: str) -> NamedOptimizer:
        if name not in self._managed:
            raise ValueError(f"no optimiser '{name}'{nearest(name, self._managed)}")
        return self._managed[name]

    def _only(self) -> tuple[str]:
        if len(self._managed) != 1:
            raise ValueError(f"which optimiser? there are: {', '.join(self._managed) or 'none'}")
        return (next(iter(self._managed)),)

    def _others(self, learning: tuple[NamedOptimizer, ...]) -> list[Tensor]:
        mine = {id(parameter) for managed in learning for parameter in managed.parameters}
        return [p for managed in self._managed.values() for p in managed.parameters if id(p) not in mine]

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def learning_rates(self) -> dict[str, float]:
        """The current learning rate of each optimiser's first group."""
        return {name: managed.optimizer.param_groups[0]["lr"] for name, managed in self._managed.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return optimisers with their scales and averages. Random states need none: each turn seeds its own."""
        optimizers = {name: managed.state_dict() for name, managed in self._managed.items()}
        return {"optimizers": optimizers, "step": self.step, "batches_per_step": self.plan.per_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back a state; call it before the method's generator is entered."""
        self._restored = dict(state["optimizers"])
        self.step = int(state["step"])
        # Until the method asks for its batches again; what earlier versions wrote does not say.
        self.plan = replace(self.plan, per_step=int(state.get("batches_per_step", 1)))

    def synchronise(self, method: Any) -> None:
        """Send worker 0's buffers of all that was prepared to all workers.

        Raises ReplicasDifferError where the workers' parameters are not the same, also those that were never prepared.
        """
        if self.world_size == 1:
            return
        for module in self._prepared:
            send_from_first(list(module.buffers()), self.world_size)
        unseen = isinstance(method, nn.Module) and all(module is not method for module in self._prepared)
        for module in (*self._prepared, *([method] if unseen else [])):
            require_equal_replicas(module)

    def sum_over_workers(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sum of each value over all workers; every rank calls it with the same names."""
        if self.world_size == 1:
            return dict(values)
        packed = torch.tensor(list(values.values()), dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(packed)
        return dict(zip(values, packed.tolist()))


@contextmanager
def _without_gradient(parameters: list[Tensor]) -> Iterator[None]:
    frozen = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)
