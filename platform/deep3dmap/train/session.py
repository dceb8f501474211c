"""Drives a method's generator of steps: seeds, curves, validation, checkpoints, resume, stop. One session per worker."""

import math
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.core.method import Method, Step
from deep3dmap.frameworks import BaseFramework, CustomFramework, TrainLoop
from deep3dmap.train.checkpoints import CheckpointFolder, read_checkpoint
from deep3dmap.train.curves import CurveWriter
from deep3dmap.train.progress import Progress
from deep3dmap.train.trackers import Trackers

# Adds metrics to a validation: (method, loop) to {name: value}, the same on every worker.
Scorer = Callable[[Method, TrainLoop], Mapping[str, float]]


@dataclass
class TrainingSummary:
    """What a session did. seconds: training time, that of earlier sessions of the run included."""

    steps: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    stopped: bool = False


def seed_everything(*entropy: int) -> None:
    """Seed torch, numpy and random from several integers, such as (seed, rank, step)."""
    low, high = np.random.SeedSequence(entropy).generate_state(2)
    seed = int(low) << 32 | int(high)
    # torch.manual_seed also records a call, with its stack, for every kind of device that was never used: half a millisecond.
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(seed)
    np.random.seed(int(high))
    random.seed(int(low))


class TrainingSession:
    """Trains one method in one worker, from the newest whole checkpoint of its folder if there is one."""

    def __init__(
        self, method: Method, loop: TrainLoop, folder: Path, about: Mapping[str, Any], scorer: Scorer | None = None
    ) -> None:
        self.method, self.loop, self.folder, self.about, self.scorer = method, loop, folder, dict(about), scorer
        self.checkpoints = CheckpointFolder(folder / "checkpoints")
        self.trainer = loop.settings.trainer
        self.seconds_before = 0.0

    def run(self) -> TrainingSummary:
        """Train until the budget, the scheduler or the method ends it; the method is left holding its final weights.

        Raises DivergedError when a loss is not finite, UserError for a mistake in the configuration.
        """
        self._require_budget()
        self._start_state()
        self.curves = CurveWriter(self.folder / "curves.jsonl", self.loop.step) if self.loop.rank == 0 else None
        self.trackers = Trackers(self.folder, self.about if self.loop.rank == 0 else {}, self.loop.step)
        self.progress = Progress(self.loop.total_steps, self.trainer.max_seconds, None if self.loop.rank == 0 else False)
        self._began = time.perf_counter()
        summary = TrainingSummary(self.loop.step, self.seconds_before)
        try:
            summary.stopped = self._steps()
            summary.metrics = self._finish()
        finally:
            if self.curves:
                self.curves.close()
            self.progress.close()
            self.trackers.close()
        summary.steps, summary.seconds = self.loop.step, self.seconds()
        return summary

    def seconds(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self.seconds_before + time.perf_counter() - self._began

    def _require_budget(self) -> None:
        limits = (self.trainer.max_steps, self.trainer.max_epochs, self.trainer.max_seconds or None)
        if isinstance(self.method, BaseFramework) and limits == (None, None, None):
            raise UserError("this run has no budget: give trainer.max_steps=, trainer.max_epochs= or trainer.max_seconds=")

    def _start_state(self) -> None:
        found = self.checkpoints.newest()
        if found:
            checkpoint, state = found
            self.method.load_state_dict(state["method"])
            self.loop.load_state_dict(state["loop"])
            self.seconds_before = float(checkpoint.about["seconds"])
        elif self.trainer.initialize_from:
            initialize(self.method, Path(self.trainer.initialize_from), self.about["method"])

    def _steps(self) -> bool:
        """Take steps; return whether the scheduler stopped them before the budget was spent."""
        stopped = False
        loop = self.loop
        # Made before the budget is looked at: a method may say here how long an epoch is. A generator does nothing yet.
        generator = self.method.train_steps(loop)
        if self._out_of_budget():
            return stopped
        seed_everything(loop.seed, loop.rank, loop.step)
        for step in generator:
            loop.step += 1
            self._log(step)
            self._evaluate_or_checkpoint(step)
            stopped = loop.host.should_stop()
            if stopped or self._out_of_budget():
                break
            seed_everything(loop.seed, loop.rank, loop.step)
        if isinstance(generator, Generator):
            generator.close()
        return stopped

    def _out_of_budget(self) -> bool:
        if self.trainer.max_steps == 0 or (self.loop.total_steps and self.loop.step >= self.loop.total_steps):
            return True
        if not self.trainer.max_seconds:
            return False
        spent = self.seconds() >= self.trainer.max_seconds
        # Clocks differ between workers, and all must leave at the same step.
        return self.loop.sum_over_workers({"spent": float(spent)})["spent"] > 0

    def _log(self, step: Step) -> None:
        if self.loop.step % self.trainer.log_every and self.loop.step != 1:
            return
        values = self._values(step)
        if self.curves:
            rates = {f"learning_rate_{i}" if i else "learning_rate": rate for i, rate in enumerate(self.loop.learning_rates)}
            self._record({**values, **rates})
        self.progress.show(self.loop.step, self.seconds(), values)

    def _values(self, step: Step) -> dict[str, float]:
        own = {"loss": float(step.loss), **{name: float(term) for name, term in step.terms.items()}}
        summed = self.loop.sum_over_workers(own)
        values = {name: value / self.loop.world_size for name, value in summed.items()}
        if not math.isfinite(values["loss"]):
            terms = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
            raise DivergedError(f"the loss is not finite at step {self.loop.step}: {terms}")
        return values

    def _evaluate_or_checkpoint(self, step: Step) -> None:
        evaluate = _due(self.loop.step, self.trainer.evaluate_every)
        if evaluate or _due(self.loop.step, self.trainer.checkpoint_every):
            self._values(step)
            metrics = self._validate() if evaluate else {}
            self._save(metrics)
            self._report(metrics)

    def _finish(self) -> dict[str, float]:
        metrics = self._validate()
        self._save(metrics)
        self._report(metrics)
        return metrics

    def _validate(self) -> dict[str, float]:
        metrics: dict[str, float] = {}
        with self.loop.averaged_weights():
            if isinstance(self.method, CustomFramework):
                metrics.update(self.method.validate(self.loop))
            if self.scorer:
                metrics.update(self.scorer(self.method, self.loop))
        if metrics:
            self._record(metrics)
        return metrics

    def _record(self, values: Mapping[str, float]) -> None:
        if self.curves:
            self.curves.add(self.loop.step, self.seconds(), values)
            self.trackers.log(self.loop.step, values)

    def _report(self, metrics: Mapping[str, float]) -> None:
        # After the checkpoint is written: whoever hears of an evaluation may take the weights it belongs to.
        if metrics:
            place = {"step": self.loop.step, "seconds": self.seconds(), "progress": self._progress()}
            self.loop.host.report({**place, **metrics})

    def _progress(self) -> float:
        """Percent of the budget that is spent."""
        limits = ((self.loop.step, self.loop.total_steps), (self.seconds(), self.trainer.max_seconds))
        shares = [spent / limit for spent, limit in limits if limit]
        return 100 * min(1.0, max(shares, default=1.0))

    def _save(self, metrics: Mapping[str, float]) -> None:
        if self.loop.rank == 0:
            with self.loop.averaged_weights():
                weights = _copied(self.method.state_dict()) if self.trainer.ema_decay else None
            state = {"method": self.method.state_dict(), "loop": self.loop.state_dict(), "averaged": weights}
            about = {**self.about, "metrics": dict(metrics), "seconds": self.seconds()}
            if self.curves:
                self.curves.flush()
            self.checkpoints.write(state, about, self.loop.step, metrics.get("validation_loss"))
        if self.loop.world_size > 1:
            torch.distributed.barrier()


def load_for_inference(method: Method, state: dict[str, Any]) -> None:
    """Load a checkpoint's averaged weights where they were kept, else its weights."""
    method.load_state_dict(state["averaged"] or state["method"])


def initialize(method: Method, folder: Path, name: str) -> None:
    """Start from another run's weights; raises UserError if they are another method's or do not fit."""
    checkpoint = read_checkpoint(folder)
    kept = checkpoint.about["method"]
    if kept != name:
        raise UserError(f"{folder}: a checkpoint of '{kept}', not of '{name}'; choose method={kept} or another checkpoint")
    try:
        load_for_inference(method, checkpoint.state())
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{folder}: its weights do not fit this configuration ({str(error).splitlines()[0]})") from error


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in state.items()}


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
