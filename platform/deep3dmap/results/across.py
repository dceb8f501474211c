"""Comparison of entries across suites: mean ranks, and which of them differ by more than the critical difference.

Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006 (Friedman's test, Nemenyi's critical
difference).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import fdtrc

from deep3dmap.results.board import Board


@dataclass(frozen=True)
class Ranking:
    """Ranking of K entries over N boards, all of which include every entry.

    names: METHOD/VARIANT, best first. mean_ranks: (K,). p_value: of Friedman's test with the null hypothesis that all entries
    are equal. critical_difference: mean ranks that differ by less are indistinguishable at the 5 % level. p_value and
    critical_difference are None for fewer than two boards or entries. left_out: entries missing from at least one board.
    """

    names: tuple[str, ...]
    mean_ranks: tuple[float, ...]
    boards: tuple[str, ...]
    p_value: float | None
    critical_difference: float | None
    left_out: tuple[str, ...] = ()

    @property
    def cliques(self) -> list[tuple[str, ...]]:
        """Maximal groups of adjacent entries that are indistinguishable: the bars of the diagram."""
        reach = self.critical_difference or 0.0
        found: list[tuple[int, int]] = []
        for begin, rank in enumerate(self.mean_ranks):
            end = int(np.searchsorted(self.mean_ranks, rank + reach, "right"))
            if end - begin > 1 and (not found or end > found[-1][1]):
                found.append((begin, end))
        return [self.names[begin:end] for begin, end in found]


def rank_across(boards: Sequence[Board]) -> Ranking:
    """Rank the entries that are on all boards by their mean rank. Entries are identified by method and variant."""
    # Imported here because it takes half a second and most uses of a leaderboard do not need it.
    from scipy.stats import rankdata

    tables = [_losses(board) for board in boards]
    every = sorted(set().union(*tables)) if tables else []
    names = [name for name in every if all(name in table for table in tables)]
    losses = np.array([[table[name] for name in names] for table in tables], np.float64).reshape(len(tables), len(names))
    ranks = rankdata(losses, axis=1) if losses.size else losses
    means = ranks.mean(0) if losses.size else np.empty(0)
    order = np.argsort(means, kind="stable")
    many = len(boards) > 1 and len(names) > 1
    return Ranking(
        tuple(names[place] for place in order),
        tuple(float(means[place]) for place in order),
        tuple(f"{board.group.suite}/{board.group.tier}, {board.group.dataset}: {board.metric}" for board in boards),
        friedman(ranks) if many else None,
        critical_difference(len(names), len(boards)) if many else None,
        tuple(name for name in every if name not in names),
    )


def friedman(ranks: ArrayLike) -> float:
    """Return the p-value of the hypothesis that K entries with (N, K) ranks on N boards are equal (Iman and Davenport's F)."""
    table = np.asarray(ranks, np.float64)
    boards, entries = table.shape
    means = table.mean(0)
    chi = 12 * boards / (entries * (entries + 1)) * (np.sum(means**2) - entries * (entries + 1) ** 2 / 4)
    rest = boards * (entries - 1) - chi
    if rest <= 1e-9:
        return 0.0
    return float(fdtrc(entries - 1, (entries - 1) * (boards - 1), max((boards - 1) * chi / rest, 0.0)))


def critical_difference(entries: int, boards: int, level: float = 0.95) -> float:
    """Return the smallest difference in mean rank at which two entries differ significantly (Nemenyi)."""
    from scipy.stats import studentized_range

    quantile = studentized_range.ppf(level, entries, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(entries * (entries + 1) / (6 * boards)))


def _losses(board: Board) -> dict[str, float]:
    sign = -1 if board.rows and board.rows[0].better == "up" else 1
    found: dict[str, float] = {}
    for row in board.rows:
        name = f"{row.method}/{row.variant}"
        if row.rank is not None and row.value is not None:
            # An entry with several configurations is represented by its best one.
            found[name] = min(found.get(name, np.inf), sign * row.value)
    return found
