"""Importance of the parameters of a sweep."""

import importlib.util
import math
import warnings
from collections.abc import Mapping, Sequence

from deep3dmap.results.rank_correlation import FEWEST_TRIALS, rank_correlation
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective
from deep3dmap.tune.options import OptunaOptions
from deep3dmap.tune.search_space import SearchSpace


def importance(space: SearchSpace, records: Sequence[TrialRecord], objective: Objective) -> tuple[dict[str, float], str]:
    """Return {key: share of the total importance}, largest first, and the method used; empty if there are too few trials.

    With Optuna: PED-ANOVA (Watanabe et al., IJCAI 2023), which measures what distinguishes the best trials from the others.
    Without Optuna: the absolute rank correlation of each parameter with the objective (Spearman 1904).
    """
    usable = [r for r in records if r.status in ("ok", "stopped") and math.isfinite(objective.value(r.chosen))]
    usable = [r for r in usable if space.contains(r.values)]
    if len(usable) < FEWEST_TRIALS:
        return {}, f"fewer than {FEWEST_TRIALS} trials"
    if importlib.util.find_spec("optuna"):
        return _sorted(_ped_anova(space, usable, objective)), "PED-ANOVA over all trials (Optuna)"
    return _sorted(rank_correlations(space, usable, objective)), "absolute Spearman rank correlation over all trials"


def rank_correlations(space: SearchSpace, records: Sequence[TrialRecord], objective: Objective) -> dict[str, float]:
    """Return {key: absolute rank correlation with the objective}; 0 for a parameter that never varied."""
    found = {}
    for key, parameter in space.parameters.items():
        with_key = [r for r in records if key in r.values]
        positions = [parameter.domain.to_unit(r.values[key]) for r in with_key]
        losses = [objective.loss(r.chosen) for r in with_key]
        found[key] = rank_correlation(positions, losses) or 0.0
    return found


def _ped_anova(space: SearchSpace, records: Sequence[TrialRecord], objective: Objective) -> dict[str, float]:
    import optuna

    from deep3dmap.tune.searcher_optuna import OptunaSearch

    search = OptunaSearch(space, OptunaOptions(), [objective], 0)
    for record in records:
        search.tell(TrialRecord(record.number, record.values, status="ok", evaluations=[record.chosen]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = optuna.importance.get_param_importances(search.study)
    return {key: float(values.get(key, 0.0)) for key in space.parameters}


def _sorted(values: Mapping[str, float]) -> dict[str, float]:
    total = sum(values.values())
    shares = {key: value / total if total > 0 else 0.0 for key, value in values.items()}
    return dict(sorted(shares.items(), key=lambda item: -item[1]))
