"""Ends an experiment whose trials have lost, for good, the resources they wait for."""

import time
from collections.abc import Callable
from typing import Any

from ray import tune

PENDING, RUNNING = "PENDING", "RUNNING"


class PlacementWatch(tune.Callback):
    """Looks at the trials of an experiment. Tune itself waits for ever for a node that is gone.

    lacking: why a trial's configuration can no longer be placed, "" while it can. What other jobs hold may come free, so a
    cluster that is merely busy is waited for.
    """

    def __init__(self, lacking: Callable[[dict[str, Any]], str], patience_s: float, look_every_s: float = 2.0) -> None:
        self._lacking, self._patience_s, self._look_every_s = lacking, patience_s, look_every_s
        self._looked = self._lacking_since = 0.0
        self.reasons: dict[int, str] = {}
        self.given_up = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune writes its callbacks to disk; this one has nothing to keep.
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Look, every few seconds."""
        now = time.monotonic()
        if now - self._looked < self._look_every_s:
            return
        self._looked = now
        waiting = [trial for trial in trials if trial.status == PENDING]
        idle = waiting and not any(trial.status == RUNNING for trial in trials)
        self.reasons = {trial.config["run"]: self._lacking(trial.config) for trial in waiting} if idle else {}
        if not self.reasons or not all(self.reasons.values()):
            self._lacking_since = 0.0
            return
        self._lacking_since = self._lacking_since or now
        self.given_up = now - self._lacking_since >= self._patience_s


class EndWhenGivenUp(tune.Stopper):
    """Stops all trials once their watch has given up."""

    def __init__(self, watch: PlacementWatch) -> None:
        self.watch = watch

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """No single trial is stopped."""
        return False

    def stop_all(self) -> bool:
        """Whether to stop."""
        return self.watch.given_up
