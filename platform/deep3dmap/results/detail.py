"""All details of one run, and all runs as one flat table."""

import json
import math
from typing import Any

import pandas as pd

from deep3dmap.results.store import ResultStore

ERROR_LINES = 15
# Columns added in later versions; omitted where empty.
_ADDED = ("fit_s", "render_fps", "reproduces")
_FACTS = (
    *("run_id", "attempt", "status", "suite", "protocol_version", "tier", "task", "method", "variant", "method_version"),
    *(
        "dataset",
        "dataset_variant",
        "dataset_version",
        "seed",
        "inputs",
        "started_at",
        "train_s",
        "reconstruct_s",
        "evaluate_s",
    ),
    *("scene", "cut_short", "fit_s", "render_fps", "verdict", "verdict_at", "reproduces"),
    *("peak_ram_mb", "peak_gpu_mb", "parameters", "steps", "engine", "git_commit", "git_dirty", "hardware", "packages"),
    *("checkpoint_uri", "artifacts_uri", "command"),
)


def run_detail(store: ResultStore, run_id: str) -> dict[str, Any]:
    """Return the details (see `detail_of`) of a run's current attempt; raises KeyError for an unknown id."""
    runs = store.runs()
    own = runs[runs.run_id == run_id]
    if own.empty:
        raise KeyError(run_id)
    return detail_of(store, own.iloc[0], store.metrics(own))


def detail_of(store: ResultStore, run: "pd.Series[Any]", metrics: pd.DataFrame) -> dict[str, Any]:
    """Return facts, config, error, metrics {scene: {metric: value}}, units and pictures of a run from its row and metrics.

    Metrics of the whole run are stored under the scene "". Values that are not finite are None.
    """
    facts = {name: _plain(run[name]) for name in _FACTS}
    scenes = {scene: dict(zip(rows.metric, map(_number, rows.value))) for scene, rows in metrics.groupby("scene", sort=True)}
    return {
        "facts": {
            name: value for name, value in facts.items() if value not in ("", None) and not (name in _ADDED and not value)
        },
        "config": json.loads(run.config),
        "error": "\n".join(run.error.strip().splitlines()[-ERROR_LINES:]),
        "metrics": scenes,
        "units": dict(zip(metrics.metric, metrics.unit)),
        "pictures": pictures(store, str(run.run_id), int(run.attempt)),
    }


def pictures(store: ResultStore, run_id: str, attempt: int) -> list[str]:
    """Return the locations of an attempt's PNG pictures, sorted."""
    return store.artifacts(run_id, attempt, ".png")


def joined_table(store: ResultStore, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one row per run, scene and metric, including the run's columns; a run without metrics has one row."""
    chosen = store.runs() if runs is None else runs
    metrics = store.metrics(chosen).drop(columns="schema_version")
    joined = chosen.rename(columns={"scene": "_scene"}).merge(metrics, on=["run_id", "attempt"], how="left")
    return joined.assign(scene=joined.scene.fillna(joined._scene)).drop(columns="_scene")


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return ", ".join(value)
    if value is pd.NaT:
        return None
    return value.isoformat() if isinstance(value, pd.Timestamp) else value
