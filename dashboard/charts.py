"""The charts of the pages, as Altair specifications made from plain frames."""

import altair as alt
import pandas as pd

from deep3dmap.dashboard.look import BLUE, GREEN, GREY, VERMILION

KINDS = alt.Scale(domain=["method", "baseline"], range=[BLUE, GREY])
SHAPES = alt.Scale(domain=["method", "baseline"], range=["circle", "square"])
ROW_HEIGHT, CHART_HEIGHT = 44, 320
LABEL_WIDTH = 220
LABEL_ROOM = 75  # pixels beside the outermost points, for half a name


def values_chart(frame: pd.DataFrame, title: str) -> alt.LayerChart:
    """Draw each entry's value with its interval, best on top. Columns: entry, kind, value, low, high, label."""
    order = list(frame.entry)
    y = alt.Y("entry:N", sort=order, title=None, axis=alt.Axis(labelLimit=LABEL_WIDTH, ticks=False, domain=False))
    base = alt.Chart(frame).encode(y=y)
    tooltip = [alt.Tooltip("entry:N", title="method"), alt.Tooltip("label:N", title=title), alt.Tooltip("interval:N")]
    interval = base.mark_rule(strokeWidth=3, opacity=0.45).encode(
        x="low:Q", x2="high:Q", color=alt.Color("kind:N", scale=KINDS, legend=None)
    )
    points = base.mark_point(size=130, filled=True, opacity=1).encode(
        x=alt.X("value:Q", title=title, scale=alt.Scale(zero=False, padding=24), axis=alt.Axis(format=".4~g", tickCount=6)),
        color=alt.Color("kind:N", scale=KINDS, legend=alt.Legend(title=None, orient="top")),
        shape=alt.Shape("kind:N", scale=SHAPES),
        tooltip=tooltip,
    )
    labels = base.mark_text(dy=-14, fontSize=12, color=GREY).encode(x="value:Q", text="label:N")
    return (interval + points + labels).properties(height=max(CHART_HEIGHT, ROW_HEIGHT * len(order) + 60))


def cost_chart(frame: pd.DataFrame, title: str) -> alt.LayerChart:
    """Draw quality against seconds with the Pareto front. Columns: entry, kind, value, seconds, front, label, cost."""
    scale = (
        alt.Scale(type="log", nice=False, padding=LABEL_ROOM) if (frame.seconds > 0).all() else alt.Scale(padding=LABEL_ROOM)
    )
    x = alt.X(
        "seconds:Q",
        title="seconds per run: training and reconstruction",
        scale=scale,
        axis=alt.Axis(format=".3~s", tickCount=6, grid=False),
    )
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, padding=24), axis=alt.Axis(format=".4~g", tickCount=6))
    base = alt.Chart(frame).encode(x=x, y=y)
    front = (
        alt.Chart(frame[frame.front].sort_values("seconds"))
        .mark_line(interpolate="step-after", color=VERMILION, strokeDash=[5, 4], strokeWidth=1.5)
        .encode(x="seconds:Q", y="value:Q")
    )
    points = base.mark_point(size=130, filled=True, opacity=1).encode(
        color=alt.Color("kind:N", scale=KINDS, legend=alt.Legend(title=None, orient="top")),
        shape=alt.Shape("kind:N", scale=SHAPES),
        tooltip=[
            alt.Tooltip("entry:N", title="method"),
            alt.Tooltip("label:N", title=title),
            alt.Tooltip("cost:N", title="seconds"),
        ],
    )
    # Neighbours in cost have their names on different sides, so that they do not run into each other.
    by_cost = frame.sort_values("seconds")
    above, below = (
        alt.Chart(by_cost.iloc[first::2]).mark_text(dy=dy, fontSize=12, color=GREY).encode(x=x, y=y, text="entry:N")
        for first, dy in ((0, -14), (1, 16))
    )
    return (front + points + above + below).properties(height=max(CHART_HEIGHT, ROW_HEIGHT * len(frame) + 60))


def curve_chart(frame: pd.DataFrame, name: str, over: str, logarithmic: bool) -> alt.Chart:
    """Draw one training curve. Columns: step, seconds, value. over: "step" or "seconds"."""
    scale = alt.Scale(type="log") if logarithmic else alt.Scale(zero=False)
    return (
        alt.Chart(frame)
        .mark_line(color=BLUE if "loss" in name else GREEN, strokeWidth=2)
        .encode(
            x=alt.X(f"{over}:Q", title=over, axis=alt.Axis(format=".3~s", tickCount=6)),
            y=alt.Y("value:Q", title=None, scale=scale, axis=alt.Axis(format=".4~g", tickCount=5)),
            tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("seconds:Q", format=".4~g"), alt.Tooltip("value:Q", format=".4~g")],
        )
        .properties(height=240, title=name)
    )
