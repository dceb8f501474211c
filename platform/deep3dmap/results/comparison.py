"""All entries of a group against each other under one metric: differences, significance, ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from deep3dmap.results import crossed
from deep3dmap.results.cells import EntryCells
from deep3dmap.results.crossed import Layout
from deep3dmap.results.multiple_tests import holm, ranks

Array = NDArray[np.float64]
LEVEL = 0.95
PAIRS_AT_ONCE = 20_000
# An entry that was scored on a smaller share of the scenes is not ranked.
FEWEST_SCENES = 0.5


@dataclass(frozen=True)
class Comparisons:
    """Square tables over E entries; [i, j] is about i - j, and NaN where nothing can be said.

    p_value is adjusted over all pairs (Holm). effect: Cohen's d. smallest_gap: the smallest true difference that this design
    finds with a probability of 80 %. shared: scenes that both have.
    """

    difference: Array
    low: Array
    high: Array
    p_value: Array
    effect: Array
    smallest_gap: Array
    shared: NDArray[np.int64]

    def better_than(self, better: str) -> NDArray[np.bool_]:
        """Return (E, E) flags: j is significantly better than i."""
        worse = self.difference < 0 if better == "up" else self.difference > 0
        return np.asarray(worse & (self.p_value < 1 - LEVEL))


def layout_of(entries: Sequence[EntryCells], scenes: NDArray[np.bool_]) -> Layout:
    """Return the layout of entries on some scenes; an entry whose seeds share no scene has NaN there."""
    values = [entry.on(scenes) for entry in entries]
    found: list[Layout | None] = [None] * len(values)
    for seeds in sorted({len(one) for one in values}):
        places = [place for place, one in enumerate(values) if len(one) == seeds and not np.isnan(one).any()]
        if places:
            layout = crossed.fit(np.stack([values[place] for place in places]))
            for row, place in enumerate(places):
                found[place] = layout.take([row])
    return crossed.stack([one or _with_missing(value) for one, value in zip(found, values)])


def _with_missing(values: Array) -> Layout:
    try:
        return crossed.fit(values[None])
    except ValueError:
        nothing = np.full(1, np.nan)
        return Layout(np.full((1, values.shape[1]), np.nan), np.array([max(len(values), 1)]), nothing, nothing, np.ones(1))


def compare(entries: Sequence[EntryCells]) -> Comparisons:
    """Compare all pairs on the scenes that both have; a single scene of several says nothing about the others."""
    count = len(entries)
    tables = {field.name: np.full((count, count), np.nan) for field in fields(Comparisons)}
    tables["shared"] = np.zeros((count, count), np.int64)
    alike: dict[bytes, list[int]] = {}
    for place, entry in enumerate(entries):
        alike.setdefault(entry.covered.tobytes(), []).append(place)
    sets = list(alike.values())
    for number, first in enumerate(sets):
        for second in sets[number:]:
            scenes = entries[first[0]].covered & entries[second[0]].covered
            one, other = np.array(first)[:, None], np.array(second)[None]
            tables["shared"][one, other] = tables["shared"][other.T, one.T] = scenes.sum()
            if scenes.sum() > 1 or len(scenes) == 1:
                _fill(tables, entries, first, second, scenes)
    upper = np.triu_indices(count, 1)
    tables["p_value"][upper] = holm(tables["p_value"][upper])
    tables["p_value"].T[upper] = tables["p_value"][upper]
    return Comparisons(**tables)


def _fill(
    tables: dict[str, NDArray[np.float64]],
    entries: Sequence[EntryCells],
    first: Sequence[int],
    second: Sequence[int],
    scenes: NDArray[np.bool_],
) -> None:
    members = sorted({*first, *second})
    layout = layout_of([entries[place] for place in members], scenes)
    row = {place: number for number, place in enumerate(members)}
    pairs = np.array([(a, b) for a in first for b in second if first is not second or a < b], np.int64).reshape(-1, 2)
    for begin in range(0, len(pairs), PAIRS_AT_ONCE):
        part = pairs[begin : begin + PAIRS_AT_ONCE]
        rows = np.array([(row[a], row[b]) for a, b in part.tolist()])
        one, other = layout.take(rows[:, 0]), layout.take(rows[:, 1])
        estimate = crossed.difference(one, other)
        low, high = estimate.interval(LEVEL)
        with np.errstate(invalid="ignore", divide="ignore"):
            effect = np.where(estimate.value == 0, 0.0, estimate.value / crossed.spread(one, other))
        own = {"difference": estimate.value, "low": low, "high": high, "effect": effect}
        mirrored = {"difference": -estimate.value, "low": -high, "high": -low, "effect": -effect}
        both = {"p_value": estimate.p_value(), "smallest_gap": estimate.smallest_gap(LEVEL)}
        a, b = part.T
        for name in own:
            tables[name][a, b], tables[name][b, a] = own[name], mirrored[name]
        for name, value in both.items():
            tables[name][a, b] = tables[name][b, a] = value


def ranked(losses: Array, coverage: Array, beaten_by: NDArray[np.bool_]) -> tuple[list[int], list[int | None]]:
    """Return the order of E entries, best first, and the rank of each.

    losses: (E,) smaller is better; NaN has no rank. coverage: (E,) shares of the scenes. Entries on all scenes are ranked
    first; one that lacks some comes behind all of these but those that it beats significantly on the scenes that both have.
    One that lacks more than half has no rank.
    """
    most = np.max(coverage, initial=0.0)
    can = np.flatnonzero(~np.isnan(losses) & (coverage >= FEWEST_SCENES * max(most, np.finfo(float).tiny))).tolist()
    whole: list[int] = [place for place in can if coverage[place] == most]
    part: list[int] = sorted((place for place in can if coverage[place] < most), key=lambda place: float(losses[place]))
    found: list[int | None] = [None] * len(losses)
    of_whole = ranks(losses[whole].tolist(), beaten_by[np.ix_(whole, whole)]) if whole else np.empty(0, np.int64)
    for place, rank in zip(whole, of_whole):
        found[place] = int(rank)
    order = sorted(whole, key=lambda place: float(losses[place]))
    for place in part:
        begin = 1 + max((at for at, other in enumerate(order) if not beaten_by[other, place]), default=-1)
        order.insert(begin, place)
        found[place] = max(1, *(found[other] or 1 for other in order[:begin])) if begin else 1
    rest = [place for place in range(len(losses)) if found[place] is None]
    return [*order, *rest], found
