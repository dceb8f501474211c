"""Tune callback that reports when the runs of a benchmark start and end."""

import time
from collections.abc import Sequence
from typing import Any

from ray import tune

from deep3dmap.bench.finished import Finished, Follower
from deep3dmap.runs.run_plan import RunPlan


class RunReporter(tune.Callback):
    """Turns Tune's callbacks into `follow(event, what, done, total)` with the events "started" and "ended"."""

    def __init__(self, plans: Sequence[RunPlan], follow: Follower) -> None:
        self.plans, self.follow = plans, follow
        self.finished: list[Finished] = []
        self._began: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        # Tune writes its callbacks to disk, and a listener on a terminal cannot be written.
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say that a run has begun, or has begun again."""
        plan = self.plans[trial.config["run"]]
        self._began.setdefault(plan.run_id, time.monotonic())
        self.follow("started", plan, len(self.finished), len(self.plans))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Say how a run ended; one that was stopped before it began has no result."""
        if "status" in (trial.last_result or {}):
            self.ended(self.plans[trial.config["run"]], trial.last_result)

    @property
    def ended_ids(self) -> set[str]:
        """The ids of the runs that have ended."""
        return {finished.plan.run_id for finished in self.finished}

    def ended(self, plan: RunPlan, result: dict[str, Any]) -> None:
        """Keep the outcome of a run and tell it."""
        now = time.monotonic()
        seconds = now - self._began.get(plan.run_id, now)
        outcome = Finished(plan, result["status"], result["headline"], result["error"], seconds)
        self.finished.append(outcome)
        self.follow("ended", outcome, len(self.finished), len(self.plans))
