"""The metrics of a run: values of the whole run, means over scenes, and values per scene."""

import pandas as pd
import streamlit as st

from deep3dmap.dashboard import markup, reading
from deep3dmap.dashboard.look import number, with_unit
from deep3dmap.dashboard.markup import Column

WHOLE, MEAN = "whole run", "mean over scenes"
SCENES_SHOWN = 12


def metrics(attempt: pd.DataFrame) -> None:
    """Show the section."""
    found = reading.metrics_of(attempt)
    if found.empty:
        return
    frame = metric_frame(found, _order(str(attempt.suite.iloc[0])))
    heads = [Column("scene", "name"), *(Column(name, "number") for name in frame.columns)]
    lines = [[markup.name(scene), *(number(value) for value in row)] for scene, row in zip(frame.index, frame.to_numpy())]
    first = [name for name in frame.index if name in (WHOLE, MEAN)]
    kinds = ["total" if name in first else "" for name in frame.index]
    few = len(first) + SCENES_SHOWN
    markup.show(markup.section("Metrics"), markup.table(heads, lines[:few], kinds, "metrics", "first-stays"))
    if len(lines) > few:
        with st.expander(f"{len(lines) - few} more scenes"):
            markup.show(markup.table(heads, lines[few:], name="metrics of more scenes", kind="first-stays"))


def metric_frame(found: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """Return a table with rows for the whole run, the mean over scenes, and each scene.

    order: names of metrics that come first; others follow alphabetically.
    """
    named = found.assign(column=[with_unit(*pair) for pair in zip(found.metric, found.unit)])
    columns = dict(zip(named.metric, named.column))
    names = [name for name in order if name in columns] + sorted(set(columns) - set(order))
    table = named.pivot_table(index="scene", columns="column", values="value", sort=True, dropna=False)
    scenes = table[table.index != ""]
    summary = table[table.index == ""].rename(index={"": WHOLE})
    mean = scenes.mean().to_frame().T.set_axis([MEAN])
    parts = [part for part in (summary, mean if len(scenes) else scenes, scenes) if len(part)]
    whole = pd.concat([part.dropna(axis="columns", how="all") for part in parts])
    return whole.reindex(columns=[columns[name] for name in names])


def _order(suite: str) -> list[str]:
    """Return the suite's metrics in the order of its card, the headline metric first."""
    card = reading.snapshot().suite_card(suite)
    return sorted((item["name"] for item in card.get("metrics", ())), key=lambda name: name != card.get("headline"))
