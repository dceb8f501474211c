"""Which group, metric and entries the pages of scenes show: choices in the sidebar, kept in the URL."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.verdicts import entry_name, headline_first
from deep3dmap.results.board import Board
from deep3dmap.results.entries import Group
from deep3dmap.results.kept_scenes import KeptScene, fullest, kept_scenes
from deep3dmap.results.leaderboard import boards
from deep3dmap.results.schema import SWEEPS
from deep3dmap.results.store import ResultStore

URL: Literal["query-params"] = "query-params"
BOARDS_KEPT = 16


@dataclass(frozen=True)
class SceneChoice:
    """A board, with the title of its suite and the names of its rows, each different."""

    board: Board
    title: str
    names: list[str]

    def scenes_of(self, place: int) -> dict[str, KeptScene]:
        """Return what the runs of a row kept of each scene."""
        uri, scenes = reading.store_uri(), tuple(self.board.scenes)
        runs = _counting(self.board.rows[place].run_ids)
        return fullest(_kept(uri, run_id, attempt, scenes) for run_id, attempt in runs)


def choose() -> SceneChoice | None:
    """Draw the choices of suite, tier, dataset, version and metric; None where the store has no results of a suite."""
    attempts = reading.attempts()
    of_suites = attempts[(attempts.suite != "") & ~attempts.suite.astype(str).str.startswith(SWEEPS)]
    if of_suites.empty:
        return None
    with st.sidebar:
        kept = of_suites
        suite = select("Suite", "suite", kept.suite)
        kept = kept[kept.suite == suite]
        tier = select("Tier", "tier", kept.tier)
        kept = kept[kept.tier == tier]
        data = select("Dataset", "dataset", kept.dataset + "/" + kept.dataset_variant)
        own = _boards(reading.store_uri(), f"{len(attempts)} {attempts.started_at.max()}", suite, data, tier)
        groups = list(dict.fromkeys(board.group for board in own))
        group = groups[0]
        if len(groups) > 1:
            versions = {_version(one): one for one in groups}
            group = versions[select("Version", "version", versions)]
        card = reading.cards("suite").get(suite, {}).get("card", {})
        by_metric = {board.metric: board for board in headline_first(own, card) if board.group == group}
        board = by_metric[select("Metric", "metric", by_metric)]
    return SceneChoice(board, str(card.get("title", suite)), distinct([entry_name(row) for row in board.rows]))


def select(label: str, key: str, names: Iterable[str]) -> str:
    """Draw a choice that is kept in the URL under its key; the first name is chosen at first."""
    return str(st.selectbox(label, list(dict.fromkeys(map(str, names))), key=key, bind=URL, format_func=one_line))


def one_line(text: Any) -> str:
    """Return a text without line breaks."""
    return " ".join(str(text).split())


def distinct(names: Sequence[str]) -> list[str]:
    """Return the names, numbered where several are equal."""
    return [name if names.count(name) == 1 else f"{name} #{place + 1}" for place, name in enumerate(names)]


def _version(group: Group) -> str:
    return f"protocol {group.protocol_version}, data {group.dataset_version}"


@st.cache_resource(show_spinner="Aggregating the results", max_entries=BOARDS_KEPT)
def _boards(uri: str, stamp: str, suite: str, dataset: str, tier: str) -> list[Board]:
    """stamp: changes when the store has something new."""
    return boards(ResultStore(uri), suite=suite, dataset=dataset, tier=tier, metric="all")


def _counting(run_ids: Sequence[str]) -> list[tuple[str, int]]:
    attempts = reading.attempts()
    own = attempts[attempts.counts & (attempts.status == "ok") & attempts.run_id.isin(list(run_ids))].sort_values("seed")
    return [(str(run_id), int(attempt)) for run_id, attempt in zip(own.run_id, own.attempt)]


@lru_cache(256)
def _kept(uri: str, run_id: str, attempt: int, scenes: tuple[str, ...]) -> dict[str, KeptScene]:
    return kept_scenes(ResultStore(uri), run_id, attempt, scenes)
