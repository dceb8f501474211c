"""What Ray Tune asks of a searcher and tells a callback, handed on to the monitor. Imported once Ray's environment is set."""

from typing import Any

from ray import tune
from ray.tune.search import Searcher as RaySearcher

from deep3dmap.tune.monitor import SweepMonitor
from deep3dmap.tune.sweep_trial import EVALUATION


class Searcher(RaySearcher):
    """Hands Tune the monitor's next trial. What Tune would keep of it is kept in the journal."""

    def __init__(self, monitor: SweepMonitor) -> None:
        super().__init__(metric=None, mode=None)
        self.monitor = monitor

    def set_search_properties(self, metric: Any, mode: Any, config: dict[str, Any], **spec: Any) -> bool:
        """The space is the sweep's own."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial's configuration."""
        record = self.monitor.next_trial()
        return RaySearcher.FINISHED if record is None else {"trial": record.number, **record.values}

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The listener hears of it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing is kept by Tune."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is kept by Tune."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class Listener(tune.Callback):
    """Tells the monitor how the trials fare."""

    def __init__(self, monitor: SweepMonitor) -> None:
        self.monitor = monitor

    def __getstate__(self) -> dict[str, Any]:
        # Tune writes its callbacks to disk, and a listener on a terminal cannot be written.
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial's process begins."""
        values = {key: value for key, value in trial.config.items() if key != "trial"}
        self.monitor.started(trial.config["trial"], values)

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
        """A trial has reported."""
        if "status" not in result and result.get(EVALUATION):
            self.monitor.evaluated(trial.config["trial"], dict(result[EVALUATION]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial is over. One that a scheduler set aside and did not take up again has no last word."""
        last = dict(trial.last_result or {})
        evaluation = dict(last.get(EVALUATION) or {})
        self.monitor.ended(trial.config["trial"], str(last.get("status", "stopped")), str(last.get("error", "")), evaluation)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A trial was lost more often than it may be started again."""
        self.monitor.ended(trial.config["trial"], "failed", str(trial.get_error() or "the trial's process was lost"), {})
