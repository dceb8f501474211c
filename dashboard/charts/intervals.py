"""Values with their confidence intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from deep3dmap.dashboard.charts.chart import LABEL_SIZE, Spec, ink, kinds, layered, quantity

ROW_HEIGHT, AROUND = 40, 110


def interval_chart(entries: Sequence[Mapping[str, Any]], title: str) -> Spec:
    """Return a chart of each entry's value and interval, in the given order.

    entries: records with the fields name, kind, value, low, high, label, interval.
    """
    y = {
        "field": "name",
        "type": "nominal",
        "sort": [one["name"] for one in entries],
        "title": None,
        "axis": {"labelLimit": 200, "ticks": False, "domain": False, "labelFlush": False},
    }
    x = quantity("value", title, scale={"padding": 24})
    color = {
        "field": "kind",
        "type": "nominal",
        "scale": kinds(),
        "legend": {"title": None, "orient": "top", "symbolOpacity": 1},
    }
    tips = [{"field": field, "title": name} for field, name in (("name", "method"), ("label", "value"), ("interval", "95 %"))]
    rule = {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "color": color}
    dot = {"type": "point", "filled": True, "size": 110, "opacity": 1}
    text_mark = {"type": "text", "dy": -13, "fontSize": LABEL_SIZE, "color": ink()}
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 3, "opacity": 0.45}, "encoding": rule},
        {"mark": dot, "encoding": {"x": x, "y": y, "color": color, "tooltip": tips}},
        {"mark": text_mark, "encoding": {"x": x, "y": y, "text": {"field": "label"}}},
    ]
    return layered(entries, layers, ROW_HEIGHT * len(entries) + AROUND)
