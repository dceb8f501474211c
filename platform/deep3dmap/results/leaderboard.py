"""The leaderboard: one aggregation for the terminal, the web and every export. docs/results.md describes it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from deep3dmap.results.board import Board, Contest
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.cells import metric_values
from deep3dmap.results.entries import RunColumns, split_into_entries
from deep3dmap.results.quoted import Beside, quoted_of
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

    suite, dataset (NAME or NAME/VARIANT), tier: keep only these. metric: a name, "all", or None for each suite's headline;
    a suite without a card in the store shows all it has. Groups without the metric are left out, and so are sweeps unless
    `suite` names one ("tune:NAME").
    """
    runs = store.runs()
    kept = runs[_wanted(runs, suite, dataset, tier)].reset_index(drop=True)
    if kept.empty:
        return []
    values, suites = metric_values(store.metric_table(kept), kept), store.cards("suite")
    baselines = {name for name, page in store.cards("method").items() if page["card"].get("is_baseline")}
    found, columns = [], RunColumns(kept)
    for group, entries in split_into_entries(kept).items():
        page = suites.get(group.suite, {})
        card = page.get("card", {})
        own = values.of_runs(np.concatenate([entry.places for entry in entries]), len(kept))
        for one in _chosen(metric, card, own.present()):
            board = Contest(group, entries, one, own, columns, card, baselines).board()
            found.append(replace(board, quoted=quoted_of(page, group.dataset, one)))
    return found


def beside(found: Iterable[Board]) -> Beside:
    """Return the values that stand beside the rows of some boards."""
    return {(board.group, board.metric): board.quoted for board in found if board.quoted}


def _wanted(runs: pd.DataFrame, suite: str | None, dataset: str | None, tier: str | None) -> "pd.Series[bool]":
    wanted = runs.suite != ""
    if suite is None:
        # The trials of a sweep were scored on the validation split, and compare with each other only.
        wanted &= ~runs.suite.astype(str).str.startswith(SWEEPS)
    for column, value in (("suite", suite), ("tier", tier)):
        if value is not None:
            wanted &= runs[column] == value
    if dataset is not None:
        # A name may hold a "/" itself.
        wanted &= (runs.dataset == dataset) | (runs.dataset + "/" + runs.dataset_variant == dataset)
    return wanted


def _chosen(metric: str | None, card: dict[str, Any], present: list[str]) -> list[str]:
    if metric is None and card:
        return [card["headline"]]
    if metric is None or metric == "all":
        in_order = [item["name"] for item in card.get("metrics", ()) if item["name"] in present]
        return in_order + [name for name in present if name not in in_order] or [card.get("headline", "")]
    return [metric] if metric in present else []
