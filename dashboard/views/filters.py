"""What the leaderboard page shows: the choices in the sidebar."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.entries import Group


@dataclass(frozen=True)
class Choice:
    """One group under one metric. others: rows of further metrics to show beside it, by name."""

    group: Group
    metric: str
    rows: list[LeaderboardRow]
    card: dict[str, Any]
    others: dict[str, list[LeaderboardRow]] = field(default_factory=dict)

    @property
    def suite_title(self) -> str:
        """The suite's title, or its name where the store has no card."""
        return str(self.card.get("title", self.group.suite))

    @property
    def meaning(self) -> str:
        """What the metric means."""
        return next((str(item["meaning"]) for item in self.card.get("metrics", ()) if item["name"] == self.metric), "")

    def runs(self, attempts: pd.DataFrame) -> pd.DataFrame:
        """Return the attempts at the runs of this group, of the methods shown."""
        wanted = pd.Series(True, index=attempts.index)
        for name, value in vars(self.group).items():
            wanted &= attempts[name] == value
        shown = {(row.method, row.variant) for row in self.rows}
        pairs = pd.Series([pair in shown for pair in zip(attempts.method, attempts.variant)], index=attempts.index, dtype=bool)
        return attempts[wanted & pairs]


def choose(attempts: pd.DataFrame, suites: dict[str, dict[str, Any]]) -> Choice:
    """Draw the filters for the runs of suites and return what was chosen."""
    runs = attempts.assign(data=attempts.dataset + "/" + attempts.dataset_variant)
    with st.sidebar:
        suite = _select("Suite", sorted(runs.suite))
        runs = runs[runs.suite == suite]
        # The trials of a sweep are of no tier.
        tier = _select("Tier", sorted(runs.tier)) if runs.tier.any() else ""
        data = _select("Dataset", sorted(runs[runs.tier == tier].data))
        kept = reading.rows(suite, tier, data)
        group = _version(kept)
        kept = [row for row in kept if row.group == group]
        card = suites.get(suite, {}).get("card", {})
        metric = _select("Metric", _headline_first([row.metric for row in kept], card.get("headline", "")))
        beside = st.toggle("Show all metrics", help="further metrics as columns of the table")
        kept = _of_methods(kept)
    others = {row.metric: [other for other in kept if other.metric == row.metric] for row in kept if row.metric != metric}
    return Choice(group, metric, [row for row in kept if row.metric == metric], card, others if beside else {})


def _select(label: str, values: Sequence[str]) -> str:
    return str(st.selectbox(label, list(dict.fromkeys(values)), key=f"leaderboard {label}"))


def _version(rows: Sequence[LeaderboardRow]) -> Group:
    groups = list(dict.fromkeys(row.group for row in rows))
    if len(groups) == 1:
        return groups[0]
    names = {f"protocol {one.protocol_version}, data {one.dataset_version}": one for one in groups}
    return names[_select("Version", list(names))]


def _headline_first(metrics: Sequence[str], headline: str) -> list[str]:
    return sorted(dict.fromkeys(metrics), key=lambda name: name != headline)


def _of_methods(rows: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    names = sorted({f"{row.method}/{row.variant}" for row in rows})
    wanted = st.multiselect("Methods", names, placeholder="all")
    baselines = st.toggle("Baselines", value=True, help="show the methods that mark what is easy")
    return [
        row for row in rows if (not wanted or f"{row.method}/{row.variant}" in wanted) and (baselines or not row.is_baseline)
    ]
