"""The live page: running and pending trials with their curves. It refreshes automatically."""

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.charts import chart
from deep3dmap.dashboard.charts.curves import curve_chart
from deep3dmap.dashboard.look import duration, escape_markdown, show_empty_store
from deep3dmap.dashboard.markup import Column
from deep3dmap.dashboard.run_table import run_table
from deep3dmap.dashboard.trials import TrialState, live_curves, parse_progress
from deep3dmap.results.schema import ENDED_EARLY

REFRESH_S = 5
SHOWN, CURVES_OF, SILENT_S = 50, 4, 600.0


def show() -> None:
    """Show the page."""
    markup.show(markup.heading("Live", "Trials that are running now, and the most recent runs."))
    _states()


@st.fragment(run_every=REFRESH_S)
def _states() -> None:
    with reading.show_problems():
        snapshot, trials = reading.snapshot(), reading.trials()
        runs = snapshot.runs()
        active = trials.find_active(snapshot.cached("ids", lambda: frozenset(runs.run_id)))
        for problem in trials.problems.values():
            st.warning(escape_markdown(problem), icon=":material/broken_image:")
        if not active and runs.empty:
            show_empty_store(reading.store_uri())
            return
        ended = snapshot.cached("ended", lambda: _ended(runs))
        markup.show(markup.facts({**_counts(active), **ended}), markup.section("Now"), _active_table(active[:SHOWN]))
        _curves([one for one in active if one.state == "running"][:CURVES_OF])
        if len(runs):
            last = snapshot.cached("ended last", lambda: run_table(runs.head(SHOWN // 2)))
            markup.show(markup.section("Most recent runs"), last)
        markup.show(markup.note(f"Refreshed every {REFRESH_S} s, last at {datetime.now(UTC):%H:%M:%S} UTC."))


def _counts(active: list[TrialState]) -> dict[str, str]:
    running = sum(one.state == "running" for one in active)
    return {"Running": f"{running:,}", "Pending": f"{len(active) - running:,}"}


def _ended(runs: pd.DataFrame) -> dict[str, str]:
    stopped, finished = int(runs.status.isin(ENDED_EARLY).sum()), int((runs.status == "ok").sum())
    found = {"Finished": finished, "Stopped early": stopped, "Failed": len(runs) - finished - stopped}
    return {name: f"{count:,}" for name, count in found.items() if count or name != "Stopped early"}


def _active_table(active: list[TrialState]) -> str:
    if not active:
        return markup.note("Nothing is running.")
    columns = [Column("state"), Column("what", "name"), Column("done"), Column("last update", "number"), Column("run", "wide")]
    return markup.table(columns, [_line(one) for one in active], name="running and pending trials")


def _line(one: TrialState) -> list[str]:
    silent = (datetime.now(UTC) - one.since).total_seconds()
    share = parse_progress(one.text)
    last_update = f"{duration(max(silent, 0.0), 2)} ago"
    if one.state == "running" and silent > SILENT_S:
        last_update = markup.element(
            "span", last_update, "d3-tag warn", "no update for a long time; its driver may have stopped"
        )
    link = markup.link("run", markup.text(one.run_id[:8]), run_id=one.run_id)
    return [markup.status(one.state), markup.text(one.text), "" if share is None else markup.share(share), last_update, link]


def _curves(running: list[TrialState]) -> None:
    drawn = []
    for one in running:
        curves = live_curves(reading.open_store(), one.run_id)
        name = "loss" if (curves.name == "loss").any() else next(iter(curves.name), "")
        own = curves[curves.name == name].assign(run=one.run_id[:8])
        if len(own):
            drawn.append((name, curve_chart(own, f"{name}, {one.text}", [one.run_id[:8]], "step", False)))
    # Empty columns would leave a gap.
    columns = st.columns(2, gap="large") if drawn else []
    for place, (name, spec) in enumerate(drawn):
        with columns[place % 2]:
            chart.show(spec, name)
