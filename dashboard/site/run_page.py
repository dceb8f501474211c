"""The page of a run: its values, curves and scenes, and how it was made."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from deep3dmap.dashboard import scene_cards
from deep3dmap.dashboard.look import number, with_unit
from deep3dmap.dashboard.site.folder import SiteFolder
from deep3dmap.dashboard.site.scene_page import VIEWER, picture, viewer
from deep3dmap.dashboard.site.shell import page, table
from deep3dmap.results.attempt_numbers import check_id
from deep3dmap.results.detail import detail_of
from deep3dmap.results.export import significant
from deep3dmap.results.kept_scenes import SavedScene, find_saved_scenes
from deep3dmap.results.schema import JSON_COLUMNS
from deep3dmap.results.store import ResultStore

WIDTH, HEIGHT, EDGE = 320, 120, 4
POINTS = 400
PLACES, TIMES = ("checkpoint_uri", "artifacts_uri"), ("started_at", "verdict_at")


def run_page(
    site: SiteFolder,
    store: ResultStore,
    run: "pd.Series[Any]",
    metrics: pd.DataFrame,
    curves: pd.DataFrame,
    order: Sequence[str],
    trail: Sequence[tuple[str, str]],
) -> None:
    """Write the page of a run, given its row, metrics and curves. order: names of the metrics to list first."""
    run_id = check_id(str(run.run_id))
    detail = detail_of(store, run, metrics)
    title = f"{run.method}/{run.variant}"
    scenes = [scene for scene in detail["metrics"] if scene]
    kept = find_saved_scenes(store, run_id, int(run.attempt), scenes)
    parts = [f"<p>{escape(f'{run.status} · {run.dataset}/{run.dataset_variant} · seed {run.seed} · run {run_id}')}</p>"]
    if detail["error"]:
        parts.append(f"<h2>Error</h2><pre>{escape(detail['error'])}</pre>")
    parts += [_metrics(detail["metrics"], detail["units"], order), _curves(curves), *_scenes(site, kept)]
    facts = [[escape(name), escape(_format_fact(name, value))] for name, value in _remove_local_paths(detail["facts"]).items()]
    config = escape(json.dumps({key: own for key, own in detail["config"].items() if key != "results"}, indent=1))
    parts.append(f"<h2>How it was made</h2>{table(('field', 'value'), facts, 'plain facts')}")
    parts.append(f"<details><summary>Configuration</summary><pre>{config}</pre></details>")
    site.write(f"runs/{run_id}.html", page(title, "".join(parts), 1, VIEWER, trail))


def _remove_local_paths(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts without paths on the machine where the run took place."""
    found = {name: value for name, value in facts.items() if name not in PLACES}
    words = str(found.get("command", "")).split()
    if words:
        kept = [PurePath(words[0]).name, *(word for word in words[1:] if not word.startswith("results="))]
        found["command"] = " ".join(kept)
    return found


def _metrics(metrics: Mapping[str, Mapping[str, float | None]], units: Mapping[str, str], order: Sequence[str]) -> str:
    if not metrics:
        return ""
    present = {name for values in metrics.values() for name in values}
    names = [*(name for name in order if name in present), *sorted(present - set(order))]
    heads = ["scene", *(with_unit(name, units.get(name, "")) for name in names)]
    named = {"mean over scenes": _means(metrics)} | {scene or "whole run": values for scene, values in metrics.items()}
    rows = [[scene, *(number(values.get(name)) for name in names)] for scene, values in named.items() if values]
    return f"<h2>Values</h2>{scene_cards.table(heads, rows, [None] * len(rows))}"


def _means(metrics: Mapping[str, Mapping[str, float | None]]) -> dict[str, float]:
    scenes = [values for scene, values in metrics.items() if scene]
    means = pd.DataFrame(scenes, dtype=float).mean()
    return {str(name): float(value) for name, value in means.items()} if len(scenes) > 1 else {}


def _curves(curves: pd.DataFrame) -> str:
    drawn = []
    for (scene, name), own in curves.groupby(["scene", "name"], sort=True):
        known = own[np.isfinite(own.value)].sort_values("step")
        if len(known):
            title = f"{name}, {scene}" if scene else str(name)
            drawn.append(f"<figure>{_line(known)}<figcaption>{escape(title)}</figcaption></figure>")
    return f"<h2>Curves</h2><div class=site-curves>{''.join(drawn)}</div>" if drawn else ""


def _line(points: pd.DataFrame) -> str:
    """Return a drawing of a curve over the steps, with its first and last values."""
    some = points.iloc[np.unique(np.linspace(0, len(points) - 1, POINTS).round().astype(int))]
    x, y = (_scaled(some[name].to_numpy(float), size) for name, size in (("step", WIDTH), ("value", HEIGHT)))
    places = " ".join(f"{a:.1f},{HEIGHT - b:.1f}" for a, b in zip(x, y))
    dots = f'<circle cx="{x[-1]:.1f}" cy="{HEIGHT - y[-1]:.1f}" r="3"/>'
    ends = f"step {some.step.iloc[0]}: {significant(some.value.iloc[0])}, step {some.step.iloc[-1]}: "
    ends += significant(some.value.iloc[-1])
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><polyline points="{places}"/>{dots}</svg><small>{escape(ends)}</small>'
    )


def _scaled(values: Any, size: int) -> Any:
    span = float(values.max() - values.min()) or 1.0
    return EDGE + (values - values.min()) / span * (size - 2 * EDGE)


def _scenes(site: SiteFolder, kept: Mapping[str, SavedScene]) -> list[str]:
    parts = []
    for scene, one in kept.items():
        content = scene_cards.tiles(one, lambda own, name: picture(site, own, name))
        content += viewer(site, {scene: one})
        if not one.tiles and one.pictures:
            sheets = "".join(scene_cards.tile(picture(site, one, name), name) for name in one.pictures)
            content += f"<div class=site-sheets>{sheets}</div>"
        if content:
            parts.append(scene_cards.card(scene, "", "", content))
    return [f"<h2>Scenes</h2><div class=site-cards>{''.join(parts)}</div>", scene_cards.error_note()] if parts else []


def _format_fact(name: str, value: Any) -> str:
    if name in JSON_COLUMNS and isinstance(found := json.loads(value), dict):
        return ", ".join(f"{key} {own}" for key, own in found.items() if own is not None)
    if name in TIMES:
        return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, float):
        return significant(value)
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
