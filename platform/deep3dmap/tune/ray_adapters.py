"""Adapters that connect the monitor to Ray Tune as a searcher and a callback. Import only after Ray's environment is set."""

from typing import Any

from ray import tune
from ray.tune.search import Searcher as RaySearcher

from deep3dmap.tune.monitor import SweepMonitor
from deep3dmap.tune.sweep_trial import EVALUATION


class Searcher(RaySearcher):
    """Passes the monitor's next trial to Tune. State is kept in the journal, not by Tune."""

    def __init__(self, monitor: SweepMonitor) -> None:
        super().__init__(metric=None, mode=None)
        self.monitor = monitor

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        """Ignore Tune's search space, as the sweep has its own."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's configuration."""
        record = self.monitor.next_trial()
        return RaySearcher.FINISHED if record is None else {"trial": record.number, **record.values}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """Do nothing; `Listener` handles the event."""

    def save(self, checkpoint_path: str) -> None:
        """Do nothing; the journal stores the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Do nothing; the journal stores the state."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Listener(tune.Callback):
    """Forwards the events of the trials to the monitor."""

    def __init__(self, monitor: SweepMonitor) -> None:
        self.monitor = monitor

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its callbacks to disk, which is not possible for one attached to a terminal.
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Handle the start of a trial's process."""
        values = {key: value for key, value in trial.config.items() if key != "trial"}
        self.monitor.started(trial.config["trial"], values)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """Handle a trial's report."""
        if "status" not in result and result.get(EVALUATION):
            self.monitor.evaluated(trial.config["trial"], dict(result[EVALUATION]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Handle the end of a trial. One that a scheduler paused and never resumed has no final report."""
        last = dict(trial.last_result or {})
        evaluation = dict(last.get(EVALUATION) or {})
        self.monitor.ended(trial.config["trial"], str(last.get("status", "stopped")), str(last.get("error", "")), evaluation)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Handle the loss of a trial that may not be restarted again."""
        self.monitor.ended(trial.config["trial"], "failed", str(trial.get_error() or "the trial's process was lost"), {})
