"""Plots of a sweep: the objective over trials and parameters, curves, and the Pareto front."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deep3dmap.tune.domains import Choice, Integers, Numbers
from deep3dmap.tune.journal import TrialRecord
from deep3dmap.tune.objective import Objective, best_of, front_of
from deep3dmap.tune.plan import SweepPlan

# Colour-blind safe palette (Okabe and Ito).
_COLOURS = {"ok": "#0072B2", "stopped": "#999999", "best": "#D55E00", "default": "#009E73"}
_NAMES = {"ok": "trained to the end", "stopped": "stopped early", "best": "best", "default": "as configured"}


def write_pictures(plan: SweepPlan, records: Sequence[TrialRecord], folder: Path) -> list[Path]:
    """Write the plots that the trials allow as PNG files and return their paths."""
    scored = [r for r in records if math.isfinite(plan.quality.value(r.chosen)) and r.status in _NAMES]
    if not scored:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [_history(plan, scored, folder), _parameters(plan, scored, folder)]
    if any(len(r.evaluations) > 1 for r in scored):
        drawn.append(_curves(plan, scored, folder))
    if len(plan.objectives) > 1:
        drawn += [_front(plan, scored, plan.quality, cost, folder) for cost in plan.objectives[1:]]
    return drawn


def _history(plan: SweepPlan, records: Sequence[TrialRecord], folder: Path) -> Path:
    figure, axes = _figure(7.0, 3.6)
    quality, best = plan.quality, math.inf
    running = []
    for record in records:
        if record.status == "ok":
            best = min(best, quality.loss(record.chosen))
        running.append(best * (1 if quality.better == "down" else -1))
    numbers = [record.number for record in records]
    shown = [(n, v) for n, v in zip(numbers, running) if math.isfinite(v)]
    axes.step([n for n, _ in shown], [v for _, v in shown], where="post", color="black", linewidth=1, label="best so far")
    _scatter(axes, plan, records, lambda r: r.number, quality.value)
    _exclude_outliers(axes, [quality.value(r.chosen) for r in records], quality)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set(xlabel="trial", ylabel=_label(quality))
    return _save_figure(figure, axes, folder / "history.png")


def _parameters(plan: SweepPlan, records: Sequence[TrialRecord], folder: Path) -> Path:
    from matplotlib import ticker
    from matplotlib.figure import Figure

    columns = min(3, len(plan.space.parameters))
    rows = math.ceil(len(plan.space.parameters) / columns)
    figure = Figure(figsize=(3.4 * columns, 2.7 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, (key, parameter) in zip(grid, plan.space.parameters.items()):
        with_key = [r for r in records if key in r.values]
        domain = parameter.domain
        positions = {r.number: _axis_position(domain, r.values[key]) for r in with_key}
        _scatter(axes, plan, with_key, lambda r, positions=positions: positions[r.number], plan.quality.value)
        if isinstance(domain, Choice):
            axes.set_xticks(range(len(domain.options)), [str(option) for option in domain.options])
            axes.set_xlim(-0.5, len(domain.options) - 0.5)
        elif domain.log:
            axes.set_xscale("log")
            few = domain.high / domain.low < 200
            axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if few else (1,)))
            axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        axes.set_xlabel(key + (f"\nif {parameter.condition.text()}" if parameter.condition else ""), fontsize=9)
        axes.grid(alpha=0.25)
    _exclude_outliers(grid[0], [plan.quality.value(r.chosen) for r in records], plan.quality)
    for axes in grid[::columns]:
        axes.set_ylabel(_label(plan.quality))
    for axes in grid[len(plan.space.parameters) :]:
        axes.set_visible(False)
    handles: dict[str, Any] = {}
    for axes in grid:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels())))
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    figure.savefig(folder / "parameters.png", dpi=120)
    return folder / "parameters.png"


def _curves(plan: SweepPlan, records: Sequence[TrialRecord], folder: Path) -> Path:
    figure, axes = _figure(7.0, 3.6)
    seen, best = set(), best_of(records, plan.quality)
    all_values = []
    for record in sorted(records, key=lambda r: r is best):
        kind = _kind(record, best)
        points = [(e["step"], plan.quality.value(e)) for e in record.evaluations if "step" in e]
        label = None if kind in seen else _name(kind, best)
        seen.add(kind)
        width = 2.2 if kind in ("best", "default") else 1.0
        axes.plot([s for s, _ in points], [v for _, v in points], "o-", ms=2.5, lw=width, color=_COLOURS[kind], label=label)
        all_values += [value for _, value in points]
    if min(all_values) > 0 and max(all_values) > 4 * min(all_values):
        axes.set_yscale("log")
    axes.set(xlabel="optimisation steps", ylabel=_label(plan.quality))
    return _save_figure(figure, axes, folder / "curves.png")


def _front(plan: SweepPlan, records: Sequence[TrialRecord], quality: Objective, cost: Objective, folder: Path) -> Path:
    figure, axes = _figure(5.6, 4.0)
    front = sorted(front_of(records, (quality, cost)), key=lambda r: cost.value(r.chosen))
    corners = [(cost.value(r.chosen), quality.value(r.chosen)) for r in front]
    axes.step([c for c, _ in corners], [q for _, q in corners], where="post", color="black", lw=1, label="Pareto front")
    _scatter(axes, plan, records, lambda r: cost.value(r.chosen), quality.value)
    for record in front:
        place = (cost.value(record.chosen), quality.value(record.chosen))
        axes.annotate(str(record.number), place, textcoords="offset points", xytext=(5, 5), fontsize=8)
    _exclude_outliers(axes, [quality.value(r.chosen) for r in records], quality)
    axes.set(xlabel=_label(cost), ylabel=_label(quality))
    return _save_figure(figure, axes, folder / f"pareto_{cost.title}.png")


def _scatter(axes: Any, plan: SweepPlan, records: Sequence[TrialRecord], x: Any, y: Any) -> None:
    best = best_of(records, plan.quality)
    for kind in ("stopped", "ok", "default", "best"):
        of_kind = [r for r in records if _kind(r, best) == kind]
        if of_kind:
            size = 60 if kind in ("best", "default") else 28
            marker = {"best": "*", "default": "D"}.get(kind, "o")
            positions, values = [x(r) for r in of_kind], [y(r.chosen) for r in of_kind]
            scale = 2.0 if kind == "best" else 1.0
            axes.scatter(positions, values, size * scale, _COLOURS[kind], marker=marker, label=_name(kind, best), zorder=3)


def _name(kind: str, best: TrialRecord | None) -> str:
    return "best (as configured)" if kind == "best" and best is not None and best.is_default else _NAMES[kind]


def _kind(record: TrialRecord, best: TrialRecord | None) -> str:
    return "best" if best is not None and record.number == best.number else "default" if record.is_default else record.status


def _axis_position(domain: Numbers | Integers | Choice, value: Any) -> float:
    if not isinstance(domain, Choice):
        return float(value)
    return float(round(domain.to_unit(value) * max(1, len(domain.options) - 1))) if domain.contains(value) else math.nan


def _exclude_outliers(axes: Any, values: Sequence[float], quality: Objective) -> None:
    """Exclude outliers from the range of the axis, so that trials close to the best can be distinguished."""
    sign = 1 if quality.better == "down" else -1
    losses = np.sort(sign * np.asarray(values))
    threshold = losses[0] + 3 * max(np.quantile(losses, 0.75) - losses[0], 1e-12)
    if losses[-1] > threshold:
        edge = losses[losses <= threshold][-1]
        margin = 0.08 * max(edge - losses[0], 1e-12)
        low, high = sorted((sign * (losses[0] - margin), sign * (edge + margin)))
        axes.set_ylim(low, high)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    return figure, axes


def _save_figure(figure: Any, axes: Any, file: Path) -> Path:
    # Above the plot, because a trial may be anywhere inside it.
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=5, frameon=False, fontsize=9)
    figure.savefig(file, dpi=120)
    return file


def _label(objective: Objective) -> str:
    return objective.title + (f" [{objective.unit}]" if objective.unit else "")
