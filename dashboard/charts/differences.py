"""Differences between an entry and others on each scene."""

from collections.abc import Mapping, Sequence
from typing import Any

from deep3dmap.dashboard.charts.chart import Spec, layered, quantity, series
from deep3dmap.dashboard.look import GREY

SCENE_HEIGHT, LEGEND_LINE, AROUND = 32, 22, 150
SIDES = {"up": "right of 0: first method is better", "down": "left of 0: first method is better"}


def difference_chart(values: Sequence[Mapping[str, Any]], metric: str, better: str) -> Spec:
    """Return a chart with a point for each scene and entry; right of 0 the first entry has the larger value.

    values: records with the fields scene, entry, difference (first minus entry), first, value.
    """
    scenes = list(dict.fromkeys(one["scene"] for one in values))
    entries = list(dict.fromkeys(one["entry"] for one in values))
    y: Spec = {"field": "scene", "type": "nominal", "sort": scenes, "title": None}
    y["axis"] = {"labelLimit": 180, "ticks": False, "domain": False, "labelFlush": False}
    x = quantity("difference", None, label=".4~g", axis={"tickCount": 5})
    x["title"] = [f"difference in {metric}", SIDES.get(better, "")]
    color: Spec = {"field": "entry", "type": "nominal", "scale": series(entries)}
    color["legend"] = {"title": "first compared with", "orient": "top", "labelLimit": 300, "columns": 1, "symbolOpacity": 1}
    color["legend"]["symbolType"] = "circle"
    tips: list[Spec] = [{"field": "scene", "type": "nominal"}, {"field": "entry", "title": "compared with", "type": "nominal"}]
    tips += [
        {"field": field, "type": "quantitative", "format": form}
        for field, form in (("first", ".4~g"), ("value", ".4~g"), ("difference", "+.3~g"))
    ]
    stem = {"x": x, "x2": {"datum": 0}, "y": y, "color": color}
    layers = [
        {"mark": {"type": "rule", "color": GREY}, "encoding": {"x": {"datum": 0, "type": "quantitative"}}},
        {"mark": {"type": "rule", "strokeWidth": 2.5, "opacity": 0.5}, "encoding": stem},
        {
            "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": color, "tooltip": tips},
        },
    ]
    return layered(values, layers, SCENE_HEIGHT * len(scenes) + LEGEND_LINE * len(entries) + AROUND)
