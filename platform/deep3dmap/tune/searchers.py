"""Searchers that propose configurations, with an ask-and-tell interface independent of Ray."""

import itertools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from deep3dmap.core.errors import UserError
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective
from deep3dmap.tune.options import TuneOptions, check_library
from deep3dmap.tune.search_space import SearchSpace


class Proposer(Protocol):
    """A search algorithm."""

    def ask(self, number: int) -> dict[str, Any] | None:
        """Return the values of trial `number`; None if there is nothing left to try."""
        ...

    def tell(self, record: TrialRecord) -> None:
        """Record a finished trial, whether or not it was proposed by this searcher."""
        ...


class RandomSearch:
    """Independent random draws; trial `number` always gets the same one."""

    def __init__(self, space: SearchSpace, seed: int) -> None:
        self.space, self.seed = space, seed

    def ask(self, number: int) -> dict[str, Any]:
        """Draw a random point."""
        return self.space.sample(np.random.default_rng([self.seed, number]))

    def tell(self, record: TrialRecord) -> None:
        """Do nothing."""


class GridSearch:
    """Every combination once, with the last key varying fastest."""

    def __init__(self, space: SearchSpace) -> None:
        lists = {key: parameter.domain.values() for key, parameter in space.parameters.items()}
        endless = [key for key, values in lists.items() if values is None]
        if endless:
            raise UserError(f"tune.searcher=grid: {endless[0]} has infinitely many values; write it as grid(A,B,...)")
        combinations = (dict(zip(lists, point)) for point in itertools.product(*(v for v in lists.values() if v is not None)))
        # Combinations that differ only in inactive parameters are equal.
        unique = {repr(sorted(pruned.items())): pruned for pruned in map(space.prune, combinations)}
        self.points = list(unique.values())

    def ask(self, number: int) -> dict[str, Any] | None:
        """Return the combination with that number."""
        return self.points[number] if number < len(self.points) else None

    def tell(self, record: TrialRecord) -> None:
        """Do nothing."""


def build_searcher(space: SearchSpace, options: TuneOptions, objectives: Sequence[Objective], tried: int = 0) -> Proposer:
    """Build the searcher; raises UserError if its library is missing or it does not support the search space.

    tried: number of trials of earlier sessions, so that a resumed sweep does not repeat the same random draws.
    """
    check_library(options.searcher)
    if options.searcher == "random":
        return RandomSearch(space, options.seed)
    if options.searcher == "grid":
        return GridSearch(space)
    if options.searcher == "hyperopt":
        if len(objectives) > 1:
            raise UserError("tune.searcher=hyperopt supports one objective only; use tune.searcher=optuna for several")
        from deep3dmap.tune.searcher_hyperopt import HyperOptSearch

        return HyperOptSearch(space, options.hyperopt, objectives[0], options.seed)
    from deep3dmap.tune.searcher_optuna import OptunaSearch

    return OptunaSearch(space, options.optuna, objectives, options.seed, tried)
