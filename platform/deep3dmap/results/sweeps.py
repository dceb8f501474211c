"""The trials of a sweep from the result tables: settings, objective, cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from deep3dmap.results.rank_correlation import rank_correlation
from deep3dmap.results.settings import find_differing, settings_of


@dataclass(frozen=True)
class Trial:
    """One trial. number: by start time, from 1. settings: those that differ between trials. value: None if not scored."""

    run_id: str
    number: int
    status: str
    settings: dict[str, Any]
    value: float | None
    seconds: float
    memory_mb: float


@dataclass(frozen=True)
class Sweep:
    """All trials of a sweep, ordered by start time. parameters: the names of the settings that differ."""

    metric: str
    unit: str
    better: str
    parameters: list[str]
    trials: list[Trial]

    def loss(self, trial: Trial) -> float:
        """Return a trial's value, negated if higher is better; infinite if it has none."""
        if trial.value is None:
            return float("inf")
        return -trial.value if self.better == "up" else trial.value

    @property
    def best(self) -> Trial | None:
        """The best of the successful trials, None if there is none."""
        ended = [trial for trial in self.trials if trial.status == "ok" and trial.value is not None]
        return min(ended, key=self.loss, default=None)

    def importance(self) -> dict[str, float]:
        """Return {parameter: absolute rank correlation with the objective} (Spearman 1904), largest first.

        Text settings have no order and are left out, and so are parameters with fewer than four trials that have a value.
        """
        found = {}
        for name in self.parameters:
            having = [trial for trial in self.trials if trial.value is not None and is_number(trial.settings.get(name))]
            strength = rank_correlation(
                [float(trial.settings[name]) for trial in having], [self.loss(trial) for trial in having]
            )
            if strength is not None:
                found[name] = strength
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def is_number(value: Any) -> bool:
    """Return whether a setting is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def sweep_of(runs: pd.DataFrame, metrics: pd.DataFrame, metric: str) -> Sweep:
    """Return the sweep with the given runs as trials. metrics: rows of these runs, averaged over scenes."""
    own = runs.sort_values("started_at", kind="stable")
    scored = metrics[metrics.metric == metric]
    values: dict[Any, float] = scored.groupby("run_id").value.mean().to_dict()
    settings: Sequence[dict[str, Any]] = [settings_of(config) for config in own.config]
    parameters = find_differing(list(settings))
    trials = [
        Trial(
            run_id=str(run.run_id),
            number=number,
            status=str(run.status),
            settings={name: flat[name] for name in parameters if name in flat},
            value=values[run.run_id] if np.isfinite(values.get(run.run_id, np.nan)) else None,
            seconds=float(run.train_s),
            memory_mb=float(run.peak_gpu_mb or run.peak_ram_mb),
        )
        for number, ((_, run), flat) in enumerate(zip(own.iterrows(), settings), 1)
    ]
    unit, better = (str(next(iter(scored[name]), "")) for name in ("unit", "better"))
    return Sweep(metric, unit, better, parameters, trials)
