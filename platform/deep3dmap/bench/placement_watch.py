"""Stops an experiment whose pending trials can never get the resources they need."""

import time
from collections.abc import Callable
from typing import Any

from ray import tune

PENDING, RUNNING = "PENDING", "RUNNING"


class PlacementWatch(tune.Callback):
    """Monitors the trials of an experiment, because Tune itself waits indefinitely for a lost node.

    lacking: returns why a trial with a given configuration can no longer be placed, or "" if it can. Resources in use by other
    jobs count as available, so a busy cluster is waited for.
    """

    def __init__(self, lacking: Callable[[dict[str, Any]], str], patience_s: float, check_interval_s: float = 2.0) -> None:
        self._lacking, self._patience_s, self._check_interval_s = lacking, patience_s, check_interval_s
        self._last_check = self._lacking_since = 0.0
        self.reasons: dict[int, str] = {}
        self.given_up = False

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks; this one has no state to save.
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Check the trials every few seconds."""
        now = time.monotonic()
        if now - self._last_check < self._check_interval_s:
            return
        self._last_check = now
        waiting = [trial for trial in trials if trial.status == PENDING]
        idle = waiting and not any(trial.status == RUNNING for trial in trials)
        self.reasons = {trial.config["run"]: self._lacking(trial.config) for trial in waiting} if idle else {}
        if not self.reasons or not all(self.reasons.values()):
            self._lacking_since = 0.0
            return
        self._lacking_since = self._lacking_since or now
        self.given_up = now - self._lacking_since >= self._patience_s


class PlacementTimeoutStopper(tune.Stopper):
    """Stops all trials once their watch has given up."""

    def __init__(self, watch: PlacementWatch) -> None:
        self.watch = watch

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return False: trials are not stopped individually."""
        return False

    def stop_all(self) -> bool:
        """Return whether to stop all trials."""
        return self.watch.given_up
