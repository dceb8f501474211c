"""Which group, metric and methods a page shows: choices in the sidebar, kept in the URL."""

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
# Of a version's digits: enough to tell them apart, and no more than there is room for.
VERSION_SHOWN = 12


@dataclass(frozen=True)
class Choice:
    """One group under one metric. board: all its rows; rows: those that are shown. card: of the suite."""

    group: Group
    metric: str
    metrics: list[str]
    board: Board
    rows: list[LeaderboardRow]
    card: dict[str, Any]

    @property
    def suite_title(self) -> str:
        """The suite's title, or its name where the store has no card."""
        return str(self.card.get("title", self.group.suite))

    @property
    def meaning(self) -> str:
        """What the metric means."""
        return str(self.board.card.get("meaning", ""))


def suite_groups() -> list[Group]:
    """Return the groups of suites without the sweeps, the newest first."""
    return [group for group in reading.snapshot().groups() if not group.suite.startswith(SWEEPS)]


def choose() -> Choice | None:
    """Draw the filters and return what was chosen; None where the store has no results of a suite."""
    groups = suite_groups()
    if not groups:
        return None
    with st.sidebar:
        group = choose_group(groups)
        metrics, metric = choose_metric(group)
        board = reading.snapshot().board(group, metric)
        rows = _searched(board.rows)
    card = reading.snapshot().suite_card(group.suite)
    return Choice(group, metric, metrics, board, rows, card)


def choose_metric(group: Group) -> tuple[list[str], str]:
    """Draw the choice of a metric; returns all of a group and the chosen one, "" where there is none to choose."""
    metrics = reading.snapshot().metric_names(group)
    return metrics, select("Metric", "metric", metrics) if any(metrics) else ""


def choose_group(groups: Sequence[Group]) -> Group:
    """Draw the choices of suite, tier, dataset and version, each where there are several; the newest is chosen at first."""
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
        # A version is something to choose only where there are several.
        chosen = select(label, key, names) if key != "version" or len(set(names)) > 1 else names[0]
        kept = [group for group in kept if name(group) == chosen]
    return kept[0]


def select(label: str, key: str, names: Iterable[str], default: str | None = None) -> str:
    """Draw a choice that is kept in the URL under its key; the first name (or the default) is chosen at first."""
    unique = list(dict.fromkeys(names))
    ordered = unique if key == "metric" else sorted(unique)
    index = ordered.index(unique[0] if default is None else default)
    chosen = st.selectbox(label, ordered, index=index, key=key, bind=URL, format_func=one_line)
    return str(chosen)


def _searched(rows: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    words = str(st.text_input("Methods", key="methods", bind=URL, placeholder="all; words, separated by commas"))
    baselines = st.toggle("Baselines", value=True, key="baselines", bind=URL, help="show the methods that mark what is easy")
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    return [row for row in rows if (baselines or not row.is_baseline) and (not wanted or _is_meant(row, wanted))]


def _is_meant(row: LeaderboardRow, words: Sequence[str]) -> bool:
    said = f"{row.method}/{row.variant} {row.note} {row.given}".lower()
    return any(word in said for word in words)
