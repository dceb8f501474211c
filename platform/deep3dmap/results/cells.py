"""Metric values as seeds x scenes tables, one per entry."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from deep3dmap.results.entries import Entry, RunColumns

Array = NDArray[np.float64]


@dataclass(frozen=True)
class MetricValues:
    """Metric rows of a set of runs, with names replaced by codes.

    run: index into the table of runs. scene, metric: indices into their lists of names. A metric name is listed once for each
    combination of unit and direction, because suites may use one name for different metrics.
    """

    run: NDArray[np.int64]
    scene: NDArray[np.int64]
    metric: NDArray[np.int64]
    value: Array
    scene_names: list[str]
    metric_names: list[str]
    units: list[str]
    directions: list[str]

    def of_runs(self, places: NDArray[np.int64], runs: int) -> "MetricValues":
        """Return the rows of the runs at `places`; runs: total number of runs."""
        wanted = np.zeros(runs, bool)
        wanted[places] = True
        return self._select(wanted[self.run])

    def of_metric(self, name: str) -> "MetricValues":
        """Return the rows of one metric."""
        return self._select(np.array([own == name for own in self.metric_names], bool)[self.metric])

    def unit_and_direction(self) -> tuple[str, str] | None:
        """Return the unit and direction of the first row, None without rows. Expects rows of one metric of one suite."""
        return (self.units[self.metric[0]], self.directions[self.metric[0]]) if len(self.metric) else None

    def present(self) -> list[str]:
        """Return the names of the metrics that have rows, sorted."""
        return sorted({self.metric_names[code] for code in np.unique(self.metric)})

    def _select(self, mask: NDArray[np.bool_]) -> "MetricValues":
        if mask.all():
            return self
        columns = {name: getattr(self, name)[mask] for name in ("run", "scene", "metric", "value")}
        return MetricValues(**columns, **{name: getattr(self, name) for name in _NAMES})


_NAMES = ("scene_names", "metric_names", "units", "directions")


def metric_values(table: pa.Table, runs: pd.DataFrame) -> MetricValues:
    """Convert a table of metrics to codes; rows of attempts that are not in `runs` are left out."""
    (ids, id_names), (scenes, scene_names) = (_encode(table[name]) for name in ("run_id", "scene"))
    metrics, metric_names, units, directions = _encode_metrics([_encode(table[name]) for name in ("metric", "unit", "better")])
    if not len(ids):
        return MetricValues(ids, scenes, metrics, np.empty(0), [], [], [], [])
    run = pd.Index(runs.run_id).get_indexer(pd.Index(id_names))[ids]
    counts = (run >= 0) & (runs.attempt.to_numpy()[run] == table["attempt"].to_numpy())
    value = table["value"].to_numpy()
    found = MetricValues(run, scenes, metrics, value, scene_names, metric_names, units, directions)
    return found._select(counts)


def _encode(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str]]:
    """Return the codes of a text column, and the texts they stand for."""
    coded = (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).unify_dictionaries()
    if not coded.num_chunks:
        return np.empty(0, np.int64), []
    codes = [chunk.indices.to_numpy(zero_copy_only=False) for chunk in coded.chunks]
    return np.concatenate(codes).astype(np.int64), coded.chunk(0).dictionary.to_pylist()


def _encode_metrics(
    columns: Sequence[tuple[NDArray[np.int64], list[str]]],
) -> tuple[NDArray[np.int64], list[str], list[str], list[str]]:
    """Encode metrics together with their units and directions; returns the codes and the metric, unit and direction of each."""
    sizes = [len(names) for _, names in columns]
    if not all(sizes):
        return np.empty(0, np.int64), [], [], []
    combined = np.ravel_multi_index(tuple(codes for codes, _ in columns), sizes)
    is_present = np.bincount(combined, minlength=int(np.prod(sizes))) > 0
    places = np.unravel_index(np.flatnonzero(is_present), sizes)
    metrics, units, directions = ([str(names[place]) for place in own] for (_, names), own in zip(columns, places))
    return (np.cumsum(is_present) - 1)[combined], metrics, units, directions


@dataclass(frozen=True)
class EntryCells:
    """The values of one entry under one metric.

    values: (K, S), NaN for missing cells. known: (K, S) whether a cell has a value, finite or not. seeds: (K,). is_summary:
    the values belong to whole runs rather than scenes, such as a mean over bins.
    """

    values: Array
    known: NDArray[np.bool_]
    seeds: NDArray[np.int64]
    is_summary: bool

    @cached_property
    def covered(self) -> NDArray[np.bool_]:
        """(S,) whether a scene has a value under any seed."""
        return np.asarray(self.known.any(0))

    @cached_property
    def is_finite(self) -> bool:
        """Whether there are values and all are finite."""
        return bool(self.known.any() and np.isfinite(self.values[self.known]).all())

    def select_scenes(self, scenes: NDArray[np.bool_]) -> Array:
        """Return the (K', S') values on the selected scenes, without seeds that have none of them."""
        values = self.values[:, scenes]
        return values[self.known[:, scenes].any(1)]


def cells_of(entries: Sequence[Entry], values: MetricValues, runs: RunColumns) -> tuple[list[EntryCells], list[str]]:
    """Return the cells of each entry over a common list of scenes, and the scene names.

    If several runs of one seed cover a scene, the run with the most scenes takes precedence, then the newest; scenes that it
    lacks are taken from the other runs. So a run on few scenes never replaces one on many. values: of one metric and group.
    """
    summary = "" in values.scene_names
    blank = values.scene_names.index("") if summary else -1
    is_summary = bool((values.scene == blank).any())
    kept = values._select((values.scene == blank) == is_summary)
    used = np.unique(kept.scene)
    names = [values.scene_names[code] for code in used]
    order = np.argsort(names) if names else np.empty(0, np.int64)
    column = np.full(len(values.scene_names) + 1, -1)
    column[used[order]] = np.arange(len(used))
    slot_of_run, slots = _assign_rows(entries, runs)
    rows = _sort_by_precedence(kept, runs)
    table = np.full((len(slots), len(used)), np.nan)
    known = np.zeros(table.shape, bool)
    slot = slot_of_run[kept.run[rows]]
    rows, slot = rows[slot >= 0], slot[slot >= 0]
    # If a cell is assigned several values, the last one wins.
    table[slot, column[kept.scene[rows]]] = kept.value[rows]
    known[slot, column[kept.scene[rows]]] = True
    return list(_split_by_entry(entries, slots, table, known, is_summary)), [names[place] for place in order]


def _assign_rows(entries: Sequence[Entry], runs: RunColumns) -> tuple[NDArray[np.int64], list[tuple[int, int]]]:
    """Return each run's row in the table of cells, -1 for none, and the (entry, seed) of each row."""
    seeds, of_run = runs["seed"], np.full(len(runs), -1)
    slots: list[tuple[int, int]] = []
    for number, entry in enumerate(entries):
        finished = runs.finished(entry.places)
        own, place = np.unique(seeds[finished], return_inverse=True)
        of_run[finished] = len(slots) + place
        slots += [(number, int(seed)) for seed in own]
    return of_run, slots


def _sort_by_precedence(values: MetricValues, runs: RunColumns) -> NDArray[np.int64]:
    scenes = np.bincount(values.run, minlength=len(runs))
    # The last key of lexsort is the primary one: runs with more scenes come later, then newer runs.
    weight = np.empty(len(runs), np.int64)
    weight[np.lexsort((runs["started_at"], scenes))] = np.arange(len(runs))
    return np.argsort(weight[values.run], kind="stable")


def _split_by_entry(
    entries: Sequence[Entry], slots: list[tuple[int, int]], table: Array, known: NDArray[np.bool_], is_summary: bool
) -> Iterator[EntryCells]:
    numbers = np.array([number for number, _ in slots], np.int64)
    seeds = np.array([seed for _, seed in slots], np.int64)
    bounds = np.searchsorted(numbers, np.arange(len(entries) + 1))
    for begin, end in pairwise(bounds):
        has_any = known[begin:end].any(1)
        yield EntryCells(table[begin:end][has_any], known[begin:end][has_any], seeds[begin:end][has_any], is_summary)
