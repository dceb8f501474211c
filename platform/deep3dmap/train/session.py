"""Drives a method's step generator: seeding, curves, validation, checkpoints, resuming, stopping. One session per worker."""

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.core.method import Method, Step
from deep3dmap.frameworks import MAIN, BaseFramework, CustomFramework, TrainLoop
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.curve_writer import CurveWriter
from deep3dmap.train.progress import Progress
from deep3dmap.train.rank_states import own_rank_state, rank_states
from deep3dmap.train.resources import count_parameters, device_name, peak_gpu_mb, peak_ram_mb
from deep3dmap.train.seeding import scene_entropy, seed_everything
from deep3dmap.train.starting_weights import initialize, load_weights
from deep3dmap.train.state_copies import copy_state
from deep3dmap.train.trackers import Trackers

# Adds metrics to a validation: maps (method, loop) to {name: value}, identical on all workers.
Scorer = Callable[[Method, TrainLoop], Mapping[str, float]]


@dataclass
class TrainingSummary:
    """Summary of a training session. seconds: training time, including earlier sessions of the run.

    cut_short: "cut short at step N of M" if a time limit ended the session before its last step, else "". device: "cpu" or
    the name of the GPU. parameters: number of parameters of the method. The memory values are peaks of the training process,
    of the first worker if there are several.
    """

    steps: int
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    stopped: bool = False
    cut_short: str = ""
    device: str = ""
    parameters: int = 0
    peak_ram_mb: float = 0.0
    peak_gpu_mb: float = 0.0


class TrainingSession:
    """Trains one method in one worker, starting from the newest complete checkpoint in its folder if there is one."""

    # Config section of the limits, as named in messages.
    section = "trainer"
    # Whether the first worker shows its progress; None lets `Progress` decide.
    shows_progress: bool | None = None
    # Whether the method trains in this configuration; with pretrained weights it may not.
    learns = True

    def __init__(
        self, method: Method, loop: TrainLoop, folder: Path, about: Mapping[str, Any], scorer: Scorer | None = None
    ) -> None:
        self.method, self.loop, self.folder, self.about, self.scorer = method, loop, folder, dict(about), scorer
        self.checkpoints = CheckpointFolder(folder / "checkpoints")
        self.limits = loop.settings.trainer
        self.scene = ""
        self.seconds_before = 0.0
        self._saved_step = -1
        self._validated: dict[str, float] = {}
        self._resumed_average = False

    def run(self) -> TrainingSummary:
        """Train until the budget is spent, the scheduler stops it or the method ends; the method keeps its final weights.

        Raises DivergedError if a loss is not finite, UserError for an error in the configuration.
        """
        self.require_budget()
        self._start_state()
        # Called before the number of steps is read, because a method may set the length of an epoch or its schedule here. If it
        # is a generator function, nothing runs yet.
        generator = self.steps()
        shown = self.shows_progress if self.loop.rank == 0 else False
        self.progress = Progress(self.loop.total_steps, self.limits.max_seconds, shown)
        self.curves = CurveWriter(self.folder / "curves.jsonl", self.loop.step) if self.loop.rank == 0 else None
        self.trackers = Trackers(self.folder, self.about if self.loop.rank == 0 else {}, self.loop.step)
        self._began = time.perf_counter()
        summary = TrainingSummary(self.loop.step, self.seconds_before)
        try:
            summary.stopped, summary.cut_short = self._take_steps(generator)
            summary.metrics = self._finish()
        finally:
            if self.curves:
                self.curves.close()
            self.progress.close()
            self.trackers.close()
        summary.steps, summary.seconds = self.loop.step, self.seconds()
        summary.device, summary.parameters = device_name(self.loop.device), count_parameters(self.method)
        summary.peak_ram_mb, summary.peak_gpu_mb = peak_ram_mb(), peak_gpu_mb()
        return summary

    def seconds(self) -> float:
        """Return the training time so far in seconds, including earlier sessions."""
        return self.seconds_before + time.perf_counter() - self._began

    def steps(self) -> Iterator[Step]:
        """Return the method's step generator, empty if the method does not train."""
        return self.method.train_steps(self.loop) if self.learns else iter(())

    def require_budget(self) -> None:
        """Raise UserError if nothing would ever end the training."""
        limits = (self.limits.max_steps, self.limits.max_epochs, self.limits.max_seconds or None)
        if isinstance(self.method, BaseFramework) and limits == (None, None, None):
            raise UserError("this run has no budget: give trainer.max_steps=, trainer.max_epochs= or trainer.max_seconds=")

    def initialise_method(self) -> None:
        """Initialise the method if there is no checkpoint to resume from."""
        if self.limits.initialize_from:
            initialize(self.method, Path(self.limits.initialize_from), self.about["method"])

    def _start_state(self) -> None:
        found = self.checkpoints.newest()
        if not found:
            self.initialise_method()
            return
        checkpoint, state = found
        load_weights(self.method, state["method"], checkpoint.folder)
        self.method.load_rank_state_dict(own_rank_state(state["ranks"], self.loop.rank, self.loop.world_size))
        if not {"optimizers", "step"} <= state["loop"].keys():
            raise UserError(f"{checkpoint.folder}: state.pt contains no optimiser state; use another checkpoint")
        self.loop.load_state_dict(state["loop"])
        self.seconds_before = float(checkpoint.about["seconds"])
        self._saved_step, self._validated = self.loop.step, dict(checkpoint.about["metrics"])
        self._resumed_average = state["averaged"] is not None

    def _take_steps(self, generator: Iterator[Step]) -> tuple[bool, str]:
        """Take steps; return (whether the scheduler stopped them early, the `cut_short` text of the time limit or "")."""
        loop = self.loop
        if self._budget_spent():
            return False, ""
        # A weight average is restored only when the method requests it, in its first step; until then it can be neither
        # validated nor saved.
        if loop.step and (self._validated or not self._resumed_average) and (cut := self._cut_short()):
            return False, cut
        stopped, cut_short = False, ""
        self._seed()
        for step in generator:
            loop.advance()
            self._log(step)
            self._evaluate_or_checkpoint(step)
            stopped = loop.host.should_stop()
            if stopped or self._budget_spent():
                break
            cut_short = self._cut_short()
            if cut_short:
                break
            self._seed()
        if isinstance(generator, Generator):
            generator.close()
        return stopped, cut_short

    def _seed(self) -> None:
        seed_everything(self.loop.seed, self.loop.rank, self.loop.step, *scene_entropy(self.scene))

    def _budget_spent(self) -> bool:
        return self.limits.max_steps == 0 or bool(self.loop.total_steps and self.loop.step >= self.loop.total_steps)

    def _cut_short(self) -> str:
        """Return the text of `TrainingSummary.cut_short` if the time limit has been reached, else ""."""
        if not self.limits.max_seconds:
            return ""
        spent = self.seconds() >= self.limits.max_seconds
        # Clocks differ between workers, but all must stop at the same step.
        if not self.loop.sum_over_workers({"spent": float(spent)})["spent"]:
            return ""
        of = f" of {self.loop.total_steps}" if self.loop.total_steps else ""
        return f"cut short at step {self.loop.step}{of} by {self.section}.max_seconds={self.limits.max_seconds:g}"

    def _log(self, step: Step) -> None:
        if self.loop.step % self.limits.log_every and self.loop.step != 1:
            return
        values = self._values(step)
        if self.curves:
            rates = {_rate_name(name): rate for name, rate in self.loop.learning_rates.items()}
            self._record({**values, **rates})
        self.progress.total_steps = self.loop.total_steps
        self.progress.show(self.loop.step, self.seconds(), values)

    def _values(self, step: Step) -> dict[str, float]:
        local_values = {"loss": float(step.loss), **{name: float(term) for name, term in step.terms.items()}}
        summed = self.loop.sum_over_workers(local_values)
        values = {name: value / self.loop.world_size for name, value in summed.items()}
        if not math.isfinite(values["loss"]):
            terms = ", ".join(f"{name}={value:.4g}" for name, value in values.items())
            where = f" of scene {self.scene}" if self.scene else ""
            raise DivergedError(f"the loss is not finite at step {self.loop.step}{where}: {terms}")
        return values

    def _evaluate_or_checkpoint(self, step: Step) -> None:
        evaluate = _due(self.loop.step, self.limits.evaluate_every)
        if evaluate or _due(self.loop.step, self.limits.checkpoint_every):
            self._values(step)
            self.loop.synchronise(self.method)
            metrics = self._validate() if evaluate else {}
            self._save(metrics)
            self._report(metrics)

    def _finish(self) -> dict[str, float]:
        self.loop.synchronise(self.method)
        if self._saved_step == self.loop.step and self._validated:
            # Already validated at this step, in this session or before a resume: repeating it would duplicate the last point.
            metrics = self._validated
        else:
            metrics = self._validate()
            if metrics or self._saved_step != self.loop.step:
                self._save(metrics)
        self._report(metrics)
        return metrics

    def validation(self) -> dict[str, float]:
        """Return the metrics of a validation."""
        metrics: dict[str, float] = {}
        if isinstance(self.method, CustomFramework):
            metrics.update(self.method.validate(self.loop))
        if self.scorer:
            metrics.update(self.scorer(self.method, self.loop))
        return metrics

    def _validate(self) -> dict[str, float]:
        with self.loop.averaged_weights():
            metrics = self.validation()
        if metrics:
            self._record(metrics)
        return metrics

    def _record(self, values: Mapping[str, float]) -> None:
        if self.curves:
            self.curves.add(self.loop.step, self.seconds(), values)
            self.trackers.log(self.loop.step, values)

    def _report(self, metrics: Mapping[str, float]) -> None:
        # After the checkpoint is written, because the receiver of an evaluation may use the weights it belongs to.
        if metrics:
            progress = {"step": self.loop.step, "seconds": self.seconds(), "progress": self._progress()}
            self.loop.host.report({**progress, **metrics})

    def _progress(self) -> float:
        """Return the spent share of the budget in percent."""
        limits = ((self.loop.step, self.loop.total_steps), (self.seconds(), self.limits.max_seconds))
        shares = [spent / limit for spent, limit in limits if limit]
        return 100 * min(1.0, max(shares, default=1.0))

    def _save(self, metrics: Mapping[str, float]) -> None:
        ranks = rank_states(self.method, self.loop.world_size)
        if self.loop.rank == 0:
            averaged = None
            if self.loop.averages:
                with self.loop.averaged_weights():
                    averaged = copy_state(self.method.state_dict())
            state = {
                "method": self.method.state_dict(),
                "loop": self.loop.state_dict(),
                "averaged": averaged,
                "ranks": ranks,
            }
            device = device_name(self.loop.device)
            about = {**self.about, "metrics": dict(metrics), "seconds": self.seconds(), "device": device}
            about["ended"] = self._progress() >= 100
            if self.curves:
                self.curves.flush()
            self.checkpoints.write(state, about, self.loop.step, metrics.get("validation_loss"))
        self._saved_step, self._validated = self.loop.step, dict(metrics)
        if self.loop.world_size > 1:
            torch.distributed.barrier()


def _rate_name(optimizer: str) -> str:
    return "learning_rate" if optimizer == MAIN else f"learning_rate_{optimizer}"


def _due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0
