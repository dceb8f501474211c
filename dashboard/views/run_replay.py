"""Comparison of a run with its repetition, and the command that repeats it."""

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import number
from deep3dmap.dashboard.markup import Column
from deep3dmap.results.reproduction import CANNOT_RUN, DIFFERS, from_json


def replay(attempt: pd.DataFrame) -> None:
    """Show the section."""
    run = attempt.iloc[0]
    if not run.suite:
        return
    markup.show(markup.section("Replay"))
    every = reading.attempts()
    repetition = every[(every.run_id == run.run_id) & (every.reproduces == run.attempt) & (every.verdict != "")]
    if repetition.empty:
        markup.show(markup.note("This run has not been repeated yet. To repeat it:"))
    else:
        _verdicts(repetition.sort_values("verdict_at").iloc[-1])
    st.code(f"deep3dmap reproduce {run.run_id} results={reading.store_uri()}", language="bash")


def _verdicts(repetition: "pd.Series[str]") -> None:
    verdicts = from_json(repetition.verdict)
    columns = [Column("metric", "name"), Column("verdict"), Column("original", "number"), Column("repeated", "number")]
    lines = []
    for one in verdicts:
        kind = "warn" if one.verdict in (DIFFERS, CANNOT_RUN) else "good"
        verdict_tag = markup.tag(one.verdict, kind) + (markup.element("small", markup.text(one.missing)) if one.missing else "")
        lines.append([markup.name(one.metric), verdict_tag, number(one.before), number(one.after)])
    when = f"Repeated on {repetition.verdict_at:%Y-%m-%d %H:%M} UTC."
    markup.show(markup.note(when), markup.table(columns, lines, name="verdicts"))
