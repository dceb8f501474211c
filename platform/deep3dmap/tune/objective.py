"""Objectives of a sweep: metrics of the validation split, seconds and memory. The test split is not accessible."""

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core.dataset import Dataset, Split
from deep3dmap.core.errors import UserError, unknown
from deep3dmap.core.method import Method
from deep3dmap.core.registry import suites
from deep3dmap.frameworks import TrainLoop
from deep3dmap.runs.scoring import Scoring, scene_names, score
from deep3dmap.train.scene_fits import SceneFits
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.options import OBJECTIVES, TuneOptions

VALIDATION = "val"


@dataclass(frozen=True)
class Objective:
    """An objective, one number of each evaluation. better: "down" or "up"."""

    title: str
    key: str
    better: str
    unit: str = ""

    def value(self, evaluation: Mapping[str, float]) -> float:
        """Return the value in an evaluation, NaN if it is missing."""
        return float(evaluation.get(self.key, math.nan))

    def loss(self, evaluation: Mapping[str, float]) -> float:
        """Return the value with its sign chosen so that lower is better."""
        return self.value(evaluation) * (1 if self.better == "down" else -1)


def objectives_of(options: TuneOptions) -> tuple[Objective, ...]:
    """Return the objectives, quality first; raises UserError for unknown ones."""
    for name in options.objectives:
        if name not in OBJECTIVES:
            raise unknown("objective", name, OBJECTIVES)
    if "quality" not in options.objectives:
        raise UserError("tune.objectives: quality must be among them, e.g. tune.objectives=[quality,seconds]")
    costs = {
        "seconds": Objective("seconds", "seconds", "down", "s"),
        "memory": Objective("memory", "memory_mb", "down", "MB"),
    }
    return (_quality(options), *(costs[name] for name in dict.fromkeys(options.objectives) if name != "quality"))


def _quality(options: TuneOptions) -> Objective:
    name, modes = options.metric, {"min": "down", "max": "up"}
    if "/" not in name:
        return Objective(name, name, modes[options.mode or "min"])
    suite, _, metric = name.partition("/")
    card = suites.load(suite).card
    known = {item.name: item for item in card.metrics}
    if metric not in known:
        raise unknown(f"metric of suite '{suite}'", metric, known)
    return Objective(metric, name, modes[options.mode] if options.mode else known[metric].better, known[metric].unit)


class ValidationView:
    """A view of a dataset that gives access to the validation split only."""

    def __init__(self, dataset: Dataset) -> None:
        self._open = dataset.split
        self.card = dataset.card

    def split(self, name: str) -> Split:
        """Return the validation split; raises PermissionError for any other."""
        if name != VALIDATION:
            raise PermissionError(f"a sweep may open the validation split only, not '{name}'")
        return self._open(VALIDATION)


@dataclass
class SuiteScorer:
    """Scores a method on the validation split as its suite does on the test split. name: SUITE/METRIC.

    fits: creates the object that fits a method to scenes from its current state, None for a method that is not fitted.
    """

    name: str
    view: ValidationView
    mapping: Mapping[str, str]
    scenes: int = 0
    fits: Callable[[Method, Path], SceneFits | None] | None = None

    def __call__(self, method: Method, loop: TrainLoop) -> dict[str, float]:
        """Return {SUITE/METRIC: value}, NaN if no sample has the metric. Rank 0 scores and shares the value with the others."""
        value = self.score(method, loop.seed) if loop.rank == 0 else 0.0
        return {self.name: loop.sum_over_workers({self.name: value})[self.name]}

    def score(self, method: Method, seed: int) -> float:
        """Reconstruct and evaluate the validation samples, leaving the method unchanged.

        Raises UserError if a scene fails.
        """
        suite, _, metric = self.name.partition("/")
        protocol = suites.load(suite)()
        split = protocol.scenes(self.view.split(VALIDATION))
        training = isinstance(method, torch.nn.Module) and method.training
        # A fit starts from the current weights, so fits of earlier evaluations must not be resumed.
        with tempfile.TemporaryDirectory(prefix="deep3dmap-fits-") as folder:
            fits = self.fits(method, Path(folder)) if self.fits else None
            scoring = Scoring(protocol, self.mapping, fits, None, seed, scene_names(split, self.scenes))
            scores = score(method, split, scoring)
            if fits:
                fits.restore()
        if isinstance(method, torch.nn.Module):
            torch.nn.Module.train(method, training)
        for scene, failure in scores.failed.items():
            raise UserError(f"scene {scene} of the validation split failed: {failure.error}")
        value = scores.value(metric)
        return math.nan if value is None else value


def best_of(records: Sequence[TrialRecord], objective: Objective) -> TrialRecord | None:
    """Return the trial with the best value, None if none has a value.

    Failed trials are excluded; trials stopped early are considered only if none was trained to the end.
    """
    scored = [r for r in records if r.status in ("ok", "stopped") and math.isfinite(objective.value(r.chosen))]
    scored = [r for r in scored if r.status == "ok"] or scored
    return min(scored, key=lambda r: (objective.loss(r.chosen), r.number)) if scored else None


def front_of(records: Sequence[TrialRecord], objectives: Sequence[Objective]) -> list[TrialRecord]:
    """Return the Pareto front, best quality first: the trials that are not dominated by any other.

    Only trials trained to the end are included: those stopped early are cheap only because they were stopped.
    """
    finished = [r for r in records if r.status == "ok" and all(math.isfinite(o.value(r.chosen)) for o in objectives)]
    if not finished:
        return []
    losses = np.array([[o.loss(r.chosen) for o in objectives] for r in finished])
    kept = [record for record, free in zip(finished, ~dominated(losses)) if free]
    return sorted(kept, key=lambda r: objectives[0].loss(r.chosen))


def dominated(losses: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N,) flags for (N, K) losses: another point is no worse in all objectives and better in at least one."""
    no_worse = (losses[:, None] <= losses[None]).all(-1)
    better = (losses[:, None] < losses[None]).any(-1)
    return np.asarray((no_worse & better).any(axis=0))


def plain(objectives: Sequence[Objective]) -> list[dict[str, Any]]:
    """Return the objectives as plain data."""
    return [{"title": o.title, "key": o.key, "better": o.better, "unit": o.unit} for o in objectives]
