"""Tune callback that reports the start and end of the runs of a benchmark."""

import time
from collections.abc import Sequence
from typing import Any

from ray import tune

from deep3dmap.bench.finished import Finished, Follower
from deep3dmap.runs.run_plan import RunPlan


class RunReporter(tune.Callback):
    """Converts Tune's callbacks to calls of `follow(event, what, done, total)` with the events "started" and "ended"."""

    def __init__(self, plans: Sequence[RunPlan], follow: Follower) -> None:
        self.plans, self.follow = plans, follow
        self.finished: list[Finished] = []
        self._began: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks, and a terminal listener cannot be pickled.
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report that a run has started or restarted."""
        plan = self.plans[trial.config["run"]]
        self._began.setdefault(plan.run_id, time.monotonic())
        self.follow("started", plan, len(self.finished), len(self.plans))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Report the outcome of a run, unless it was stopped before it started and so has no result."""
        if "status" in (trial.last_result or {}):
            self.ended(self.plans[trial.config["run"]], trial.last_result)

    @property
    def ended_ids(self) -> set[str]:
        """Ids of the runs that have ended."""
        return {finished.plan.run_id for finished in self.finished}

    def ended(self, plan: RunPlan, result: dict[str, Any]) -> None:
        """Store the outcome of a run and report it."""
        now = time.monotonic()
        seconds = now - self._began.get(plan.run_id, now)
        outcome = Finished(plan, result["status"], result["headline"], result["error"], seconds)
        self.finished.append(outcome)
        self.follow("ended", outcome, len(self.finished), len(self.plans))
