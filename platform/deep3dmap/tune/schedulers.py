"""Schedulers that stop trials early or change them: Ray Tune's, modified to ask a trial to stop instead of killing it.

Time is measured in percent of the budget, whether that is in steps, epochs or seconds. Import only after Ray's environment
is set.
"""

import importlib.util
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
)

from deep3dmap.core.errors import UserError
from deep3dmap.tune.domains import Choice, Numbers
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective
from deep3dmap.tune.options import TuneOptions
from deep3dmap.tune.search_space import SearchSpace

TIME = "progress"
# Beyond the progress of any trial: Ray would kill a trial that reached it.
OUT_OF_REACH = 1000


class CooperativeStopping:
    """Mixin that turns a scheduler's STOP into a request, which the trial follows when its report returns.

    ask_to_stop(number): makes the request. is_protected(number): whether a trial must not be stopped.
    """

    ask_to_stop: Callable[[int], None]
    is_protected: Callable[[int], bool]

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide as the scheduler does, but never kill a trial."""
        number = trial.config["trial"]
        # Neither a final report nor a report of a trial that was asked to stop is an evaluation.
        if "status" in result or number in self._asked:
            return FIFOScheduler.CONTINUE
        decision: str = super().on_trial_result(controller, trial, result)  # type: ignore[misc]
        if decision != FIFOScheduler.STOP:
            return decision
        if not self.is_protected(number):
            self._asked.add(number)
            self.ask_to_stop(number)
        return FIFOScheduler.CONTINUE

    def set_callbacks(self, ask_to_stop: Callable[[int], None], is_protected: Callable[[int], bool]) -> "CooperativeStopping":
        """Set the callbacks; returns self."""
        self.ask_to_stop, self.is_protected, self._asked = ask_to_stop, is_protected, set[int]()
        return self

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its scheduler to disk, but a sweep is resumed from its own journal.
        return {}


class NoEarlyStopping(CooperativeStopping, FIFOScheduler):
    """Stops no trial early."""


class Asha(CooperativeStopping, AsyncHyperBandScheduler):
    """Asynchronous successive halving."""


class HyperBand(CooperativeStopping, HyperBandScheduler):
    """Synchronous HyperBand."""


class Median(CooperativeStopping, MedianStoppingRule):
    """The median stopping rule."""


class PopulationMixin(CooperativeStopping):
    """Mixin for population schedulers, which reject a searcher although ours only passes on decided configurations."""

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        """Accept a trial regardless of who proposed it."""
        super().on_trial_add(SimpleNamespace(search_alg=None), trial)  # type: ignore[misc]

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        # A trial that copies another's settings keeps its own number.
        config, operations = super()._get_new_config(trial, trial_to_clone)  # type: ignore[misc]
        return {**config, "trial": trial.config["trial"]}, operations


class Population(PopulationMixin, PopulationBasedTraining):
    """Population based training."""


def build_scheduler(
    options: TuneOptions,
    space: SearchSpace,
    objective: Objective,
    ask_to_stop: Callable[[int], None],
    is_protected: Callable[[int], bool],
) -> Any:
    """Build the scheduler; raises UserError if its library is missing or it does not support the search space."""
    objective_kwargs: dict[str, Any] = {
        "time_attr": TIME,
        "metric": objective.key,
        "mode": "min" if objective.better == "down" else "max",
    }
    name = options.scheduler
    scheduler: Any
    if name == "none":
        scheduler = NoEarlyStopping()
    elif name == "asha":
        scheduler_options = options.asha
        rungs: dict[str, Any] = {
            "grace_period": scheduler_options.grace,
            "reduction_factor": scheduler_options.reduction,
            "brackets": scheduler_options.brackets,
        }
        scheduler = Asha(**objective_kwargs, max_t=OUT_OF_REACH, **rungs)
    elif name == "hyperband":
        scheduler = HyperBand(**objective_kwargs, max_t=100, reduction_factor=options.hyperband.reduction)
    elif name == "median":
        # A long time slice, so that trials are not paused while there is too little to compare them with.
        median_options: dict[str, Any] = {"grace_period": options.median.grace, "min_samples_required": options.median.required}
        scheduler = Median(**objective_kwargs, min_time_slice=OUT_OF_REACH, **median_options)
    elif name == "pbt":
        scheduler = _population(options, space, objective_kwargs)
    else:
        scheduler = _bandits(options, space, objective_kwargs)
    return scheduler.set_callbacks(ask_to_stop, is_protected)


def replay(scheduler: Any, records: list[TrialRecord]) -> None:
    """Feed the trials of an earlier session to a new scheduler, for comparison. Only for asynchronous schedulers."""
    if not isinstance(scheduler, Asha | Median):
        return
    for record in records:
        finished_trial: Any = SimpleNamespace(
            trial_id=f"past-{record.number}", config={"trial": record.number}, status="TERMINATED"
        )
        inner: Any = super(CooperativeStopping, scheduler)
        inner.on_trial_add(None, finished_trial)
        for evaluation in record.evaluations:
            inner.on_trial_result(SimpleNamespace(get_live_trials=list), finished_trial, dict(evaluation))


def _population(options: TuneOptions, space: SearchSpace, objective_kwargs: dict[str, Any]) -> Any:
    _check_population(options, space)
    mutations = {
        key: list(p.domain.options) if isinstance(p.domain, Choice) else p.domain.to_tune()
        for key, p in space.parameters.items()
    }
    scheduler_options = options.pbt
    return Population(
        **objective_kwargs,
        perturbation_interval=scheduler_options.every,
        quantile_fraction=scheduler_options.quantile,
        resample_probability=scheduler_options.resample,
        hyperparam_mutations=mutations,
        custom_explore_fn=lambda config: clamp_to_bounds(space, config),
        log_config=False,
    )


def _bandits(options: TuneOptions, space: SearchSpace, objective_kwargs: dict[str, Any]) -> Any:
    _check_population(options, space)
    if importlib.util.find_spec("sklearn") is None:
        raise UserError(
            "tune.scheduler=pb2 needs the package 'scikit-learn'; pip install scikit-learn, or use tune.scheduler=pbt"
        )
    unsupported = [key for key, p in space.parameters.items() if not isinstance(p.domain, Numbers)]
    if unsupported:
        raise UserError(f"tune.scheduler=pb2 varies real numbers only, which {unsupported[0]} is not; use tune.scheduler=pbt")
    from ray.tune.schedulers.pb2 import PB2

    class Bandits(PopulationMixin, PB2):
        """Population based bandits."""

    bounds: dict[str, Any] = {
        key: [p.domain.low, p.domain.high] for key, p in space.parameters.items() if isinstance(p.domain, Numbers)
    }
    scheduler_options = options.pb2
    return Bandits(
        **objective_kwargs,
        perturbation_interval=scheduler_options.every,
        quantile_fraction=scheduler_options.quantile,
        hyperparam_bounds=bounds,
        custom_explore_fn=lambda config: clamp_to_bounds(space, config),
        log_config=False,
    )


def clamp_to_bounds(space: SearchSpace, config: dict[str, Any]) -> dict[str, Any]:
    """Clamp perturbed settings to their bounds."""
    clamped = dict(config)
    for key, parameter in space.parameters.items():
        domain = parameter.domain
        if not isinstance(domain, Choice):
            clamped[key] = domain.from_unit(min(max(domain.to_unit(max(clamped[key], domain.low)), 0.0), 1.0))
    return clamped


def _check_population(options: TuneOptions, space: SearchSpace) -> None:
    if space.is_conditional:
        raise UserError(f"tune.scheduler={options.scheduler} changes settings during training, so none may have a condition")
    fixed = [key for key in space.parameters if key.startswith("trainer.max_") or key.startswith("dataset.")]
    if fixed:
        raise UserError(f"tune.scheduler={options.scheduler}: {fixed[0]} cannot change during training; remove it")
