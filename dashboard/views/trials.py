"""The trials page: what is pending and running, and how the last trials ended. It refreshes by itself."""

from datetime import UTC, datetime
from typing import Any

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import reading
from deep3dmap.dashboard.look import duration, nothing_yet, table_height

REFRESH_S = 5
STATES = {"running": 0, "pending": 1}
ENDED_SHOWN = 50


def show() -> None:
    """Show the page."""
    st.header("Trials")
    _states()


@st.fragment(run_every=REFRESH_S)
def _states() -> None:
    with reading.show_problems():
        states = reading.trial_states()
        if states.empty:
            nothing_yet(reading.store_uri())
            return
        _counts(states)
        ordered = states.assign(order=[STATES.get(state, 2) for state in states.state]).sort_values(
            ["order", "since"], ascending=[True, False]
        )
        going = ordered[ordered.order < 2]
        st.subheader("Now")
        if going.empty:
            st.caption("Nothing is running.")
        else:
            # What has not ended has no row in the store yet, so there is no page to link to.
            frame = _frame(going, "last sign").assign(run=going.run_id.str[:8].to_numpy())
            widths = {"what": st.column_config.Column(width="large"), "run": st.column_config.Column(width="small")}
            st.dataframe(frame, hide_index=True, column_config=widths, height=table_height(len(going)))
        ended = ordered[ordered.order == 2].head(ENDED_SHOWN)
        if len(ended):
            st.subheader("Ended")
            st.dataframe(_frame(ended, "ended"), hide_index=True, column_config=_columns(), height=table_height(len(ended)))
        st.caption(f"Refreshed every {REFRESH_S} s, last at {datetime.now(UTC):%H:%M:%S} UTC.")


def _counts(states: pd.DataFrame) -> None:
    names = {"running": "Running", "pending": "Pending", "ok": "Finished", "stopped": "Stopped early"}
    counts = states.state.map(names).fillna("Failed").value_counts()
    labels = [label for label in (*names.values(), "Failed") if label != names["stopped"] or counts.get(label, 0)]
    for place, label in zip(st.columns(len(labels)), labels):
        place.metric(label, int(counts.get(label, 0)))


def _frame(states: pd.DataFrame, when: str) -> pd.DataFrame:
    now = datetime.now(UTC)
    return pd.DataFrame(
        {
            "run": [f"run?run_id={run_id}" for run_id in states.run_id],
            "state": states.state,
            "what": states.text,
            when: [f"{duration(max(0.0, (now - since).total_seconds()), 2)} ago" for since in states.since],
        }
    )


def _columns() -> dict[str, Any]:
    return {
        "run": st.column_config.LinkColumn("run", display_text=r"run_id=(.{8})", width="small"),
        "what": st.column_config.Column(width="large"),
    }
