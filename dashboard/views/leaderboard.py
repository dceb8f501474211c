"""The leaderboard page: ranking with uncertainties, costs, and failed runs."""

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import arrow, show_empty_store
from deep3dmap.dashboard.run_table import run_table
from deep3dmap.dashboard.views.board_figures import figures
from deep3dmap.dashboard.views.board_table import board_table
from deep3dmap.dashboard.views.downloads import downloads
from deep3dmap.dashboard.views.filters import URL, Choice, choose
from deep3dmap.results.board_row import LeaderboardRow
from deep3dmap.results.schema import ENDED_EARLY

ROWS_SHOWN, FAILURES_SHOWN = 100, 50
ORDERS: dict[str, Callable[[LeaderboardRow], Any]] = {
    "rank": lambda row: 0,
    "method": lambda row: (row.method, row.variant),
    "time": lambda row: float("inf") if row.seconds is None else row.seconds,
    "memory": lambda row: row.peak_gpu_mb or row.peak_ram_mb or float("inf"),
}


def show() -> None:
    """Show the page."""
    choice = choose()
    if choice is None:
        show_empty_store(reading.store_uri())
        return
    _heading(choice)
    with st.sidebar:
        order = st.selectbox("Order", list(ORDERS), key="order", bind=URL)
        is_full = st.toggle(
            "All statistics", key="statistics", bind=URL, help="median, interquartile mean, optimality gap and more"
        )
        with_all_metrics = st.toggle("All metrics", key="all_metrics", bind=URL, help="further metrics as columns of the table")
    if not choice.rows:
        st.info("No methods match these filters.")
        return
    _table(choice, sorted(choice.rows, key=ORDERS[order]), is_full, with_all_metrics)
    name = "-".join(re.sub(r"[^\w.-]+", "_", part) for part in (*_group_names(choice), choice.metric) if part)
    downloads(choice.rows, name)
    figures(choice)
    _failures(choice)


def _group_names(choice: Choice) -> tuple[str, str, str]:
    return choice.group.suite, choice.group.tier, choice.group.dataset


def _heading(choice: Choice) -> None:
    group = choice.group
    about = {"suite": group.suite, "tier": group.tier, "dataset": f"{group.dataset}/{group.dataset_variant}"}
    words = [f"{name} <b>{markup.text(value)}</b>" for name, value in about.items() if value]
    words += [f"protocol {group.protocol_version}", f"data version <code>{markup.text(group.dataset_version[:8])}</code>"]
    description = "; ".join(filter(None, [arrow(choice.board.rows[0].better), choice.meaning]))
    meaning = f"<b>{markup.text(choice.metric)}</b>: {markup.text(description)}"
    # A suite without a card and without scores has no metric.
    markup.show(markup.heading(choice.suite_title, " · ".join(words), meaning if choice.metric else ""))


def _table(choice: Choice, rows: list[LeaderboardRow], is_full: bool, with_all_metrics: bool) -> None:
    every = True
    if len(rows) > ROWS_SHOWN:
        every = st.toggle(f"All {len(rows)} entries", key="every", bind=URL)
    snapshot = reading.snapshot()
    metrics = [metric for metric in choice.metrics if metric != choice.metric] if with_all_metrics else []
    others = {metric: snapshot.board(choice.group, metric).rows for metric in metrics}
    shown = rows if every else rows[:ROWS_SHOWN]
    note = "Entries with the same rank do not differ significantly."
    markup.show(board_table(shown, others, is_full), markup.note(note))


def _failures(choice: Choice) -> None:
    runs = reading.snapshot().runs()
    own = {run_id for row in choice.rows for run_id in row.run_ids}
    is_bad = ~runs.status.isin(("ok", *ENDED_EARLY)) & runs.run_id.isin(own)
    failed = int(is_bad.sum())
    if not failed:
        return
    note = f"the newest {FAILURES_SHOWN}" if failed > FAILURES_SHOWN else ""
    newest = reading.first(runs, is_bad, FAILURES_SHOWN)
    markup.show(markup.section(f"Failed runs ({failed})", note), run_table(newest))
