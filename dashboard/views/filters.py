"""Filters in the sidebar for the group, metric and methods that a page shows; their values are part of the URL."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.look import one_line
from deep3dmap.results.board import Board
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.entries import Group
from deep3dmap.results.schema import SWEEPS

URL: Literal["query-params"] = "query-params"
# Number of digits shown of a version: enough to distinguish versions, and short enough for the sidebar.
VERSION_SHOWN = 12


@dataclass(frozen=True)
class Choice:
    """One group under one metric. board: contains all rows. rows: those that match the filters. card: of the suite."""

    group: Group
    metric: str
    metrics: list[str]
    board: Board
    rows: list[LeaderboardRow]
    card: dict[str, Any]

    @property
    def suite_title(self) -> str:
        """The suite's title, or its name if the store has no card."""
        return str(self.card.get("title", self.group.suite))

    @property
    def meaning(self) -> str:
        """Explanation of the metric, from the suite's card."""
        return str(self.board.card.get("meaning", ""))


def suite_groups() -> list[Group]:
    """Return the groups of suites, without sweeps, the newest first."""
    return [group for group in reading.snapshot().groups() if not group.suite.startswith(SWEEPS)]


def choose() -> Choice | None:
    """Show the filters and return the choice; None if the store has no results of a suite."""
    groups = suite_groups()
    if not groups:
        return None
    with st.sidebar:
        group = choose_group(groups)
        metrics, metric = choose_metric(group)
        board = reading.snapshot().board(group, metric)
        rows = _filter_rows(board.rows)
    card = reading.snapshot().suite_card(group.suite)
    return Choice(group, metric, metrics, board, rows, card)


def choose_metric(group: Group) -> tuple[list[str], str]:
    """Show a selector for the metric; returns all metrics of the group and the selected one, "" if there are none."""
    metrics = reading.snapshot().metric_names(group)
    return metrics, select("Metric", "metric", metrics) if any(metrics) else ""


def choose_group(groups: Sequence[Group]) -> Group:
    """Show selectors for suite, tier, dataset and, if there are several, version; the default is the newest group."""
    steps: list[tuple[str, str, Callable[[Group], str]]] = [
        ("Suite", "suite", lambda group: group.suite),
        ("Tier", "tier", lambda group: group.tier),
        ("Dataset", "dataset", lambda group: f"{group.dataset}/{group.dataset_variant}"),
        (
            "Version",
            "version",
            lambda group: f"protocol {group.protocol_version}, data {group.dataset_version[:VERSION_SHOWN]}",
        ),
    ]
    kept = list(groups)
    for label, key, name in steps:
        names = [name(group) for group in kept]
        # The version is only shown if there are several.
        chosen = select(label, key, names) if key != "version" or len(set(names)) > 1 else names[0]
        kept = [group for group in kept if name(group) == chosen]
    return kept[0]


def select(label: str, key: str, names: Iterable[str], default: str | None = None) -> str:
    """Show a selector bound to the URL parameter `key`; the initial selection is `default`, or else the first name."""
    unique = list(dict.fromkeys(names))
    ordered = unique if key == "metric" else sorted(unique)
    index = ordered.index(unique[0] if default is None else default)
    chosen = st.selectbox(label, ordered, index=index, key=key, bind=URL, format_func=one_line)
    return str(chosen)


def _filter_rows(rows: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    words = str(st.text_input("Methods", key="methods", bind=URL, placeholder="all, or words separated by commas"))
    baselines = st.toggle("Baselines", value=True, key="baselines", bind=URL, help="show baseline methods")
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    return [row for row in rows if (baselines or not row.is_baseline) and (not wanted or _is_matching(row, wanted))]


def _is_matching(row: LeaderboardRow, words: Sequence[str]) -> bool:
    searched_text = f"{row.method}/{row.variant} {row.note} {row.given}".lower()
    return any(word in searched_text for word in words)
