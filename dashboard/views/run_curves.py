"""The curves of a run, optionally with those of other runs, and the curves of a run in progress."""

from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.charts import chart
from deep3dmap.dashboard.charts.curves import curve_chart
from deep3dmap.dashboard.look import one_line
from deep3dmap.dashboard.trials import live_curves
from deep3dmap.dashboard.views.filters import URL

RUNS_OFFERED, REFRESH_S = 200, 5


def curves(attempt: pd.DataFrame) -> None:
    """Show the section."""
    own = reading.curves_of(attempt)
    if own.empty:
        return
    markup.show(markup.section("Training"))
    run = attempt.iloc[0]
    others = _others(run)
    names = st.multiselect("Compare with", list(others), key="beside", bind=URL, placeholder="other runs of the suite")
    parts = [own.assign(run=_name(run))]
    for name in names:
        other = reading.snapshot().runs().loc[[others[name]]]
        parts.append(reading.curves_of(other).assign(run=name))
    draw(pd.concat(parts))


def live(run_id: str) -> None:
    """Show a run in progress; the view refreshes automatically."""
    state = reading.trials().find_state(run_id)
    markup.show(markup.heading(state.text if state and state.text else run_id, f"run <code>{markup.text(run_id)}</code>"))
    _live(run_id)


@st.fragment(run_every=REFRESH_S)
def _live(run_id: str) -> None:
    with reading.show_problems():
        state = reading.trials().find_state(run_id)
        last_update = f"last update {state.since:%Y-%m-%d %H:%M:%S} UTC" if state else ""
        markup.show(markup.note(f"{markup.status(state.state if state else 'gone')} {last_update}"))
        found = live_curves(reading.open_store(), run_id)
        if found.empty:
            markup.show(markup.note("No curves yet."))
            return
        draw(found.assign(run=run_id[:8]))


def draw(frame: pd.DataFrame) -> None:
    """Draw one chart for each curve name. Columns: run, scene, step, seconds, name, value."""
    with st.container(horizontal=True, vertical_alignment="center"):
        over = st.segmented_control(
            "Over", ["step", "seconds"], default="step", key="over", bind=URL, label_visibility="collapsed"
        )
        logarithmic = st.toggle("Logarithmic", key="log", bind=URL)
    scenes = sorted(set(frame.scene))
    if len(scenes) > 1:
        scene = st.selectbox("Fitted to", scenes, key="fitted", format_func=lambda name: one_line(name) or "training")
        frame = frame[frame.scene == scene]
    runs = list(dict.fromkeys(frame.run))
    columns = st.columns(2, gap="large")
    for index, (name, own) in enumerate(frame.groupby("name", sort=True)):
        # A logarithmic axis can only show positive values.
        is_log = logarithmic and bool((own.value > 0).all())
        with columns[index % 2]:
            chart.show(curve_chart(own, str(name), runs, over or "step", is_log), f"curve of {one_line(name, 60)}")


def _others(run: "pd.Series[str]") -> dict[str, Any]:
    """Return {name: index in the table of runs} for the runs that can be compared with a run."""
    runs = reading.snapshot().runs()
    is_comparable = (runs.suite == run.suite) & (runs.dataset == run.dataset) & (runs.run_id != run.run_id) & (runs.steps > 0)
    return {_name(row): row.Index for row in reading.first(runs, is_comparable, RUNS_OFFERED).itertuples()}


def _name(run: Any) -> str:
    return one_line(f"{run.method}/{run.variant} seed {run.seed} {run.run_id[:8]}", 60)
