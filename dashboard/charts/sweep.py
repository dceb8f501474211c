"""Charts of a sweep: values of its trials in order, parallel coordinates of its settings, and quality against cost."""

import math
from collections.abc import Sequence
from typing import Any

from deep3dmap.dashboard.charts.chart import Spec, blue, front_line, layered, quantity
from deep3dmap.dashboard.look import GREEN, GREY, one_line
from deep3dmap.results.pareto import pareto_front
from deep3dmap.results.sweeps import Sweep, Trial, is_number

HEIGHT, TICKS = 320, 5
# Above the lines, so that they do not cross the text.
TICK = {"type": "text", "dx": 6, "dy": -7, "align": "left", "fontSize": 10}
ENDS = {"domain": ["completed", "ended early", "best"]}


def history_chart(sweep: Sweep, title: str) -> Spec:
    """Return a chart of the value of each trial and the best value so far."""
    scored = [trial for trial in sweep.trials if trial.value is not None]
    best, line = float("inf"), []
    for trial in scored:
        best = min(best, sweep.loss(trial)) if trial.status == "ok" else best
        if best < float("inf"):
            line.append({"trial": trial.number, "value": -best if sweep.better == "up" else best})
    x = quantity("trial", "trial", label="d", axis={"tickMinStep": 1})
    y = quantity("value", title, scale={"padding": 12})
    mark = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.5, "color": GREY}
    layers = [{"data": {"values": line}, "mark": mark, "encoding": {"x": x, "y": y}}, _points(x, y)]
    return layered([_record(sweep, trial) for trial in scored], layers, HEIGHT)


def front_chart(sweep: Sweep, title: str, over: str) -> Spec:
    """Return a chart of value against "seconds" or "memory" for successful trials, with the Pareto front."""
    ended = [trial for trial in sweep.trials if trial.value is not None and trial.status == "ok"]
    records = [_record(sweep, trial) for trial in ended]
    flags = pareto_front([record["value"] for record in records], [record[over] for record in records], sweep.better)
    x = quantity(over, "seconds of training" if over == "seconds" else "peak memory, MB", scale={"padding": 20})
    y = quantity("value", title, scale={"padding": 12})
    layers = [front_line(x, y, over), _points(x, y)] if sum(map(bool, flags)) > 1 else [_points(x, y)]
    return layered([{**record, "front": bool(flag)} for record, flag in zip(records, flags)], layers, HEIGHT)


def parallel_chart(sweep: Sweep) -> Spec:
    """Return a parallel-coordinates chart with a line per trial over its settings and value; better trials are bluer."""
    scored = sorted((trial for trial in sweep.trials if trial.value is not None), key=sweep.loss)
    lines: list[Spec] = []
    ticks: list[Spec] = []
    keys = [*sweep.parameters, sweep.metric]
    names = _axis_names(keys)
    for key, name in zip(keys, names):
        having = [(at, trial, value) for at, trial in enumerate(scored) if (value := _value(sweep, trial, key)) is not None]
        shares, marks = _axis([value for _, _, value in having])
        ticks.extend({"axis": name, "share": share, "label": label} for share, label in marks)
        lines.extend(
            {"trial": trial.number, "axis": name, "share": shares[value], "order": 1 - at / len(scored)}
            for at, trial, value in having
        )
    x: Spec = {"field": "axis", "type": "nominal", "sort": names, "title": None, "scale": {"padding": 0.4}}
    x["axis"] = {"labelAngle": 0, "orient": "top", "domain": False, "ticks": False, "grid": True}
    y = {"field": "share", "type": "quantitative", "axis": None, "scale": {"domain": [-0.03, 1.03]}}
    color = {"field": "order", "type": "quantitative", "scale": {"range": ["#B8C4CC", blue()]}, "legend": None}
    line: Spec = {"x": x, "y": y, "color": color, "detail": {"field": "trial"}, "tooltip": [{"field": "trial"}]}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 1.5, "opacity": 0.75, "point": {"size": 14}}, "encoding": line},
        {
            "data": {"values": ticks},
            "mark": {**TICK, "color": GREY},
            "encoding": {"x": x, "y": y, "text": {"field": "label"}},
        },
    ]
    return layered(lines, layers, HEIGHT)


def _axis_names(keys: Sequence[str]) -> list[str]:
    """Return a name for each axis: the last part of its key, or the whole key if the last part is not unique."""
    ends = [key.rpartition(".")[2] for key in keys]
    return [one_line(end if ends.count(end) == 1 else key, 22) for key, end in zip(keys, ends)]


def _value(sweep: Sweep, trial: Trial, name: str) -> Any:
    value = trial.value if name == sweep.metric else trial.settings.get(name)
    return value if is_number(value) or value is None else str(value)


def _axis(values: Sequence[Any]) -> tuple[dict[Any, float], list[tuple[float, str]]]:
    """Return the position of each value on an axis from 0 to 1, and its tick labels as (position, text).

    Texts and small numbers of values are evenly spaced.
    """
    unique = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    if len(unique) > TICKS and all(map(is_number, unique)):
        low, high = unique[0], unique[-1]
        # Use a logarithmic scale for values such as learning rates that span orders of magnitude.
        is_log = low > 0 and high / low > 20
        scaled = {v: (math.log(v / low) / math.log(high / low)) if is_log else (v - low) / (high - low) for v in unique}
        return scaled, [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")]
    shares = {value: at / (len(unique) - 1) if len(unique) > 1 else 0.5 for at, value in enumerate(unique)}
    return shares, [(share, f"{value:.4g}" if is_number(value) else one_line(value, 16)) for value, share in shares.items()]


def _record(sweep: Sweep, trial: Trial) -> dict[str, Any]:
    is_best = sweep.best is not None and trial.number == sweep.best.number
    kind = "best" if is_best else "completed" if trial.status == "ok" else "ended early"
    settings = ", ".join(f"{name.rpartition('.')[2]} {one_line(value, 16)}" for name, value in trial.settings.items())
    return {"trial": trial.number, "value": trial.value, "kind": kind, "settings": settings} | {
        "seconds": trial.seconds,
        "memory": trial.memory_mb,
    }


def _points(x: Spec, y: Spec) -> Spec:
    color = {"field": "kind", "type": "nominal", "scale": {**ENDS, "range": [blue(), GREY, GREEN]}}
    color["legend"] = {"title": None, "orient": "top"}
    tips = [
        {"field": "trial"},
        {"field": "value", "format": ".4~g", "type": "quantitative"},
        {"field": "settings"},
    ]
    return {
        "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
        "encoding": {"x": x, "y": y, "color": color, "tooltip": tips},
    }
