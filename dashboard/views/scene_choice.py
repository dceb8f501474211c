"""Selection of the board shown on the gallery and compare pages; the selectors in the sidebar are part of the URL."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.verdicts import names_of
from deep3dmap.dashboard.views.filters import choose_group, choose_metric, suite_groups
from deep3dmap.results.board import Board
from deep3dmap.results.kept_scenes import SavedScene, find_saved_scenes, select_best_files
from deep3dmap.results.store import ResultStore


@dataclass(frozen=True)
class SceneChoice:
    """A board with the title of its suite and unique names of its rows."""

    board: Board
    title: str
    names: list[str]

    @property
    def where(self) -> str:
        """The suite, tier and dataset in words."""
        group = self.board.group
        return f"{self.title} · tier {group.tier} · {group.dataset}/{group.dataset_variant}"

    def scenes_of(self, place: int) -> dict[str, SavedScene]:
        """Return {scene: files} saved by the runs of a row, given by index."""
        uri, scenes = reading.store_uri(), tuple(self.board.scenes)
        runs = _counting(self.board.rows[place].run_ids)
        return select_best_files(_kept(uri, run_id, attempt, scenes) for run_id, attempt in runs)


def choose() -> SceneChoice | None:
    """Show selectors for suite, tier, dataset, version and metric; None if the store has no results of a suite."""
    groups = suite_groups()
    if not groups:
        return None
    with st.sidebar:
        group = choose_group(groups)
        board = reading.snapshot().board(group, choose_metric(group)[1])
    card = reading.snapshot().suite_card(group.suite)
    return SceneChoice(board, str(card.get("title", group.suite)), names_of(board.rows))


def _counting(run_ids: Sequence[str]) -> list[tuple[str, int]]:
    attempts = reading.attempts()
    own = attempts[attempts.counts & (attempts.status == "ok") & attempts.run_id.isin(list(run_ids))].sort_values("seed")
    return [(str(run_id), int(attempt)) for run_id, attempt in zip(own.run_id, own.attempt)]


@lru_cache(256)
def _kept(uri: str, run_id: str, attempt: int, scenes: tuple[str, ...]) -> dict[str, SavedScene]:
    return find_saved_scenes(ResultStore(uri), run_id, attempt, scenes)
