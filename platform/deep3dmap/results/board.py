"""A board: the entries of one group under one metric as ordered rows, with the data behind them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.results import crossed
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.cells import EntryCells, cells_of
from deep3dmap.results.comparison import Comparisons, compare, layout_of, ranked
from deep3dmap.results.contenders import Contenders
from deep3dmap.results.distribution import interquartile_mean, optimality_gap, performance_profile, probability_better
from deep3dmap.results.entries import Group
from deep3dmap.results.pareto import pareto_front
from deep3dmap.results.quoted import Quoted, quoted_of
from deep3dmap.results.row_facts import explain_missing_value

FEWEST_SEEDS = 3
PROFILE_POINTS = 128


@dataclass(frozen=True)
class Board:
    """One group under one metric, best entry first.

    rows: one per entry. comparisons: pairwise comparisons of the entries with a value; `compared` lists the indices of their
    rows. scenes: scene names. per_scene: (N, S) mean over seeds for each row, NaN where missing. thresholds: (T,) metric
    values. profiles: (N, T) for each row, the share of values over scenes and seeds that are at least as good as each
    threshold. card: the suite's entry for the metric. quoted: published values to show alongside.
    """

    group: Group
    metric: str
    rows: list[LeaderboardRow]
    comparisons: Comparisons
    compared: list[int]
    scenes: list[str]
    per_scene: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    profiles: NDArray[np.float64]
    card: dict[str, Any] = field(default_factory=dict)
    quoted: tuple[Quoted, ...] = ()


class Contest:
    """The entries of a group under one metric."""

    def __init__(self, contenders: Contenders, metric: str) -> None:
        self.contenders, self.entries, self.runs, self.metric = contenders, contenders.entries, contenders.runs, metric
        card = contenders.card
        self.card: dict[str, Any] = next((item for item in card.get("metrics", ()) if item["name"] == metric), {})
        own = contenders.values.of_metric(metric)
        self.cells, self.scenes = cells_of(self.entries, own, self.runs)
        of_card = str(self.card.get("unit", "")), str(self.card.get("better", ""))
        self.unit, self.better = own.unit_and_direction() or of_card
        # Only complete entries with finite values are compared; runs that were cut short are never averaged with others.
        self.compared = [n for n, cells in enumerate(self.cells) if cells.is_finite and self.entries[n].is_whole]
        self.per_scene = np.array([_per_scene(cells) for cells in self.cells]).reshape(len(self.entries), len(self.scenes))
        self.best = self._best()
        self.means = self._means()
        self._missing: dict[bytes, tuple[int, tuple[str, ...]]] = {}

    def board(self) -> Board:
        """Return the board with its rows in order."""
        comparisons = compare([self.cells[number] for number in self.compared])
        order, rank = self._order(comparisons)
        facts = self._facts(comparisons, order, rank)
        front = self._front(order, rank)
        rows = [self._row(number, rank[number], number in front, facts.get(number, {})) for number in order]
        thresholds = self._thresholds()
        profiles = [self._profile(self.cells[number], thresholds) for number in order]
        place = {number: at for at, number in enumerate(order)}
        return Board(
            group=self.contenders.group,
            metric=self.metric,
            rows=rows,
            comparisons=comparisons,
            compared=[place[number] for number in self.compared],
            scenes=self.scenes,
            per_scene=self.per_scene[order],
            thresholds=thresholds,
            profiles=np.array(profiles).reshape(len(order), len(thresholds)),
            card=self.card,
            quoted=quoted_of(self.contenders.page, self.contenders.group.dataset, self.metric),
        )

    def _best(self) -> NDArray[np.float64]:
        """Return (S,) the best value for each scene, infinitely bad where there is none."""
        start = np.full((1, len(self.scenes)), -np.inf if self.better == "up" else np.inf)
        extreme = np.fmax if self.better == "up" else np.fmin
        return np.asarray(extreme.reduce(np.concatenate([start, self.per_scene[self.compared]])), np.float64)

    def _means(self) -> dict[int, tuple[float, float, float]]:
        """Return {entry: (value, low, high)} for the entries with finite values."""
        alike: dict[bytes, list[int]] = {}
        for number, cells in enumerate(self.cells):
            if cells.is_finite:
                alike.setdefault(cells.covered.tobytes(), []).append(number)
        found = {}
        for numbers in alike.values():
            layout = layout_of([self.cells[number] for number in numbers], self.cells[numbers[0]].covered)
            estimate = crossed.mean(layout)
            for number, value, low, high in zip(numbers, estimate.value, *estimate.interval()):
                # Seeds that share no scene have a mean but no interval.
                plain = float(value) if np.isfinite(value) else float(np.nanmean(self.per_scene[number]))
                found[number] = (plain, float(low), float(high))
        return found

    def _coverage(self, number: int) -> float:
        cells, every = self.cells[number], self.contenders.scenes
        if cells.is_summary:
            return len(self.contenders.tested[number]) / max(len(every), 1) if every else 1.0
        return int(cells.covered.sum()) / max(len(every), 1)

    def _order(self, comparisons: Comparisons) -> tuple[list[int], list[int | None]]:
        sign = -1 if self.better == "up" else 1
        losses = np.array([sign * self.means[number][0] for number in self.compared], np.float64)
        coverage = np.array([self._coverage(number) for number in self.compared], np.float64)
        order, rank = ranked(losses, coverage, comparisons.better_than(self.better))
        found: list[int | None] = [None] * len(self.entries)
        for number, own in zip(self.compared, rank):
            found[number] = own
        first = [self.compared[place] for place in order]
        # Entries that were cut short follow, then entries without a value.
        rest = [number for number in range(len(self.entries)) if number not in set(first)]
        return [*first, *sorted(rest, key=lambda number: (number not in self.means, number))], found

    def _facts(self, comparisons: Comparisons, order: list[int], rank: list[int | None]) -> dict[int, dict[str, Any]]:
        """Return the comparison of each entry with the best one, as fields of its row."""
        if not order or rank[order[0]] is None:
            return {}
        best = self.compared.index(order[0])
        estimate = comparisons.against(best)
        low, high = estimate.interval()
        gaps, effects, found = estimate.smallest_gap(), comparisons.effects(best), dict[int, dict[str, Any]]()
        for place, number in enumerate(self.compared):
            if place == best or not comparisons.shared[place, best]:
                continue
            both = self.cells[number].covered & self.cells[order[0]].covered
            found[number] = {
                "difference": _plain(estimate.value[place]),
                "difference_low": _plain(low[place]),
                "difference_high": _plain(high[place]),
                "p_value": _plain(comparisons.p_value[place, best]),
                "effect_size": _plain(effects[place]),
                "smallest_gap": _plain(gaps[place]),
                "probability_better": probability_better(
                    self.cells[number].select_scenes(both), self.cells[order[0]].select_scenes(both), self.better
                ),
            }
        return found

    def _front(self, order: list[int], rank: list[int | None]) -> set[int]:
        """Return the ranked entries on the Pareto front of value and time."""
        ranked = [number for number in order if rank[number] is not None]
        if not ranked:
            return set()
        values = [self.means[number][0] for number in ranked]
        seconds = np.array([self.contenders.costs[number].seconds for number in ranked], np.float64)
        return {number for number, is_first in zip(ranked, pareto_front(values, seconds, self.better)) if is_first}

    def _row(self, number: int, rank: int | None, on_front: bool, facts: dict[str, Any]) -> LeaderboardRow:
        every, cells = self.contenders, self.cells[number]
        value, low, high = self.means.get(number, (float("nan"),) * 3)
        covered, missing = self._scenes_of(number)
        reason = explain_missing_value(self.metric, cells, self.scenes, self.entries[number], self.runs)
        return LeaderboardRow(
            **every.facts[number],
            metric=self.metric,
            unit=self.unit,
            better=self.better,
            value=_plain(value),
            low=_plain(low),
            high=_plain(high),
            **self._distribution(number),
            seeds=len(cells.seeds),
            is_provisional=len(cells.seeds) < FEWEST_SEEDS,
            scenes=covered if cells.known.any() else 0,
            missing_scenes=missing if cells.known.any() else (),
            error=reason or every.errors[number],
            rank=rank,
            on_pareto_front=on_front,
            **facts,
            **every.costs[number].per_scene(covered),
        )

    def _scenes_of(self, number: int) -> tuple[int, tuple[str, ...]]:
        """Return how many scenes an entry's value covers, and which are missing."""
        cells, every = self.cells[number], self.contenders.scenes
        if cells.is_summary:
            own = self.contenders.tested[number]
            return len(own), tuple(scene for scene in every if scene not in own)
        key = cells.covered.tobytes()
        # Cached, because most entries cover the same scenes.
        if key not in self._missing:
            own = {self.scenes[place] for place in np.flatnonzero(cells.covered)}
            self._missing[key] = len(own), tuple(scene for scene in every if scene not in own)
        return self._missing[key]

    def _distribution(self, number: int) -> dict[str, Any]:
        cells = self.cells[number]
        if number not in self.means:
            return {"median": None, "interquartile_mean": None, "optimality_gap": None}
        per_scene, has = self.per_scene[number], cells.covered
        return {
            "median": float(np.median(per_scene[has])),
            "interquartile_mean": interquartile_mean(cells.values[cells.known]),
            "optimality_gap": optimality_gap(per_scene[has], self.best[has], self.better),
        }

    def _thresholds(self) -> NDArray[np.float64]:
        values = [self.cells[number].values[self.cells[number].known] for number in self.means]
        if not values:
            return np.empty(0)
        # Quantiles rather than equal steps, so that an outlier does not reduce the resolution for the other values.
        return np.unique(np.quantile(np.concatenate(values), np.linspace(0, 1, PROFILE_POINTS), method="nearest"))

    def _profile(self, cells: EntryCells, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        if not cells.is_finite:
            return np.full(len(thresholds), np.nan)
        return performance_profile(cells.values[cells.known], thresholds, self.better)


def _per_scene(cells: EntryCells) -> NDArray[np.float64]:
    known = cells.known & np.isfinite(cells.values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, cells.values, 0.0).sum(0) / np.where(known.any(0), known.sum(0), np.nan), np.float64)


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
