"""Optuna's tree-structured Parzen estimator with an ask-and-tell interface.

Ray's OptunaSearch is not used, because it can take in trials of an earlier session only with a single objective and no
conditions, and otherwise needs a pickle; and it treats the last value of a trial stopped by a scheduler as that of a finished
trial.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna

from deep3dmap.tune.domains import Choice, Domain, Integers, Numbers
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective
from deep3dmap.tune.options import OptunaOptions
from deep3dmap.tune.search_space import SearchSpace


class OptunaSearch:
    """TPE. Optuna does not support lists as values, so choices are represented by their index among the options."""

    def __init__(
        self, space: SearchSpace, options: OptunaOptions, objectives: Sequence[Objective], seed: int, tried: int = 0
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.space, self.objectives = space, objectives
        with warnings.catch_warnings():
            # Optuna warns that these options are experimental.
            warnings.simplefilter("ignore")
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=options.startup,
                multivariate=options.multivariate,
                group=options.multivariate and space.is_conditional,
                constant_liar=options.constant_liar,
                seed=int(np.random.SeedSequence([seed, tried]).generate_state(1)[0]),
            )
        self.study = optuna.create_study(sampler=sampler, directions=["minimize"] * len(objectives))
        self._asked: dict[int, Any] = {}

    def ask(self, number: int) -> dict[str, Any]:
        """Propose a point."""
        trial = self.study.ask()
        self._asked[number] = trial
        return self.space.build(lambda key, domain: _suggest(trial, key, domain))

    def tell(self, record: TrialRecord) -> None:
        """Record a finished trial; one stopped early is recorded as pruned, with its progress and value at that point."""
        losses = [objective.loss(record.chosen) for objective in self.objectives]
        good = record.status in ("ok", "stopped") and all(map(math.isfinite, losses))
        state = optuna.trial.TrialState.COMPLETE if good else optuna.trial.TrialState.FAIL
        pruned = good and record.status == "stopped" and len(losses) == 1
        if pruned:
            state = optuna.trial.TrialState.PRUNED
        progress = int(record.evaluations[-1].get("progress", 100)) if record.evaluations else 0
        asked = self._asked.pop(record.number, None)
        if asked is not None:
            if pruned:
                asked.report(losses[0], progress)
            self.study.tell(asked, None if pruned or not good else losses, state=state)
            return
        if not self.space.contains(record.values):
            # The run's own settings may be outside the space, in which case they cannot be recorded.
            return
        distributions = {key: _distribution(self.space.parameters[key].domain) for key in record.values}
        known = {key: _known(self.space.parameters[key].domain, value) for key, value in record.values.items()}
        past = optuna.trial.create_trial(
            state=state,
            values=losses if good and not pruned else None,
            params=known,
            distributions=distributions,
            intermediate_values={progress: losses[0]} if pruned else {},
        )
        self.study.add_trial(past)


def _suggest(trial: Any, key: str, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return domain.options[trial.suggest_categorical(key, list(range(len(domain.options))))]
    if isinstance(domain, Integers):
        return trial.suggest_int(key, domain.low, domain.high, log=domain.log)
    drawn = trial.suggest_float(key, domain.low, domain.high, log=domain.log, step=domain.step or None)
    return domain.rounded(drawn)


def _distribution(domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return optuna.distributions.CategoricalDistribution(list(range(len(domain.options))))
    if isinstance(domain, Integers):
        return optuna.distributions.IntDistribution(domain.low, domain.high, log=domain.log)
    return optuna.distributions.FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step or None)


def _known(domain: Domain, value: Any) -> Any:
    if isinstance(domain, Choice):
        return next(i for i, option in enumerate(domain.options) if repr(option) == repr(value))
    if isinstance(domain, Numbers):
        # The run's own value may be off the grid of a quantised range.
        return domain.from_unit(domain.to_unit(value)) if domain.step else float(value)
    return value
