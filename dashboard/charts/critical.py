"""Critical-difference diagram (Demsar): mean ranks over several tables, with bars joining indistinguishable entries."""

from typing import Any

from deep3dmap.dashboard.charts.chart import LABEL_SIZE, Spec, blue, ink
from deep3dmap.results.across import Ranking

ROW_HEIGHT, AROUND, BAR_GAP = 36, 90, 0.12


def critical_chart(ranking: Ranking) -> Spec:
    """Return a chart with each entry at its mean rank and a bar over each clique. Requires at least two entries."""
    entries = [{"name": name, "rank": rank, "label": f"{rank:.2f}"} for name, rank in zip(ranking.names, ranking.mean_ranks)]
    end = max(ranking.mean_ranks)
    bars: list[dict[str, Any]] = [
        {"from": clique[0], "to": clique[-1], "at": end + BAR_GAP * (2 + number)}
        for number, clique in enumerate(ranking.cliques)
    ]
    order = list(ranking.names)
    y = {"type": "nominal", "sort": order, "scale": {"domain": order}, "title": None}
    axis = {"labelLimit": 220, "ticks": False, "domain": False, "grid": True, "labelFlush": False}
    x = {
        "type": "quantitative",
        "title": "mean rank, lower is better",
        "scale": {"domain": [1, max(len(order), *(bar["at"] for bar in bars))] if bars else [1, len(order)], "padding": 20},
        "axis": {"tickMinStep": 0.5},
    }
    point = {"x": {"field": "rank", **x}, "y": {"field": "name", "axis": axis, **y}}
    dot = {"type": "point", "filled": True, "size": 120, "opacity": 1, "color": blue()}
    text_mark = {"type": "text", "dy": -13, "fontSize": LABEL_SIZE, "color": ink()}
    layers = [
        {"mark": dot, "encoding": point},
        {"mark": text_mark, "encoding": {**point, "text": {"field": "label"}}},
        {
            "data": {"values": bars},
            "mark": {"type": "rule", "strokeWidth": 5, "strokeCap": "round", "color": ink(), "opacity": 0.7},
            "encoding": {"x": {"field": "at", **x}, "y": {"field": "from", **y}, "y2": {"field": "to"}},
        },
    ]
    return {"data": {"values": entries}, "layer": layers, "height": ROW_HEIGHT * len(order) + AROUND}
