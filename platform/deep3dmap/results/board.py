"""One group under one metric: its rows in order, and what they are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.results import crossed
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.cells import EntryCells, MetricValues, cells_of
from deep3dmap.results.comparison import Comparisons, compare, layout_of, ranked
from deep3dmap.results.distribution import interquartile_mean, optimality_gap, performance_profile, probability_better
from deep3dmap.results.entries import Entry, Group, RunColumns
from deep3dmap.results.pareto import pareto_front
from deep3dmap.results.quoted import Quoted
from deep3dmap.results.row_facts import costs, failures, missing_scenes, notes, what_is_wrong

FEWEST_SEEDS = 3
PROFILE_POINTS = 128


@dataclass(frozen=True)
class Board:
    """One group under one metric, best first.

    rows: one per entry. comparisons: the entries with a value against each other, `compared` being the places of their rows.
    scenes: the names. per_scene: (N, S) each row's mean over seeds, NaN where there is none. thresholds: (T,) values, and
    profiles: (N, T) each row's share of scenes and seeds that are at least as good. quoted: published values to stand beside.
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

    def __init__(
        self,
        group: Group,
        entries: Sequence[Entry],
        metric: str,
        values: MetricValues,
        runs: RunColumns,
        card: dict[str, Any],
        baselines: set[str],
    ) -> None:
        self.group, self.entries, self.metric, self.runs, self.baselines = group, entries, metric, runs, baselines
        self.card: dict[str, Any] = next((item for item in card.get("metrics", ()) if item["name"] == metric), {})
        own = values.of_metric(metric)
        self.cells, self.scenes = cells_of(entries, own, runs)
        of_card = str(self.card.get("unit", "")), str(self.card.get("better", ""))
        self.unit, self.better = own.unit_and_direction() or of_card
        self.tested = _scenes_of(entries, values, runs)
        self.all_scenes = sorted(set().union(*self.tested, *(missing_scenes(entry, runs) for entry in entries)))
        # Values of several runs of one entry are averaged, those that were cut short or are not finite never.
        self.compared = [n for n, cells in enumerate(self.cells) if cells.is_finite and entries[n].is_whole]
        self.per_scene = np.array([_per_scene(cells) for cells in self.cells]).reshape(len(entries), len(self.scenes))
        self.best = self._best()
        self.means = self._means()

    def board(self) -> Board:
        """Return the rows in order, with all that belongs to them."""
        comparisons = compare([self.cells[number] for number in self.compared])
        order, rank = self._order(comparisons)
        facts = self._facts(comparisons, order, rank)
        rows = [self._row(number, rank[number], facts.get(number, {})) for number in order]
        thresholds = self._thresholds()
        profiles = [self._profile(self.cells[number], thresholds) for number in order]
        place = {number: at for at, number in enumerate(order)}
        return Board(
            group=self.group,
            metric=self.metric,
            rows=_with_front(rows, self.better),
            comparisons=comparisons,
            compared=[place[number] for number in self.compared],
            scenes=self.scenes,
            per_scene=self.per_scene[order],
            thresholds=thresholds,
            profiles=np.array(profiles).reshape(len(order), len(thresholds)),
            card=self.card,
        )

    def _best(self) -> NDArray[np.float64]:
        """Return (S,) the best value of each scene, infinitely bad where there is none."""
        start = np.full((1, len(self.scenes)), -np.inf if self.better == "up" else np.inf)
        extreme = np.fmax if self.better == "up" else np.fmin
        return np.asarray(extreme.reduce(np.concatenate([start, self.per_scene[self.compared]])), np.float64)

    def _means(self) -> dict[int, tuple[float, float, float]]:
        """Return {entry: (value, low, high)} of the entries with finite values."""
        alike: dict[bytes, list[int]] = {}
        for number, cells in enumerate(self.cells):
            if cells.is_finite:
                alike.setdefault(cells.covered.tobytes(), []).append(number)
        found = {}
        for numbers in alike.values():
            layout = layout_of([self.cells[number] for number in numbers], self.cells[numbers[0]].covered)
            estimate = crossed.mean(layout)
            for number, value, low, high in zip(numbers, estimate.value, *estimate.interval()):
                # Seeds that share no scene have a mean, but no interval.
                plain = float(value) if np.isfinite(value) else float(np.nanmean(self.per_scene[number]))
                found[number] = (plain, float(low), float(high))
        return found

    def _coverage(self, number: int) -> float:
        cells = self.cells[number]
        if cells.is_summary:
            return len(self.tested[number]) / max(len(self.all_scenes), 1) if self.all_scenes else 1.0
        return int(cells.covered.sum()) / max(len(self.all_scenes), 1)

    def _order(self, comparisons: Comparisons) -> tuple[list[int], list[int | None]]:
        sign = -1 if self.better == "up" else 1
        losses = np.array([sign * self.means[number][0] for number in self.compared], np.float64)
        coverage = np.array([self._coverage(number) for number in self.compared], np.float64)
        order, rank = ranked(losses, coverage, comparisons.better_than(self.better))
        found: list[int | None] = [None] * len(self.entries)
        for number, own in zip(self.compared, rank):
            found[number] = own
        first = [self.compared[place] for place in order]
        # Then runs that were cut short, then what has no value.
        rest = [number for number in range(len(self.entries)) if number not in set(first)]
        return [*first, *sorted(rest, key=lambda number: (number not in self.means, number))], found

    def _facts(self, comparisons: Comparisons, order: list[int], rank: list[int | None]) -> dict[int, dict[str, Any]]:
        """Return what is said of each entry against the best."""
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
                    self.cells[number].on(both), self.cells[order[0]].on(both), self.better
                ),
            }
        return found

    def _row(self, number: int, rank: int | None, facts: dict[str, Any]) -> LeaderboardRow:
        entry, cells = self.entries[number], self.cells[number]
        value, low, high = self.means.get(number, (float("nan"),) * 3)
        covered = self.tested[number] if cells.is_summary else {self.scenes[i] for i in np.flatnonzero(cells.covered)}
        missing = tuple(scene for scene in self.all_scenes if scene not in covered) if cells.known.any() else ()
        failed, error = failures(entry, self.runs)
        return LeaderboardRow(
            **vars(self.group),
            method=entry.method,
            variant=entry.variant,
            is_baseline=entry.method in self.baselines,
            inputs=tuple(self.runs["inputs"][entry.places[-1]]),
            metric=self.metric,
            unit=self.unit,
            better=self.better,
            value=_plain(value),
            low=_plain(low),
            high=_plain(high),
            **self._distribution(number),
            seeds=len(cells.seeds),
            is_provisional=len(cells.seeds) < FEWEST_SEEDS,
            scenes=len(covered) if cells.known.any() else 0,
            all_scenes=len(self.all_scenes),
            missing_scenes=missing,
            failed=failed,
            error=what_is_wrong(self.metric, cells, self.scenes, entry, self.runs) or error,
            note=notes(entry, self.runs),
            is_cut_short=not entry.is_whole,
            run_ids=tuple(self.runs["run_id"][entry.places].tolist()),
            rank=rank,
            **facts,
            **costs(entry, self.runs, len(covered)),
        )

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
        # As many between two values as there are values, so that one that is far off does not coarsen the others.
        return np.unique(np.quantile(np.concatenate(values), np.linspace(0, 1, PROFILE_POINTS), method="nearest"))

    def _profile(self, cells: EntryCells, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        if not cells.is_finite:
            return np.full(len(thresholds), np.nan)
        return performance_profile(cells.values[cells.known], thresholds, self.better)


def _per_scene(cells: EntryCells) -> NDArray[np.float64]:
    known = cells.known & np.isfinite(cells.values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, cells.values, 0.0).sum(0) / np.where(known.any(0), known.sum(0), np.nan), np.float64)


def _scenes_of(entries: Sequence[Entry], values: MetricValues, runs: RunColumns) -> list[set[str]]:
    """Return the scenes that each entry's finished runs were scored on, under any metric."""
    number = np.full(len(runs), -1)
    for place, entry in enumerate(entries):
        number[runs.finished(entry.places)] = place
    found: list[set[str]] = [set() for _ in entries]
    width = len(values.scene_names)
    for code in np.unique(number[values.run] * width + values.scene):
        if code >= 0 and (name := values.scene_names[code % width]):
            found[code // width].add(name)
    return found


def _with_front(rows: list[LeaderboardRow], better: str) -> list[LeaderboardRow]:
    places = [place for place, row in enumerate(rows) if row.rank is not None]
    if places:
        quality, seconds = ([getattr(rows[place], name) for place in places] for name in ("value", "seconds"))
        for place, flag in zip(places, pareto_front(quality, np.array(seconds, np.float64), better)):
            rows[place] = rows[place].on_front(bool(flag))
    return rows


def _plain(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
