"""Reads the store for the pages, and remembers what was read.

Files of a store are immutable, so the listing of a folder tells whether anything is new, and only that is read.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard.snapshot import Snapshot
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.leaderboard import leaderboard as aggregate
from deep3dmap.results.store import ResultStore

RESULTS_VARIABLE = "DEEP3DMAP_DASHBOARD_RESULTS"
Listing = tuple[tuple[str, ...], ...]


@contextmanager
def show_problems() -> Iterator[None]:
    """Show damaged files as warnings above the page, and what a user can mend as one line instead of a traceback."""
    try:
        for message in _snapshot(store_uri(), listing()).problems:
            st.warning(message, icon=":material/broken_image:")
        yield
    except (UserError, OSError) as error:
        st.error(str(error), icon=":material/error:")


def store_uri() -> str:
    """Return the place of the store that the pages show."""
    return open_store(os.environ.get(RESULTS_VARIABLE, "results")).uri


@st.cache_resource(show_spinner=False)
def open_store(uri: str) -> ResultStore:
    """Open a store once."""
    return ResultStore(uri)


def listing() -> Listing:
    """Return the names of the files that the tables are read from."""
    storage = open_store(os.environ.get(RESULTS_VARIABLE, "results")).storage
    return tuple(tuple(storage.names(f"tables/{table}", ".parquet")) for table in ("runs", "metrics", "cards"))


def rows(suite: str, tier: str, dataset: str) -> list[LeaderboardRow]:
    """Return the leaderboard of one suite, tier and dataset (NAME/VARIANT) under every metric."""
    return _rows(store_uri(), listing(), suite, tier, dataset)


def attempts() -> pd.DataFrame:
    """Return every attempt at every run, newest first; `counts` marks the one of each run that the leaderboard uses."""
    return _attempts(store_uri(), listing())


def cards(kind: str) -> dict[str, dict[str, Any]]:
    """Return the cards of a kind: method, dataset or suite."""
    return _cards(store_uri(), listing(), kind)


def trial_states() -> pd.DataFrame:
    """Return where each trial is; read anew every time, since these files are rewritten."""
    with _without_warnings():
        return open_store(store_uri()).trial_states()


def metrics_of(attempt: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of one attempt, given as a frame with its one row."""
    return _of_attempt(store_uri(), "metrics", listing(), str(attempt.run_id.iloc[0]), int(attempt.attempt.iloc[0]))


def curves_of(attempt: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of one attempt, given as a frame with its one row."""
    return _of_attempt(store_uri(), "curves", listing(), str(attempt.run_id.iloc[0]), int(attempt.attempt.iloc[0]))


def pictures_of(attempt: pd.DataFrame) -> dict[str, list[str]]:
    """Return {scene: names of its pictures within the store} of one attempt."""
    store, run_id, number = open_store(store_uri()), str(attempt.run_id.iloc[0]), int(attempt.attempt.iloc[0])
    folder = f"artifacts/{run_id}/{number}"
    found: dict[str, list[str]] = {}
    for name in store.storage.names(folder, ".png", recursive=True):
        found.setdefault(name.rpartition("/")[0], []).append(f"{folder}/{name}")
    return found


@st.cache_data(show_spinner=False, max_entries=64)
def picture(uri: str, name: str) -> bytes:
    """Return the bytes of a picture, wherever the store is."""
    return open_store(uri).storage.read(name)


@st.cache_data(show_spinner="Aggregating the results", max_entries=32)
def _rows(uri: str, files: Listing, suite: str, tier: str, dataset: str) -> list[LeaderboardRow]:
    return aggregate(_snapshot(uri, files), suite=suite, tier=tier, dataset=dataset, metric="all")


@st.cache_data(show_spinner=False, max_entries=4)
def _attempts(uri: str, files: Listing) -> pd.DataFrame:
    store = _snapshot(uri, files)
    counting, every = store.runs(), store.runs(newest_only=False)
    chosen = set(zip(counting.run_id, counting.attempt))
    marked = every.assign(counts=[pair in chosen for pair in zip(every.run_id, every.attempt)])
    return marked.sort_values("started_at", ascending=False).reset_index(drop=True)


@st.cache_data(show_spinner=False, max_entries=12)
def _cards(uri: str, files: Listing, kind: str) -> dict[str, dict[str, Any]]:
    return _snapshot(uri, files).cards(kind)


@st.cache_data(show_spinner=False, max_entries=64)
def _of_attempt(uri: str, table: str, files: Listing, run_id: str, attempt: int) -> pd.DataFrame:
    wanted = pd.DataFrame({"run_id": [run_id], "attempt": [attempt]})
    with _without_warnings():
        store = open_store(uri)
        return store.metrics(wanted) if table == "metrics" else store.curves(wanted)


@st.cache_resource(show_spinner="Reading the results", max_entries=2)
def _snapshot(uri: str, files: Listing) -> Snapshot:
    return Snapshot(open_store(uri))


@contextmanager
def _without_warnings() -> Iterator[None]:
    # Damaged files are named once, at the top of the page.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
