"""Access to the store for the pages. Data are shared by all visitors; see following.py for when they are read again."""

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard.following import Follower
from deep3dmap.dashboard.look import escape_markdown
from deep3dmap.dashboard.snapshot import Snapshot
from deep3dmap.dashboard.trials import Trials, trials_of
from deep3dmap.results.compact import WORTH_COMPACTING
from deep3dmap.results.store import ResultStore

RESULTS_VARIABLE = "DEEP3DMAP_DASHBOARD_RESULTS"
CACHE_VARIABLE = "DEEP3DMAP_DASHBOARD_KEPT"
PICTURES_KEPT = 64
READ_AHEAD = 12
# How long reading ahead pauses to leave the CPU to the first page.
WAIT_FOR_FIRST_PAGE_S = 5.0
_LOCK, _FIRST_PAGE = threading.Lock(), threading.Event()


@contextmanager
def show_problems() -> Iterator[None]:
    """Show damaged files as warnings above the page, and errors that a user can fix as one line instead of a traceback."""
    try:
        for message in snapshot().problems:
            st.warning(escape_markdown(message), icon=":material/broken_image:")
        yield
    except (UserError, OSError) as error:
        st.error(escape_markdown(str(error)), icon=":material/error:")


def store_uri() -> str:
    """Return the location of the store that the pages show."""
    return open_store().uri


def open_store() -> ResultStore:
    """Return the store that the pages show."""
    return _follower().store


def snapshot() -> Snapshot:
    """Return a snapshot of the store's current state; shows a spinner while the store is read for the first time."""
    follower = _follower()
    if follower.is_ready:
        return follower.newest()
    with st.spinner(escape_markdown(_loading_message(follower)), show_time=True):
        return follower.newest()


def attempts() -> pd.DataFrame:
    """Return all attempts at all runs, newest first; `counts` marks the attempt of each run that the leaderboard uses."""
    return snapshot().attempts()


def cards(kind: str) -> dict[str, dict[str, Any]]:
    """Return {name: card page} for a kind: method, dataset or suite."""
    return snapshot().cards(kind)


def trials() -> Trials:
    """Return the states of the store's trials."""
    return trials_of(store_uri())


def metrics_of(attempt: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of one attempt, given as a frame with a single row."""
    newest = snapshot()
    key = ("metrics of", str(attempt.run_id.iloc[0]), int(attempt.attempt.iloc[0]))
    return newest.cached(key, lambda: newest.metrics(attempt))


def curves_of(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of a few attempts, given by their rows; damaged files are named on the page."""
    key = ("curves", *zip(attempts.run_id, attempts.attempt))
    found, problems = snapshot().cached(key, lambda: _read_curves(attempts))
    for one in problems:
        st.warning(escape_markdown(one), icon=":material/broken_image:")
    return found


def _read_curves(attempts: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return open_store().curves(attempts), [str(one.message) for one in caught]


def first(runs: pd.DataFrame, wanted: "pd.Series[bool]", count: int) -> pd.DataFrame:
    """Return the first `count` runs that are wanted, without copying the others."""
    return runs.iloc[np.flatnonzero(wanted)[:count]]


def pictures_of(attempt: pd.DataFrame) -> dict[str, list[str]]:
    """Return {scene: names of its pictures within the store} for one attempt."""
    store = open_store()
    folder = store.artifacts_name(str(attempt.run_id.iloc[0]), int(attempt.attempt.iloc[0]))
    found: dict[str, list[str]] = {}
    for name in store.storage.names(folder, ".png", recursive=True):
        found.setdefault(name.rpartition("/")[0], []).append(f"{folder}/{name}")
    return found


@lru_cache(PICTURES_KEPT)
def picture(uri: str, name: str) -> bytes:
    """Return the bytes of a picture in a local or remote store."""
    return ResultStore(uri).storage.read(name)


def read_ahead() -> None:
    """Read the store and aggregate the data that the pages show first, before the first visitor opens one."""
    # Problems with the store are reported on the pages.
    with suppress(UserError, OSError):
        follower = _follower()
        if follower.unread > WORTH_COMPACTING:
            print(_loading_message(follower), file=sys.stderr, flush=True)
        newest = follower.newest()
        newest.attempts()
        for place, group in enumerate(list(newest.groups())[:READ_AHEAD]):
            newest.board(group, newest.metric_names(group)[0])
            if place == 0:
                _FIRST_PAGE.wait(WAIT_FOR_FIRST_PAGE_S)
        follower.remember()


def signal_first_page() -> None:
    """Signal `read_ahead` that the first page is drawn."""
    _FIRST_PAGE.set()


def _loading_message(follower: Follower) -> str:
    if follower.unread <= WORTH_COMPACTING:
        return "Reading the results"
    command = f"deep3dmap results compact results={follower.store.uri}"
    return f"Reading {follower.unread:,} single-attempt files for the first time; to speed this up for everyone, run: {command}"


def _follower() -> Follower:
    # The first visitor may arrive while the store is being read ahead; the lock avoids reading it twice.
    with _LOCK:
        return _new_follower(os.environ.get(RESULTS_VARIABLE, "results"))


@cache
def _new_follower(uri: str) -> Follower:
    cache_folder = os.environ.get(CACHE_VARIABLE)
    return Follower(uri, Path(cache_folder) if cache_folder else None)
