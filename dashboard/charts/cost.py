"""Quality against cost, with the Pareto front."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from deep3dmap.dashboard.charts.chart import HEIGHT, LABEL_SIZE, Spec, front_line, ink, kinds, layered, quantity
from deep3dmap.dashboard.charts.labels import place
from deep3dmap.results.pareto import pareto_front

# Two layouts of the names, for plots of at least these widths in pixels; the narrow one shows fewer names.
WIDE, NARROW = 480.0, 250.0
# Ticks of a logarithmic axis in seconds or megabytes, at round numbers in suitable units.
_TICKS = {
    "time": [
        *((1e-3, "1 ms"), (0.01, "10 ms"), (0.1, "0.1 s"), (0.2, "0.2 s"), (0.5, "0.5 s")),
        *((1, "1 s"), (2, "2 s"), (5, "5 s"), (10, "10 s"), (30, "30 s")),
        *((60, "1 min"), (120, "2 min"), (300, "5 min"), (600, "10 min"), (1800, "30 min"), (3600, "1 h"), (7200, "2 h")),
        *((18_000, "5 h"), (36_000, "10 h"), (86_400, "1 d"), (432_000, "5 d"), (864_000, "10 d")),
    ],
    "memory": [
        *((size, f"{size} MB") for size in (10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900)),
        *((size * 1024, f"{size} GB") for size in (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80, 128, 256, 512)),
    ],
}
# WIDER: factor beyond the outermost costs up to which ticks are shown.
MOST_TICKS, WIDER = 7, 1.6
Place = tuple[float, float]
TITLES = {"time": "time of a run: training, fitting and reconstruction", "memory": "peak memory of a run"}


@dataclass(frozen=True)
class Point:
    """An entry in the chart. cost: positive seconds or megabytes. label, cost_text: value and cost as formatted text."""

    name: str
    is_baseline: bool
    value: float
    cost: float
    label: str
    cost_text: str


def cost_chart(points: Sequence[Point], title: str, better: str, over: str) -> Spec:
    """Return a chart of points over "time" or "memory" on a logarithmic axis."""
    front = front_of(points, better)
    places = _positions(points)
    first = sorted(range(len(points)), key=lambda number: not front[number])
    lines = _steps(sorted(place for place, is_first in zip(places, front) if is_first))
    where, names = [places[number] for number in first], [points[number].name for number in first]
    wide, narrow = (_labels(where, names, (width, HEIGHT - 60.0), lines) for width in (WIDE, NARROW))
    records = [
        {"name": p.name, "kind": "baseline" if p.is_baseline else "method", "value": p.value, "cost": p.cost}
        | {"label": p.label, "cost_text": p.cost_text, "front": front[number]}
        for number, p in enumerate(points)
    ]
    costs = [p.cost for p in points]
    x = quantity("cost", TITLES[over], True, axis=_ticks(costs, over), scale={"padding": 30, **_domain(costs)})
    y = quantity("value", title, scale={"padding": 24})
    layers = [front_line(x, y, "cost")] if sum(front) > 1 else []
    layers.append(_marks(x, y, over))
    for own, shown in ((wide, f"width >= {WIDE:.0f}"), (narrow, f"width < {WIDE:.0f}")):
        layers += [_names([records[first[at]] for at in numbers], label, shown, x, y) for label, numbers in own.items()]
    return layered(records, layers)


def front_of(points: Sequence[Point], better: str) -> list[bool]:
    """Return for each point whether it is on the Pareto front of value and cost."""
    return [bool(flag) for flag in pareto_front([p.value for p in points], [p.cost for p in points], better)]


def _domain(costs: Sequence[float]) -> Spec:
    """Return the domain of the axis if all costs are equal, which would otherwise give an axis without extent."""
    return {} if max(costs) > min(costs) else {"domain": [costs[0] / WIDER, costs[0] * WIDER]}


def _ticks(costs: Sequence[float], over: str) -> Spec:
    low, high = min(costs) / WIDER, max(costs) * WIDER
    inside = [(at, label) for at, label in _TICKS[over] if low <= at <= high]
    inside = inside[:: -(-len(inside) // MOST_TICKS) or 1]
    label_map = json.dumps({f"{at:g}": words for at, words in inside})
    return {"values": [at for at, _ in inside], "labelExpr": f"{label_map}[format(datum.value, '~r')]", "grid": False}


def _positions(points: Sequence[Point]) -> list[Place]:
    x, y = ([math.log(p.cost) for p in points], [p.value for p in points])
    return list(zip(_scaled(x), _scaled(y)))


def _scaled(values: Sequence[float]) -> list[float]:
    low, span = min(values), (max(values) - min(values)) or 1.0
    # The scales have padding around the outermost points.
    return [0.08 + 0.84 * (value - low) / span if max(values) > low else 0.5 for value in values]


def _steps(front: Sequence[Place]) -> list[tuple[Place, Place]]:
    """Return the segments of the stepped front line: for each step a horizontal one, then a vertical one."""
    corners = [(after[0], before[1]) for before, after in pairwise(front)]
    return [line for before, corner, after in zip(front, corners, front[1:]) for line in ((before, corner), (corner, after))]


def _labels(
    places: Sequence[Place], names: Sequence[str], size: tuple[float, float], lines: Sequence[tuple[Place, Place]]
) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for number, label in enumerate(place(places, names, size, lines)):
        if label:
            found.setdefault(label, []).append(number)
    return found


def _marks(x: Spec, y: Spec, over: str) -> Spec:
    shapes = {"domain": ["method", "baseline"], "range": ["circle", "square"]}
    legend = {"title": None, "orient": "top"}
    tips = [("name", "method"), ("label", "value"), ("cost_text", over)]
    encoding = {
        "x": x,
        "y": y,
        "color": {"field": "kind", "type": "nominal", "scale": kinds(), "legend": legend},
        "shape": {"field": "kind", "type": "nominal", "scale": shapes},
        "tooltip": [{"field": field, "title": title, "type": "nominal"} for field, title in tips],
    }
    return {"mark": {"type": "point", "filled": True, "size": 110, "opacity": 1}, "encoding": encoding}


def _names(records: Sequence[Spec], label: Any, shown: str, x: Spec, y: Spec) -> Spec:
    mark = {"type": "text", "fontSize": LABEL_SIZE, "color": ink(), "dx": label.dx, "dy": label.dy, "align": label.align}
    mark |= {"opacity": {"expr": f"{shown} ? 1 : 0"}, "baseline": "middle"}
    encoding = {"x": x, "y": y, "text": {"field": "name", "type": "nominal"}}
    return {"data": {"values": list(records)}, "mark": mark, "encoding": encoding}
