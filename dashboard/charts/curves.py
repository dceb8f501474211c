"""Training curves of one or several runs."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from deep3dmap.dashboard.charts.chart import Spec, legend_columns, quantity, series
from deep3dmap.dashboard.look import one_line

HEIGHT, LEGEND_LINE, MOST_POINTS = 240, 30, 400
FIELDS = ("run", "step", "seconds", "value")


def curve_chart(frame: pd.DataFrame, name: str, runs: Sequence[str], over: str, logarithmic: bool) -> Spec:
    """Return a chart of one curve for several runs.

    frame: columns run (one of `runs`), step, seconds, value. name: title. over: "step" or "seconds".
    """
    values = [point for _, own in frame.groupby("run", sort=False) for point in _points(own)]
    label = {"format": ".3~s"} if over == "step" else {"format": ".4~g"}
    columns = legend_columns(runs)
    legend: dict[str, Any] | None = {"title": None, "orient": "top", "columns": columns, "labelLimit": 320}
    tips = [{"field": "run", "type": "nominal"}]
    tips += [{"field": field, "type": "quantitative", "format": ".4~g"} for field in ("step", "seconds", "value")]
    return {
        "data": {"values": values},
        "height": HEIGHT + (LEGEND_LINE * -(-len(runs) // columns) if len(runs) > 1 else 0),
        "title": {"text": one_line(name, 48), "anchor": "start"},
        # Show points, larger for very short curves: a single point has no line.
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 60 if len(values) <= 2 * len(runs) else 12}},
        "encoding": {
            "x": quantity(over, f"{over}{' of training' if over == 'seconds' else ''}", axis=label),
            "y": quantity("value", None, logarithmic),
            "color": {"field": "run", "type": "nominal", "scale": series(runs), "legend": legend if len(runs) > 1 else None},
            "tooltip": tips,
        },
    }


def _points(own: pd.DataFrame) -> list[dict[str, Any]]:
    ordered = own.sort_values("step")
    every = max(1, -(-len(ordered) // MOST_POINTS))
    # Always include the last point.
    kept = pd.concat([ordered.iloc[::every], ordered.iloc[-1:]]).drop_duplicates("step") if every > 1 else ordered
    return [dict(zip(FIELDS, row)) for row in kept[list(FIELDS)].itertuples(index=False)]
