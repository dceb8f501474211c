"""Searchers: reproducible, complete, better than random, and unaffected by a resume."""

import math
from typing import Any

import numpy as np
import pytest

from deep3dmap.core import UserError
from deep3dmap.tune.importance import importance, rank_correlations
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective
from deep3dmap.tune.options import TuneOptions
from deep3dmap.tune.search_space import SearchSpace, parse_space
from deep3dmap.tune.searchers import Proposer, build_searcher

FIXED = {"optimizer.lr": 1e-3, "optimizer.name": "adam", "optimizer.momentum": 0.9, "method.width": 8}
QUALITY = Objective("loss", "loss", "down")


def space() -> SearchSpace:
    return parse_space(
        {
            "optimizer.lr": "loguniform(1e-5,1e-1)",
            "optimizer.name": "choice(adam, sgd)",
            "optimizer.momentum": "uniform(0,0.99) if optimizer.name == sgd",
            "method.width": "randint(2,16)",
        },
        FIXED,
    )


def loss(values: dict[str, Any]) -> float:
    """A loss that depends on the learning rate most, on the optimiser less, and on nothing else."""
    return (math.log10(values["optimizer.lr"]) + 3) ** 2 + 0.3 * (values["optimizer.name"] == "adam")


def record(number: int, values: dict[str, Any], status: str = "ok") -> TrialRecord:
    return TrialRecord(number, values, status=status, evaluations=[{"loss": loss(values), "progress": 100.0, "step": 10}])


def search(proposer: Proposer, count: int, begin: int = 0) -> list[TrialRecord]:
    records = []
    for number in range(begin, begin + count):
        values = proposer.ask(number)
        assert values is not None
        records.append(record(number, values))
        proposer.tell(records[-1])
    return records


@pytest.mark.parametrize("name", ["random", "optuna", "hyperopt"])
def test_what_is_proposed_lies_in_the_space_and_follows_the_seed(name: str) -> None:
    pytest.importorskip(name) if name != "random" else None
    options = TuneOptions(searcher=name, seed=3)
    one, again = (search(build_searcher(space(), options, [QUALITY]), 12) for _ in range(2))
    assert [r.values for r in one] == [r.values for r in again]
    assert all(space().contains(r.values) for r in one)
    other = search(build_searcher(space(), TuneOptions(searcher=name, seed=4), [QUALITY]), 12)
    assert [r.values for r in one] != [r.values for r in other]


@pytest.mark.parametrize("name", ["optuna", "hyperopt"])
def test_a_model_proposes_better_than_chance(name: str) -> None:
    pytest.importorskip(name)

    def late(searcher: str) -> float:
        found = [search(build_searcher(space(), TuneOptions(searcher=searcher, seed=s), [QUALITY]), 40) for s in range(4)]
        return float(np.median([loss(record.values) for records in found for record in records[20:]]))

    assert late(name) < 0.6 * late("random")


@pytest.mark.parametrize("name", ["optuna", "hyperopt"])
def test_a_resumed_searcher_knows_what_was_tried(name: str) -> None:
    pytest.importorskip(name)
    options = TuneOptions(searcher=name)
    records = search(build_searcher(space(), options, [QUALITY]), 15)
    resumed = build_searcher(space(), options, [QUALITY], tried=15)
    for past in [*records, record(90, {"optimizer.lr": 5.0, "optimizer.name": "adam", "method.width": 99}), failed(91)]:
        resumed.tell(past)
    later = search(resumed, 12, begin=15)
    assert not {repr(r.values) for r in later} & {repr(r.values) for r in records}
    assert np.median([loss(r.values) for r in later]) < 1.5


def failed(number: int) -> TrialRecord:
    return TrialRecord(number, {"optimizer.lr": 1e-3, "optimizer.name": "adam", "method.width": 4}, status="failed")


def test_optuna_takes_stopped_trials_and_several_objectives() -> None:
    pytest.importorskip("optuna")
    costs = [QUALITY, Objective("seconds", "seconds", "down")]
    for objectives in ([QUALITY], costs):
        proposer = build_searcher(space(), TuneOptions(searcher="optuna"), objectives)
        for number in range(14):
            values = proposer.ask(number)
            assert values is not None
            told = record(number, values, "stopped" if number % 3 == 0 else "ok")
            told.evaluations[0]["seconds"] = float(values["method.width"])
            proposer.tell(told)
        states = {str(trial.state.name) for trial in proposer.study.trials}  # type: ignore[attr-defined]
        assert states == ({"COMPLETE", "PRUNED"} if len(objectives) == 1 else {"COMPLETE"})


def test_a_grid_is_tried_once_and_whole() -> None:
    texts = {
        "optimizer.name": "grid(adam, sgd)",
        "optimizer.momentum": "grid(0.5, 0.9) if optimizer.name == sgd",
        "method.width": "randint(1,3)",
    }
    proposer = build_searcher(parse_space(texts, FIXED), TuneOptions(searcher="grid"), [QUALITY])
    points = [proposer.ask(number) for number in range(9)]
    assert len({repr(point) for point in points}) == 9
    assert sum(point is not None and "optimizer.momentum" in point for point in points) == 6
    assert proposer.ask(9) is None
    with pytest.raises(UserError, match=r"optimizer.lr has infinitely many values; write it as grid\(A,B"):
        build_searcher(space(), TuneOptions(searcher="grid"), [QUALITY])


def test_importance_finds_what_mattered() -> None:
    records = search(build_searcher(space(), TuneOptions(searcher="random"), [QUALITY]), 40)
    shares, how = importance(space(), records, QUALITY)
    assert next(iter(shares)) == "optimizer.lr"
    assert sum(shares.values()) == pytest.approx(1)
    assert "PED-ANOVA" in how or "Spearman" in how
    slope = [
        TrialRecord(i, {"optimizer.lr": 10 ** (-5 + i / 10)}, status="ok", evaluations=[{"loss": float(i)}]) for i in range(9)
    ]
    alone = parse_space({"optimizer.lr": "loguniform(1e-5,1e-1)"}, FIXED)
    assert rank_correlations(alone, slope, QUALITY)["optimizer.lr"] == pytest.approx(1)
    assert importance(space(), records[:3], QUALITY) == ({}, "fewer than 4 trials")
