"""Aggregation behind the leaderboard in the terminal, the dashboard and all exports; described in docs/results.md."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from deep3dmap.results.board import Board, Contest
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.cells import metric_values
from deep3dmap.results.contenders import Contenders
from deep3dmap.results.entries import Entry, RunColumns, split_into_entries
from deep3dmap.results.quoted import QuotedValues
from deep3dmap.results.schema import SWEEPS
from deep3dmap.results.store import ResultStore


def leaderboard(
    store: ResultStore,
    suite: str | None = None,
    dataset: str | None = None,
    tier: str | None = None,
    metric: str | None = None,
) -> list[LeaderboardRow]:
    """Return the rows of all boards, see `boards`."""
    return [row for board in boards(store, suite, dataset, tier, metric) for row in board.rows]


def boards(
    store: ResultStore,
    suite: str | None = None,
    dataset: str | None = None,
    tier: str | None = None,
    metric: str | None = None,
) -> list[Board]:
    """Aggregate the newest finished attempt of every run, group by group.

    suite, dataset (NAME or NAME/VARIANT), tier: filters. metric: a name, "all", or None for each suite's headline metric;
    all metrics are included for a suite without a card in the store. Groups without the metric are left out, and so are
    sweeps unless `suite` names one ("tune:NAME").
    """
    every = contenders(store, suite, dataset, tier)
    return [Contest(own, one).board() for own in every for one in chosen_metrics(own, metric)]


def contenders(
    store: ResultStore, suite: str | None = None, dataset: str | None = None, tier: str | None = None
) -> list[Contenders]:
    """Return the groups with their entries, sorted; takes the same filters as `boards`."""
    runs = store.runs()
    kept = runs[_select_runs(runs, suite, dataset, tier)].reset_index(drop=True)
    return contenders_of(store, kept)


def contenders_of(store: ResultStore, runs: pd.DataFrame) -> list[Contenders]:
    """Return the groups of the given runs with their entries, sorted. runs: rows of `ResultStore.runs`, indexed from 0."""
    if runs.empty:
        return []
    values, suites = metric_values(store.metric_table(runs), runs), store.cards("suite")
    baselines = frozenset(name for name, page in store.cards("method").items() if page["card"].get("is_baseline"))
    columns = RunColumns(runs)
    return [
        Contenders(
            group, entries, values.of_runs(_run_indices(entries), len(runs)), columns, suites.get(group.suite, {}), baselines
        )
        for group, entries in split_into_entries(runs).items()
    ]


def chosen_metrics(own: Contenders, metric: str | None) -> list[str]:
    """Return the metrics of a group to make boards for.

    metric: a name (no boards if the group lacks it), "all", or None for the suite's headline metric.
    """
    if metric is None and own.card:
        return [own.card["headline"]]
    if metric is None or metric == "all":
        return own.metrics
    return [metric] if metric in own.values.present() else []


def collect_quoted_values(found: Iterable[Board]) -> QuotedValues:
    """Return the quoted values to show alongside the rows of the given boards."""
    return {(board.group, board.metric): board.quoted for board in found if board.quoted}


def _select_runs(runs: pd.DataFrame, suite: str | None, dataset: str | None, tier: str | None) -> "pd.Series[bool]":
    selected = runs.suite != ""
    if suite is None:
        # The trials of a sweep are scored on the validation split and are comparable only with each other.
        selected &= ~runs.suite.astype(str).str.startswith(SWEEPS)
    for column, value in (("suite", suite), ("tier", tier)):
        if value is not None:
            selected &= runs[column] == value
    if dataset is not None:
        # A dataset's name may itself contain "/".
        selected &= (runs.dataset == dataset) | (runs.dataset + "/" + runs.dataset_variant == dataset)
    return selected


def _run_indices(entries: list[Entry]) -> NDArray[np.int64]:
    return np.concatenate([entry.places for entry in entries])
