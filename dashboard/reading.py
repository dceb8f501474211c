"""Reads the store for the pages. What was read is shared by all visitors; see following.py for what is read again."""

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
from deep3dmap.dashboard.look import as_text
from deep3dmap.dashboard.snapshot import Snapshot
from deep3dmap.dashboard.trials import Trials, trials_of
from deep3dmap.results.compact import WORTH_COMPACTING
from deep3dmap.results.store import ResultStore

RESULTS_VARIABLE = "DEEP3DMAP_DASHBOARD_RESULTS"
KEPT_VARIABLE = "DEEP3DMAP_DASHBOARD_KEPT"
PICTURES_KEPT = 64
READ_AHEAD = 12
# Until then the boards that nobody has asked for leave the processor to the first page.
WAIT_FOR_FIRST_PAGE_S = 5.0
_LOCK, _FIRST_PAGE = threading.Lock(), threading.Event()


@contextmanager
def show_problems() -> Iterator[None]:
    """Show damaged files as warnings above the page, and what a user can mend as one line instead of a traceback."""
    try:
        for message in snapshot().problems:
            st.warning(as_text(message), icon=":material/broken_image:")
        yield
    except (UserError, OSError) as error:
        st.error(as_text(str(error)), icon=":material/error:")


def store_uri() -> str:
    """Return the place of the store that the pages show."""
    return open_store().uri


def open_store() -> ResultStore:
    """Return the store that the pages show."""
    return _follower().store


def snapshot() -> Snapshot:
    """Return the store as it is now; says so while it is read for the first time."""
    follower = _follower()
    if follower.is_ready:
        return follower.newest()
    with st.spinner(as_text(_what_is_done(follower)), show_time=True):
        return follower.newest()


def attempts() -> pd.DataFrame:
    """Return every attempt at every run, newest first; `counts` marks the one of each run that the leaderboard uses."""
    return snapshot().attempts()


def cards(kind: str) -> dict[str, dict[str, Any]]:
    """Return the cards of a kind: method, dataset or suite."""
    return snapshot().cards(kind)


def trials() -> Trials:
    """Return where the trials of the store are."""
    return trials_of(store_uri())


def metrics_of(attempt: pd.DataFrame) -> pd.DataFrame:
    """Return the metrics of one attempt, given as a frame with its one row."""
    newest = snapshot()
    key = ("metrics of", str(attempt.run_id.iloc[0]), int(attempt.attempt.iloc[0]))
    return newest.once(key, lambda: newest.metrics(attempt))


def curves_of(attempts: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of a few attempts, given by their rows; a file that is damaged is named on the page."""
    key = ("curves", *zip(attempts.run_id, attempts.attempt))
    found, problems = snapshot().once(key, lambda: _read_curves(attempts))
    for one in problems:
        st.warning(as_text(one), icon=":material/broken_image:")
    return found


def _read_curves(attempts: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return open_store().curves(attempts), [str(one.message) for one in caught]


def first(runs: pd.DataFrame, wanted: "pd.Series[bool]", count: int) -> pd.DataFrame:
    """Return the first of the runs that are wanted; what is not returned is not copied."""
    return runs.iloc[np.flatnonzero(wanted)[:count]]


def pictures_of(attempt: pd.DataFrame) -> dict[str, list[str]]:
    """Return {scene: names of its pictures within the store} of one attempt."""
    store = open_store()
    folder = store.artifacts_name(str(attempt.run_id.iloc[0]), int(attempt.attempt.iloc[0]))
    found: dict[str, list[str]] = {}
    for name in store.storage.names(folder, ".png", recursive=True):
        found.setdefault(name.rpartition("/")[0], []).append(f"{folder}/{name}")
    return found


@lru_cache(PICTURES_KEPT)
def picture(uri: str, name: str) -> bytes:
    """Return the bytes of a picture, wherever the store is."""
    return ResultStore(uri).storage.read(name)


def read_ahead() -> None:
    """Read the store and aggregate what the pages show at first, so that it is there when somebody comes."""
    # What is wrong with the store is said on the pages.
    with suppress(UserError, OSError):
        follower = _follower()
        if follower.unread > WORTH_COMPACTING:
            print(_what_is_done(follower), file=sys.stderr, flush=True)
        newest = follower.newest()
        newest.attempts()
        for place, group in enumerate(list(newest.groups())[:READ_AHEAD]):
            newest.board(group, newest.metric_names(group)[0])
            if place == 0:
                _FIRST_PAGE.wait(WAIT_FOR_FIRST_PAGE_S)
        follower.remember()


def first_page_is_drawn() -> None:
    """Say so to who reads ahead."""
    _FIRST_PAGE.set()


def _what_is_done(follower: Follower) -> str:
    if follower.unread <= WORTH_COMPACTING:
        return "Reading the results"
    command = f"deep3dmap results compact results={follower.store.uri}"
    return f"Reading {follower.unread:,} files of single attempts for the first time; to make it fast for everybody: {command}"


def _follower() -> Follower:
    # The first visitor may come while the store is read ahead; it is to be read once.
    with _LOCK:
        return _new_follower(os.environ.get(RESULTS_VARIABLE, "results"))


@cache
def _new_follower(uri: str) -> Follower:
    kept = os.environ.get(KEPT_VARIABLE)
    return Follower(uri, Path(kept) if kept else None)
