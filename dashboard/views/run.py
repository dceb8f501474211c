"""The run page: results, costs, configuration and environment of one run, and how to repeat it."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.core.errors import UserError
from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import DASH, compact, duration, escape_markdown, integer, memory, show_empty_store
from deep3dmap.dashboard.run_table import run_table
from deep3dmap.dashboard.views.filters import URL
from deep3dmap.dashboard.views.run_curves import curves, live
from deep3dmap.dashboard.views.run_files import files, pictures
from deep3dmap.dashboard.views.run_list import search_runs, show_sibling_runs
from deep3dmap.dashboard.views.run_making import configuration, environment
from deep3dmap.dashboard.views.run_metrics import metrics
from deep3dmap.dashboard.views.run_replay import replay
from deep3dmap.dashboard.views.run_surfaces import surfaces

# The sections of the page; each takes a frame with the attempt's row.
SECTIONS: tuple[Callable[[pd.DataFrame], None], ...] = (
    metrics,
    pictures,
    surfaces,
    curves,
    replay,
    configuration,
    environment,
    files,
)


def show() -> None:
    """Show the page."""
    attempts = reading.attempts()
    with st.sidebar:
        query = str(st.text_input("Run", key="run_id", bind=URL, placeholder="start of an id, or search words")).strip()
    found = search_runs(attempts, query)
    if len(found) == 1:
        _run(attempts, str(found.run_id.iloc[0]))
    elif _is_active_trial(query):
        live(query)
    elif attempts.empty:
        show_empty_store(reading.store_uri())
    else:
        _list(attempts, found, query)


def _is_active_trial(query: str) -> bool:
    try:
        return bool(query) and reading.trials().find_state(query) is not None
    except UserError:
        return False


def _list(attempts: pd.DataFrame, found: pd.DataFrame, query: str) -> None:
    markup.show(markup.heading("Runs", "Newest runs first. Use the field in the sidebar to search by id, name or status."))
    if query and found.empty:
        st.warning(f"No run matches “{escape_markdown(query)}”; showing the newest runs.")
    markup.show(run_table(search_runs(attempts, "") if found.empty else found))


def _run(attempts: pd.DataFrame, run_id: str) -> None:
    chosen = _attempt(attempts[attempts.run_id == run_id])
    run = chosen.iloc[0]
    _heading(run)
    show_sibling_runs(run)
    if run.status != "ok":
        st.error(escape_markdown(run.status) + ("" if run.error else ": no further information"), icon=":material/error:")
    if run.error:
        st.code(run.error, language=None, wrap_lines=True)
    for section in SECTIONS:
        section(chosen)


def _attempt(own: pd.DataFrame) -> pd.DataFrame:
    """Show a selector for the attempts at a run and return the row of the selected one, by default the one that counts."""
    default = int(own[own.counts].attempt.iloc[0])
    if len(own) == 1:
        return own
    labels = {
        int(row.attempt): f"{row.started_at:%Y-%m-%d %H:%M} {row.status}{', counts' if row.counts else ''}"
        for _, row in own.sort_values("attempt", ascending=False).iterrows()
    }
    key = f"attempt {own.run_id.iloc[0]}"
    with st.sidebar:
        picked = st.selectbox("Attempt", list(labels), list(labels).index(default), labels.__getitem__, key=key)
    return own[own.attempt == picked]


def _heading(run: Any) -> None:
    suite = markup.board_link(run, f"suite {markup.text(run.suite)}") if run.suite else "training"
    words = [markup.status(run.status), suite, f"tier {markup.text(run.tier)}" if run.tier else ""]
    words += [f"dataset {markup.text(run.dataset)}/{markup.text(run.dataset_variant)}", f"seed {run.seed}"]
    words += [f"{run.started_at:%Y-%m-%d %H:%M} UTC", f"run <code>{markup.text(run.run_id)}</code>"]
    inputs = f"inputs: {markup.text(', '.join(run.inputs) or DASH)}"
    title = f"{run.method}/{run.variant}"
    markup.show(
        markup.heading(title, " · ".join(filter(None, words)), inputs),
        markup.facts({name: markup.text(value) for name, value in _figures(run).items() if value != DASH}),
    )
    if run.cut_short:
        st.info(escape_markdown(run.cut_short), icon=":material/timer:")


def _figures(run: Any) -> dict[str, str]:
    return {
        "Training": duration(run.train_s) if run.train_s else DASH,
        "Fitting": duration(run.fit_s) if run.fit_s else DASH,
        "Reconstruction": duration(run.reconstruct_s),
        "Evaluation": duration(run.evaluate_s),
        "Steps": integer(run.steps) if run.steps else DASH,
        "Parameters": compact(run.parameters) if run.parameters else DASH,
        "Peak RAM": memory(run.peak_ram_mb),
        "Peak GPU": memory(run.peak_gpu_mb),
        "Device": run.device or DASH,
    }
