"""A training run outside of a benchmark: its id, its folder, and its row and curves in the store."""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deep3dmap.config.compose import ComposedRun
from deep3dmap.core.errors import DivergedError, UserError
from deep3dmap.results.schema import MetricRow
from deep3dmap.results.store import ResultStore
from deep3dmap.runs.planning import plan_run
from deep3dmap.runs.preparation import prepare_data
from deep3dmap.runs.result_rows import Outcome, curve_rows, curves_of, run_row
from deep3dmap.runs.retrying_store import RetryingStore
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.train.checkpoint_places import store_checkpoint
from deep3dmap.train.checkpoints import CheckpointFolder
from deep3dmap.train.engine import train
from deep3dmap.train.failures import status_of
from deep3dmap.train.session import TrainingSummary
from deep3dmap.train.start_watch import to_stderr


@dataclass(frozen=True)
class TrainingRun:
    """A planned training run."""

    plan: RunPlan

    @property
    def folder(self) -> Path:
        """Folder of its checkpoints and curves."""
        return Path(self.plan.job.folder)

    def steps_taken(self) -> int | None:
        """Return the step of the newest complete checkpoint, or None if there is none."""
        complete = CheckpointFolder(self.folder / "checkpoints").list_complete()
        return complete[-1].step if complete else None

    def execute(self, store: ResultStore, restart: bool = False) -> dict[str, Any]:
        """Train, write the row and the curves, and return the outcome. A failure is recorded as a row, then raised.

        restart: discard the results of an earlier training. Raises UserError, without discarding anything, if another process
        is working on the run.
        """
        store = RetryingStore(store.uri)
        with store.lease([self.plan.run_id]) as lease:
            if self.plan.run_id in lease.refused:
                raise UserError(f"{self.plan.title}: {lease.refused[self.plan.run_id]} is already working on this run")
            if restart:
                shutil.rmtree(self.folder, ignore_errors=True)
            # Determine the attempt number under the lease: its previous holder may have written an attempt.
            outcome = self._train_and_record(store, store.next_attempt(self.plan.run_id))
            if lost := lease.describe_lost_runs():
                to_stderr(lost)
            return outcome

    def _train_and_record(self, store: ResultStore, attempt: int) -> dict[str, Any]:
        # The device and memory of this process are not those of the training.
        outcome = Outcome(started_at=datetime.now(UTC), device="", peak_ram_mb=0.0, peak_gpu_mb=0.0)
        prepare_data([self.plan])
        try:
            summary = train(self.plan.job, self.folder.parent / "ray")
        except (UserError, DivergedError, MemoryError, RuntimeError) as error:
            outcome.status, outcome.error = status_of(error), str(error)
            self._write(store, attempt, outcome, {})
            raise UserError(f"{self.plan.title}: {outcome.status}: {error}") from error
        best = CheckpointFolder(self.folder / "checkpoints").best()
        outcome.train_s, outcome.steps, outcome.cut_short = summary.seconds, summary.steps, summary.cut_short
        outcome.device, outcome.parameters = summary.device, summary.parameters
        outcome.peak_ram_mb, outcome.peak_gpu_mb = summary.peak_ram_mb, summary.peak_gpu_mb
        outcome.checkpoint_uri = store_checkpoint(best.folder, store, self.plan.run_id) if best else ""
        self._write(store, attempt, outcome, summary.metrics)
        return self._summarise(summary, outcome)

    def _summarise(self, summary: TrainingSummary, outcome: Outcome) -> dict[str, Any]:
        return {
            "run_id": self.plan.run_id,
            "steps": summary.steps,
            "seconds": summary.seconds,
            "cut_short": summary.cut_short,
            "metrics": summary.metrics,
            "checkpoint": outcome.checkpoint_uri,
        }

    def _write(self, store: ResultStore, attempt: int, outcome: Outcome, metrics: dict[str, float]) -> None:
        run_id = self.plan.run_id
        curves = curve_rows(run_id, attempt, curves_of(self.folder))
        rows = [MetricRow(run_id, attempt, "", name, value, "", "down") for name, value in metrics.items()]
        store.write_attempt(run_row(self.plan, attempt, "training", outcome), rows, curves)


def plan_training(composed: ComposedRun, work: Path) -> TrainingRun:
    """Plan a training run, including its id."""
    return TrainingRun(plan_run(composed, work))
