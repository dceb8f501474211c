"""Monitors a sweep in its driver: keeps the journal, informs the searcher, writes rows, and decides when the sweep ends."""

import math
import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import pandas as pd

from deep3dmap.results.store import ResultStore
from deep3dmap.train.placement import gpus_per_worker
from deep3dmap.tune.journal import Journal, SweepState, TrialRecord
from deep3dmap.tune.objective import best_of
from deep3dmap.tune.plan import SweepPlan
from deep3dmap.tune.rows import write_trial
from deep3dmap.tune.searchers import Proposer

# The sweep is given up if this many trials fail before any succeeds.
GIVE_UP_AFTER = 3
ERROR_LINES = 30

# Called with the events "started", "evaluated" and "ended" and the trial, and with "finish" and None.
Follower = Callable[[str, TrialRecord | None, SweepState], None]


class SweepMonitor:
    """Handles the events of the trials of one sweep, independently of Ray."""

    def __init__(self, plan: SweepPlan, journal: Journal, proposer: Proposer, store: ResultStore, follow: Follower) -> None:
        self.plan, self.journal, self.proposer, self.store, self.follow = plan, journal, proposer, store, follow
        self.state = journal.state
        self.state.finish = ""
        self._before, self._began = self.state.spent, time.monotonic()
        recorded = _recorded_statuses(store, plan)
        for record in self.state.unfinished:
            # The driver died after writing the row and before writing the journal.
            if status := recorded.get(plan.trial_plan(record.number, record.values).run_id):
                self._write("ended", record.number, status=status, error="")
        for record in self.state.ended:
            proposer.tell(record)
        self._trials_to_resume = [record.number for record in self.state.unfinished]

    @cached_property
    def _gpus(self) -> float:
        """GPUs per trial; queried late, when the cluster is connected."""
        return gpus_per_worker(self.plan.run.job) * self.plan.run.job.trainer.workers

    @property
    def seconds(self) -> float:
        """Duration of the sweep so far in seconds, including earlier sessions."""
        return self._before + time.monotonic() - self._began

    def is_protected(self, number: int) -> bool:
        """Return whether a trial must not be stopped early, as holds for the default trial that others are compared with."""
        return self.state.trials[number].is_default and not self.state.finish

    def next_trial(self) -> TrialRecord | None:
        """Return the next trial to start: an unfinished one, the default, or a proposal; None if there is none."""
        if self.state.finish or self._check_limits():
            return None
        if self._trials_to_resume:
            return self.state.trials[self._trials_to_resume.pop(0)]
        number = len(self.state.trials)
        if number >= self.plan.options.trials:
            return None
        is_default = number == 0 and self.plan.starts_with_default
        values = self.plan.space.default() if is_default else self.proposer.ask(number)
        if values is None:
            return None
        self._write("created", number, values=values, default=is_default)
        return self.state.trials[number]

    def started(self, number: int, values: dict[str, Any]) -> None:
        """Handle the start of a trial's process, possibly a restart or with settings changed by a scheduler."""
        if values != self.state.trials[number].values:
            self._write("changed", number, values=values)
        self._write("started", number)
        run = self.plan.trial_plan(number, values)
        self.store.write_trial_state(run.run_id, "running", f"{self.plan.name}: trial {number}")
        self.follow("started", self.state.trials[number], self.state)

    def evaluated(self, number: int, metrics: dict[str, float]) -> None:
        """Handle an evaluation reported by a trial."""
        self._write("evaluated", number, metrics=metrics)
        self.follow("evaluated", self.state.trials[number], self.state)
        self._check_limits()

    def ended(self, number: int, status: str, error: str, metrics: dict[str, float]) -> None:
        """Handle the end of a trial; its row is written first, so that every trial marked as ended in the journal is stored.

        metrics: its last evaluation, which may not have been reported yet.
        """
        record = self.state.trials[number]
        if record.has_ended:
            return
        last = record.evaluations[-1] if record.evaluations else {}
        if metrics.get("step", -1) > last.get("step", -1):
            self._write("evaluated", number, metrics=metrics)
        record.status, record.error = status, "\n".join(error.splitlines()[-ERROR_LINES:])
        write_trial(self.store, self.plan, record)
        self._write("ended", number, status=record.status, error=record.error)
        self.proposer.tell(record)
        self.follow("ended", record, self.state)
        self._check_limits()

    def ask_to_stop(self, number: int) -> None:
        """Ask a trial to stop."""
        file = self.plan.stop_file(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    def finish(self, reason: str) -> None:
        """End the sweep: start no more trials and ask the running ones to stop."""
        if not self.state.finish:
            self._write("finish", None, reason=reason)
            for record in self.state.unfinished:
                self.ask_to_stop(record.number)
            self.follow("finish", None, self.state)

    def _check_limits(self) -> bool:
        reason = self._stop_reason()
        if reason and not self.state.finish:
            self.finish(reason)
        return bool(self.state.finish)

    def _stop_reason(self) -> str:
        options, ended = self.plan.options, self.state.ended
        if options.max_seconds and self.seconds >= options.max_seconds:
            return f"tune.max_seconds={options.max_seconds:g} is spent"
        if options.max_gpu_hours and self._gpu_hours() >= options.max_gpu_hours:
            return f"tune.max_gpu_hours={options.max_gpu_hours:g} is spent"
        failed = [record for record in ended if record.status not in ("ok", "stopped")]
        if len(failed) == len(ended) >= GIVE_UP_AFTER:
            return f"the first {len(failed)} trials failed: {failed[0].error.splitlines()[-1] if failed[0].error else ''}"
        if options.plateau and self._trials_since_improvement() >= options.plateau:
            return f"tune.plateau={options.plateau}: no better trial in the last {options.plateau}"
        return ""

    def _gpu_hours(self) -> float:
        return self._gpus * sum(record.seconds for record in self.state.trials.values()) / 3600

    def _trials_since_improvement(self) -> int:
        """Return the number of trials that have ended since the last improvement by more than the tolerance."""
        best, since = math.inf, 0
        for record in self.state.ended:
            loss = self.plan.quality.loss(record.chosen)
            if math.isinf(best) or loss < best - abs(best) * self.plan.options.tolerance:
                best, since = (loss, 0) if math.isfinite(loss) else (best, since + 1)
            else:
                since += 1
        return since

    def best(self) -> TrialRecord | None:
        """The best trial so far."""
        return best_of(self.state.ended, self.plan.quality)

    def _write(self, kind: str, number: int | None, **about: Any) -> None:
        self.journal.write(kind, number, at=round(self.seconds, 2), **about)


def _recorded_statuses(store: ResultStore, plan: SweepPlan) -> dict[str, str]:
    """Return {run id: status} of this sweep's trials in the store."""
    runs = store.runs()
    own = runs[(runs.suite == plan.run.suite) & (runs.started_at >= pd.Timestamp(plan.began, unit="s", tz="UTC"))]
    return dict(zip(own.run_id.astype(str), own.status.astype(str)))
