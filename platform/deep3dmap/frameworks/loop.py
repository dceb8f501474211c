"""The training loop: the tools that a method uses during training, with the same interface on one CPU and on many GPUs.

A resumed run constructs its method again and restarts its generator, which requests the same optimisers and averages by name;
the loop returns them with their saved state.
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
    """The sections of a run's configuration that the loop uses."""

    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    inputs: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0


class TrainLoop:
    """Provides data, optimisers, precision and weight averages to a method. `step` is the number of completed steps.

    planned_steps: set by a method whose schedule has a fixed length, to its number of steps.
    """

    def __init__(self, host: Host, settings: LoopSettings, dataset: Any, validation: Any = None) -> None:
        self.host, self.settings, self.dataset, self.validation = host, settings, dataset, validation
        self.device, self.rank, self.world_size, self.seed = host.device, host.rank, host.world_size, settings.seed
        self.step = self.planned_steps = 0
        # Number of samples in one pass over the training split; a method that splits its samples into pieces sets it.
        self.samples_per_epoch = len(dataset) if hasattr(dataset, "__len__") else 0
        trainer = settings.trainer
        if trainer.precision not in _PRECISIONS:
            raise UserError(f"trainer.precision must be fp32, tf32, bf16 or fp16, not '{trainer.precision}'")
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
        """Yield micro-batches indefinitely, on the device: the method's `keys` of each sample, transformed and stacked.

        `dataset` (default: the run's training split) is a map-style dataset, an iterable of samples or a DataLoader.
        `transform(sample, generator)` augments one sample. per_step: number of batches used per step, each of
        trainer.accumulate micro-batches. A resume skips this many batches for each completed step, and the number of steps in
        an epoch of the training split is divided by it.
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
        """Number of steps in one pass over the training split; 1 if the data have no length."""
        return self.plan.steps_per_epoch(self.samples_per_epoch) if self.samples_per_epoch else 1

    @property
    def total_steps(self) -> int:
        """Number of steps that the budget allows; 0 if it is not limited in steps."""
        trainer = self.settings.trainer
        limits = [trainer.max_steps] if trainer.max_steps is not None else []
        if trainer.max_epochs is not None:
            limits.append(trainer.max_epochs * self.steps_per_epoch)
        if self.planned_steps:
            limits.append(self.planned_steps)
        return min(limits, default=0)

    # -- modules and optimisers ---------------------------------------------------------------------------------------

    def prepare(self, module: nn.Module, broadcast_buffers: bool = True) -> nn.Module:
        """Move a module to the device and broadcast worker 0's weights to all workers; returns the module.

        Gradients are averaged over the workers by `update`, so any number of modules may be prepared, and run in any order.
        broadcast_buffers: whether worker 0's buffers, such as batch-norm statistics, are broadcast to all workers before each
        validation and checkpoint.
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
        """Create an optimiser from the run's configuration or `config`; after a resume, restore its state saved under `name`.

        parameters: tensors, or groups {"params": ..., "rate": factor of the learning rate}. schedule: maps a step to the factor
        of the learning rate (default: the run's configured schedule).
        """
        if name in self._managed:
            raise ValueError(f"optimiser '{name}' already exists; release it first")
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
        """Release an optimiser and its averages, at the end of a stage or scene."""
        self._find(name)
        del self._managed[name]
        self._restored.pop(name, None)

    def average(self, module: nn.Module, after: str, decay: float | None = None, ramp: float | None = None) -> None:
        """Maintain an exponential moving average of a module's weights, updated with each update of the optimiser `after`.

        decay: default trainer.ema_decay; 0 = no average. ramp: see WeightAverage. Validation and inference use the averaged
        weights.
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
        """Context in which the averaged modules contain their averaged weights."""
        averages = self.averages
        kept = [{name: p.detach().clone() for name, p in average.module.named_parameters()} for average in averages]
        for average in averages:
            copy_parameters(average.parameters(), average.module)
        try:
            yield
        finally:
            for average, parameters in zip(averages, kept):
                copy_parameters(parameters, average.module)

    # -- one step -----------------------------------------------------------------------------------------------------

    @contextmanager
    def micro_batch(self, *names: str) -> Iterator[None]:
        """Context for the forward and backward pass of one micro-batch for the optimisers `names` (default: the only one).

        It applies the run's precision, and the parameters of all other optimisers do not accumulate gradients.
        """
        learning = tuple(self._find(name) for name in (names or self._only()))
        if len({id(managed.scaler) for managed in learning if managed.scaler.is_enabled()}) > 1:
            raise UserError("fp16: optimisers with one loss need one gradient scale; use one optimiser with parameter groups")
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
        """Accumulate the gradient of a micro-batch's mean loss. Must be called inside `micro_batch`."""
        if not self._learning:
            raise RuntimeError("loop.backward outside of loop.micro_batch, which selects the optimisers of a loss")
        self._learning[0].scaler.scale(loss / self.plan.micro_batches).backward()

    def update(self, name: str | None = None) -> bool:
        """Step the optimiser `name` (default: the only one) once all its micro-batches are in; returns whether it did."""
        managed = self._find(name or self._only()[0])
        if managed.micro_batches == 0:
            raise RuntimeError(f"loop.update('{managed.name}') without a loop.micro_batch('{managed.name}') before it")
        if managed.micro_batches < self.plan.micro_batches:
            return False
        managed.update(self.settings.trainer.clip_norm, self.world_size)
        return True

    def gradient_penalty(self, outputs: Tensor, inputs: Tensor) -> Tensor:
        """Return the (B,) squared gradient norms, scaled for the current `micro_batch`; see gradients.gradient_penalty."""
        scaler = self._learning[0].scaler if self._learning else None
        return gradient_penalty(outputs, inputs, scaler.get_scale() if scaler is not None and scaler.is_enabled() else 1.0)

    def advance(self) -> None:
        """Increment the step and update the learning rates; called by the session after each yield."""
        self.step += 1
        for managed in self._managed.values():
            managed.set_rates(self.step)

    def _configured_schedule(self, step: int) -> float:
        # Built for each step, because the length of an epoch may only be known after the optimiser is created.
        return build_schedule(self.settings.schedule, self.steps_per_epoch, self.total_steps)(step)

    def _find(self, name: str) -> NamedOptimizer:
        if name not in self._managed:
            raise ValueError(f"no optimiser '{name}'{nearest(name, self._managed)}")
        return self._managed[name]

    def _only(self) -> tuple[str]:
        if len(self._managed) != 1:
            raise ValueError(f"which optimiser? available: {', '.join(self._managed) or 'none'}")
        return (next(iter(self._managed)),)

    def _others(self, learning: tuple[NamedOptimizer, ...]) -> list[Tensor]:
        mine = {id(parameter) for managed in learning for parameter in managed.parameters}
        return [p for managed in self._managed.values() for p in managed.parameters if id(p) not in mine]

    # -- state --------------------------------------------------------------------------------------------------------

    @property
    def learning_rates(self) -> dict[str, float]:
        """Current learning rate of each optimiser's first parameter group."""
        return {name: managed.optimizer.param_groups[0]["lr"] for name, managed in self._managed.items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the optimisers, and the step. Random states are not saved, as each step is seeded separately."""
        optimizers = {name: managed.state_dict() for name, managed in self._managed.items()}
        return {"optimizers": optimizers, "step": self.step, "batches_per_step": self.plan.per_step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the state returned by `state_dict`; call it before starting the method's generator."""
        self._restored = dict(state["optimizers"])
        self.step = int(state["step"])
        # Used until the method requests its batches again; earlier versions did not save it.
        self.plan = replace(self.plan, per_step=int(state.get("batches_per_step", 1)))

    def synchronise(self, method: Any) -> None:
        """Broadcast worker 0's buffers of all prepared modules to all workers.

        Raises ReplicasDifferError if the workers' parameters differ, including those of `method` that were never prepared.
        """
        if self.world_size == 1:
            return
        for module in self._prepared:
            send_from_first(list(module.buffers()), self.world_size)
        unseen = isinstance(method, nn.Module) and all(module is not method for module in self._prepared)
        for module in (*self._prepared, *([method] if unseen else [])):
            require_equal_replicas(module)

    def sum_over_workers(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sum of each value over all workers; every rank must call it with the same names."""
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
