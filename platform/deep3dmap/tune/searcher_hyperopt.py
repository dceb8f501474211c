"""HyperOpt's tree-structured Parzen estimator with an ask-and-tell interface.

Ray's HyperOptSearch is not used, because it cannot take in trials of an earlier session except from a pickle, and treats a
non-finite loss as a value.
"""

import math
from functools import partial
from typing import Any

import hyperopt
import numpy as np
from hyperopt import hp

from deep3dmap.tune.domains import Choice, Domain, Integers
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective
from deep3dmap.tune.options import HyperOptOptions
from deep3dmap.tune.search_space import SearchSpace


class HyperOptSearch:
    """TPE over a flat space: inactive parameters are proposed as well, and then dropped."""

    def __init__(self, space: SearchSpace, options: HyperOptOptions, objective: Objective, seed: int) -> None:
        self.space, self.objective, self.seed = space, objective, seed
        expression = {key: _expression(key, parameter.domain) for key, parameter in space.parameters.items()}
        self.domain = hyperopt.Domain(lambda point: point, expression)
        self.trials = hyperopt.Trials()
        self.suggest = partial(hyperopt.tpe.suggest, n_startup_jobs=options.startup, gamma=options.gamma, verbose=False)
        self._asked: dict[int, dict[str, Any]] = {}

    def ask(self, number: int) -> dict[str, Any]:
        """Propose a point."""
        ids = self.trials.new_trial_ids(1)
        self.trials.refresh()
        draw = int(np.random.default_rng([self.seed, number]).integers(2**31 - 1))
        document = self.suggest(ids, self.domain, self.trials, draw)[0]
        self.trials.insert_trial_doc(document)
        self.trials.refresh()
        self._asked[number] = next(trial for trial in self.trials._dynamic_trials if trial["tid"] == ids[0])
        raw = {key: value[0] for key, value in document["misc"]["vals"].items()}
        return self.space.prune({key: _value(p.domain, raw[key]) for key, p in self.space.parameters.items()})

    def tell(self, record: TrialRecord) -> None:
        """Record a finished trial."""
        loss = self.objective.loss(record.chosen)
        good = record.status in ("ok", "stopped") and math.isfinite(loss)
        document = self._asked.pop(record.number, None) or self._past(record)
        if document is None:
            return
        document["state"] = hyperopt.JOB_STATE_DONE if good else hyperopt.JOB_STATE_ERROR
        document["result"] = {"loss": loss, "status": hyperopt.STATUS_OK} if good else {"status": hyperopt.STATUS_FAIL}
        self.trials.refresh()

    def _past(self, record: TrialRecord) -> dict[str, Any] | None:
        if not self.space.contains(record.values):
            return None
        (tid,) = self.trials.new_trial_ids(1)
        raw = {key: _raw(self.space.parameters[key].domain, value) for key, value in record.values.items()}
        misc = {
            "tid": tid,
            "cmd": self.domain.cmd,
            "workdir": self.domain.workdir,
            "idxs": {key: [tid] if key in raw else [] for key in self.space.parameters},
            "vals": {key: [raw[key]] if key in raw else [] for key in self.space.parameters},
        }
        self.trials.insert_trial_docs(self.trials.new_trial_docs([tid], [None], [{"status": hyperopt.STATUS_NEW}], [misc]))
        self.trials.refresh()
        return next(trial for trial in self.trials._dynamic_trials if trial["tid"] == tid)


def _expression(key: str, domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return hp.choice(key, list(range(len(domain.options))))
    if isinstance(domain, Integers):
        if domain.log:
            return hp.qloguniform(key, math.log(domain.low), math.log(domain.high), 1)
        return hp.quniform(key, domain.low, domain.high, 1)
    if domain.step:
        return hp.quniform(key, domain.low, domain.high, domain.step)
    return (
        hp.loguniform(key, math.log(domain.low), math.log(domain.high))
        if domain.log
        else hp.uniform(key, domain.low, domain.high)
    )


def _value(domain: Domain, raw: Any) -> Any:
    if isinstance(domain, Choice):
        return domain.options[int(raw)]
    if isinstance(domain, Integers):
        return min(max(round(float(raw)), domain.low), domain.high)
    return domain.rounded(float(raw))


def _raw(domain: Domain, value: Any) -> Any:
    return domain.options.index(value) if isinstance(domain, Choice) else value
