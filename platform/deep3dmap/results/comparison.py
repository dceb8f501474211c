"""Pairwise comparison of the entries of a group under one metric: differences, significance, ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from deep3dmap.results import crossed
from deep3dmap.results.cells import EntryCells
from deep3dmap.results.crossed import Estimate, Layout
from deep3dmap.results.multiple_tests import holm, ranks

Array = NDArray[np.float64]
LEVEL = 0.95
# Chosen so that a block fits into the CPU cache.
PAIRS_AT_ONCE = 8000
# Entries scored on a smaller share of the scenes are not ranked.
FEWEST_SCENES = 0.5


@dataclass(frozen=True)
class Comparisons:
    """(E, E) tables over E entries; element [i, j] describes the difference i - j and is NaN where it cannot be estimated.

    error, freedom: standard errors and degrees of freedom of the differences. p_value: adjusted over all pairs (Holm).
    spread: the standard deviation of the difference on one scene with one seed each. shared: number of scenes in common.
    """

    difference: Array
    error: Array
    freedom: Array
    p_value: Array
    spread: Array
    shared: NDArray[np.int64]

    def better_than(self, better: str) -> NDArray[np.bool_]:
        """Return (E, E) flags: [i, j] is true if j is significantly better than i."""
        worse = self.difference < 0 if better == "up" else self.difference > 0
        return np.asarray(worse & (self.p_value < 1 - LEVEL))

    def against(self, reference: int) -> Estimate:
        """Return the (E,) estimated differences of all entries from the reference; NaN for the reference itself."""
        return Estimate(self.difference[:, reference], self.error[:, reference], self.freedom[:, reference])

    def effects(self, reference: int) -> Array:
        """Return (E,) the differences from the reference in standard deviations of a scene and seed (Cohen's d)."""
        gaps = self.difference[:, reference]
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(gaps == 0, 0.0, gaps / self.spread[:, reference])


def layout_of(entries: Sequence[EntryCells], scenes: NDArray[np.bool_]) -> Layout:
    """Return the layout of entries on the selected scenes; entries whose seeds share no scene get NaN."""
    values = [entry.select_scenes(scenes) for entry in entries]
    has_missing = [bool(np.isnan(one).any()) for one in values]
    order, parts = list[int](), list[Layout]()
    for seeds in sorted({len(one) for one in values}):
        if places := [place for place, one in enumerate(values) if len(one) == seeds and not has_missing[place]]:
            parts.append(crossed.fit(np.stack([values[place] for place in places])))
            order += places
    rest = [place for place, is_incomplete in enumerate(has_missing) if is_incomplete]
    parts += [_with_missing(values[place]) for place in rest]
    return crossed.stack(parts).take(np.argsort(order + rest))


def _with_missing(values: Array) -> Layout:
    try:
        return crossed.fit(values[None])
    except ValueError:
        nothing = np.full(1, np.nan)
        return Layout(np.full((1, values.shape[1]), np.nan), np.array([max(len(values), 1)]), nothing, nothing, np.ones(1))


def compare(entries: Sequence[EntryCells]) -> Comparisons:
    """Compare all pairs of entries on the scenes that both have.

    Pairs that share only one of several scenes are not compared, because it is not representative of the others.
    """
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
    row = np.zeros(len(entries), np.int64)
    row[members] = np.arange(len(members))
    if first is second:
        a, b = (np.array(first)[places] for places in np.triu_indices(len(first), 1))
    else:
        a, b = (places.ravel() for places in np.meshgrid(first, second, indexing="ij"))
    for begin in range(0, len(a), PAIRS_AT_ONCE):
        i, j = a[begin : begin + PAIRS_AT_ONCE], b[begin : begin + PAIRS_AT_ONCE]
        one, other = layout.take(row[i]), layout.take(row[j])
        estimate = crossed.difference(one, other)
        tables["difference"][i, j], tables["difference"][j, i] = estimate.value, -estimate.value
        found = {"error": estimate.error, "freedom": estimate.freedom, "p_value": estimate.p_value()}
        for name, value in {**found, "spread": crossed.spread(one, other)}.items():
            tables[name][i, j] = tables[name][j, i] = value


def ranked(losses: Array, coverage: Array, beaten_by: NDArray[np.bool_]) -> tuple[list[int], list[int | None]]:
    """Return the order of E entries, best first, and the rank of each, None for unranked entries.

    losses: (E,) smaller is better; entries with NaN are not ranked. coverage: (E,) shares of scenes scored. beaten_by: (E, E)
    [i, j] is true if j is significantly better than i. Entries with full coverage are ranked first; an entry with missing
    scenes is placed behind all of them except those that it beats significantly on shared scenes. Entries with less than half
    of the largest coverage are not ranked.
    """
    most = np.max(coverage, initial=0.0)
    candidates = np.flatnonzero(~np.isnan(losses) & (coverage >= FEWEST_SCENES * max(most, np.finfo(float).tiny))).tolist()
    full: list[int] = [place for place in candidates if coverage[place] == most]
    partial: list[int] = sorted(
        (place for place in candidates if coverage[place] < most), key=lambda place: float(losses[place])
    )
    found: list[int | None] = [None] * len(losses)
    full_ranks = ranks(losses[full].tolist(), beaten_by[np.ix_(full, full)]) if full else np.empty(0, np.int64)
    for place, rank in zip(full, full_ranks):
        found[place] = int(rank)
    order = sorted(full, key=lambda place: float(losses[place]))
    for place in partial:
        begin = 1 + max((at for at, other in enumerate(order) if not beaten_by[other, place]), default=-1)
        order.insert(begin, place)
        before = [(found[other] or 1) + int(beaten_by[place, other]) for other in order[:begin]]
        found[place] = max(before, default=1)
    rest = [place for place in range(len(losses)) if found[place] is None]
    return [*order, *rest], found
