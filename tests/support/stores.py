"""A synthetic result store, as left by two benchmarks, for testing tables, commands and the dashboard without training."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from deep3dmap.results.run_id import RunKey
from deep3dmap.results.schema import CurveRow, MetricRow, RunRow
from deep3dmap.results.store import ResultStore

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PERCENT = "% of sqrt(w h)"

SUITES: dict[str, dict[str, Any]] = {
    "face": {
        "title": "Faces: alignment and reconstruction from one photograph",
        "task": {"name": "face", "given": ["image", "box"], "wanted": ["landmarks", "position_map"], "meaning": "the surface"},
        "metrics": {
            "nme_68_2d": (PERCENT, "down"),
            "pose_mae": ("degrees", "down"),
            "nme_68_2d_mean_of_bins": (PERCENT, "down"),
        },
        "headline": "nme_68_2d",
        "dataset": "heads",
    },
    "indoor": {
        "title": "Rooms from posed RGB-D",
        "task": {
            "name": "rooms",
            "given": ["images", "depths", "cameras"],
            "wanted": ["mesh"],
            "meaning": "the mesh of the room",
        },
        "metrics": {"f_score_5cm": ("%", "up"), "chamfer": ("m", "down")},
        "headline": "f_score_5cm",
        "dataset": "rooms",
    },
}


@dataclass(frozen=True)
class Entrant:
    """A method in the synthetic store. level: its mean value of each metric."""

    suite: str
    name: str
    variant: str
    inputs: tuple[str, ...]
    level: dict[str, float]
    train_s: float
    reconstruct_s: float
    parameters: int
    is_baseline: bool = False


ENTRANTS = (
    Entrant("face", "prnet", "mini", ("image", "box"), {"nme_68_2d": 4.2, "pose_mae": 6.0}, 620.0, 1.5, 1_250_000),
    Entrant("face", "prnet", "wide", ("image", "box"), {"nme_68_2d": 3.9, "pose_mae": 5.5}, 1900.0, 3.5, 13_400_000),
    Entrant("face", "mean_face", "default", ("box",), {"nme_68_2d": 11.8, "pose_mae": 24.0}, 2.5, 0.1, 0, True),
    Entrant("indoor", "tsdf_fusion", "default", ("depths", "cameras"), {"f_score_5cm": 91.0, "chamfer": 0.021}, 0.0, 14.0, 0),
    Entrant("indoor", "mean_depth_plane", "default", ("cameras",), {"f_score_5cm": 12.5, "chamfer": 0.42}, 1.0, 2.0, 0, True),
)


def build_store(folder: Path, seeds: int = 3, scenes: int = 6) -> ResultStore:
    """Fill a store: suites face and indoor, five entrants with two baselines, two failed runs, one of them retried.

    The method `broken_net` of the face suite has failed runs only. Runs have curves, and pictures of the first scenes.
    """
    store = ResultStore(str(folder))
    write_suites(store)
    for entrant in ENTRANTS:
        write_method(store, entrant.name, entrant.inputs, entrant.is_baseline)
        for seed in range(seeds):
            write_run(store, entrant, seed, scenes)
    _write_failures(store)
    return store


def write_suites(store: ResultStore) -> None:
    """Write the cards of both suites and their datasets."""
    for name, suite in SUITES.items():
        metrics = [
            {"name": metric, "unit": unit, "better": better, "meaning": f"what {metric} means"}
            for metric, (unit, better) in suite["metrics"].items()
        ]
        card = {key: suite[key] for key in ("title", "task", "headline")}
        card |= {"version": 1, "metrics": metrics, "reference": "A reference", "datasets": [suite["dataset"]]}
        store.write_card("suite", name, "1", {"name": name, "card": card, "readme": f"# {name}\n\nHow it is measured."})
        dataset = {"title": f"Procedural {suite['dataset']}", "provides": suite["task"]["given"], "splits": ["train", "test"]}
        dataset |= {"frame": "world", "unit": "metre", "licence": "Apache-2.0", "source": "generated", "needs_root": False}
        store.write_card(
            "dataset", suite["dataset"], "d1", {"name": suite["dataset"], "card": dataset, "options": [], "variants": {}}
        )


def write_method(store: ResultStore, name: str, inputs: tuple[str, ...], is_baseline: bool = False) -> None:
    """Write the card of a method."""
    card = {"title": f"The title of {name}", "authors": "A. Author and B. Author", "year": 2018, "paper": "https://example.org"}
    card |= {
        "tasks": ["face"],
        "consumes": list(inputs),
        "produces": ["landmarks"],
        "licence": "MIT",
        "trains_on": list(inputs),
    }
    options = [{"name": "width", "type": "int", "default": 16, "help": "channels of the first layer"}]
    page = {"name": name, "card": {**card, "is_baseline": is_baseline}, "options": options, "variants": {"mini": {"width": 8}}}
    store.write_card("method", name, "v1", {**page, "readme": f"# {name}\n\nWhat it does."})


def write_run(store: ResultStore, entrant: Entrant, seed: int, scenes: int = 6) -> RunRow:
    """Write one finished run with its metrics, curves and pictures, with reproducible values."""
    run = run_row(entrant, seed)
    attempt = store.next_attempt(run.run_id)
    folder = Path(store.artifacts_path(run.run_id, attempt))
    run = replace(run, attempt=attempt, artifacts_uri=str(folder), reconstruct_s=entrant.reconstruct_s * scenes)
    write_pictures(folder, min(scenes, 2), seed)
    store.write_attempt(run, metric_rows(run, entrant, scenes), curve_rows(run) if entrant.parameters else [])
    store.write_trial_state(run.run_id, "ok", f"{run.method}/{run.variant} on {run.dataset}, seed {seed}")
    return run


def run_row(entrant: Entrant, seed: int, **changes: Any) -> RunRow:
    """Return the row of a finished run; `changes` replace fields."""
    suite = SUITES[entrant.suite]
    config = {"method": {"width": 8 if entrant.variant == "mini" else 16}, "trainer": {"max_seconds": 600, "engine": "auto"}}
    key = RunKey(
        entrant.suite,
        1,
        "quick",
        entrant.name,
        entrant.variant,
        "v1",
        config,
        suite["dataset"],
        "d1",
        changes.get("seed", seed),
    )
    row = RunRow(
        run_id=key.run_id,
        attempt=1,
        suite=entrant.suite,
        protocol_version=1,
        tier="quick",
        task=suite["task"]["name"],
        method=entrant.name,
        variant=entrant.variant,
        method_version="v1",
        dataset=suite["dataset"],
        dataset_variant="quick",
        dataset_version="d1",
        seed=seed,
        config=json.dumps(config, sort_keys=True),
        inputs=list(entrant.inputs),
        git_commit="0123456789abcdef0123456789abcdef01234567",
        git_dirty=False,
        packages=json.dumps({"deep3dmap": "0.1.0", "torch": "2.13.0"}),
        hardware=json.dumps({"cpu": "A processor", "cores": 2, "gpu": ""}),
        engine="auto",
        backends=json.dumps({}),
        status="ok",
        error="",
        started_at=START + timedelta(minutes=10 * seed, hours=[e.name for e in ENTRANTS].index(entrant.name)),
        train_s=entrant.train_s + seed,
        reconstruct_s=entrant.reconstruct_s,
        evaluate_s=2.0,
        peak_ram_mb=812.0 + 10 * seed,
        peak_gpu_mb=0.0,
        parameters=entrant.parameters,
        steps=400 if entrant.parameters else 0,
        checkpoint_uri="",
        artifacts_uri="",
        command=f"deep3dmap benchmark suite={entrant.suite} tier=quick",
    )
    return replace(row, **changes)


def metric_rows(run: RunRow, entrant: Entrant, scenes: int) -> list[MetricRow]:
    """Return the metrics of each scene around the entrant's level, with effects of the scene and the seed."""
    metrics = SUITES[entrant.suite]["metrics"]
    generator = np.random.default_rng([run.seed, len(entrant.name), len(entrant.variant)])
    rows = []
    for name, level in entrant.level.items():
        unit, better = metrics[name]
        for scene in range(scenes):
            value = level * (1 + 0.04 * (scene - (scenes - 1) / 2) / scenes + 0.02 * generator.standard_normal())
            rows.append(MetricRow(run.run_id, run.attempt, f"scene_{scene:02d}", name, float(value), unit, better))
    if "nme_68_2d" in entrant.level:
        value = float(np.mean([row.value for row in rows if row.metric == "nme_68_2d"])) * 1.05
        rows.append(MetricRow(run.run_id, run.attempt, "", "nme_68_2d_mean_of_bins", value, PERCENT, "down"))
    return rows


def curve_rows(run: RunRow, points: int = 40) -> list[CurveRow]:
    """Return a decreasing loss curve."""
    steps = np.linspace(1, run.steps, points).astype(int)
    return [
        CurveRow(run.run_id, run.attempt, int(step), run.train_s * step / run.steps, "loss", float(np.exp(-step / 120) + 0.1))
        for step in steps
    ]


def write_pictures(folder: Path, scenes: int, seed: int) -> None:
    """Write two small pictures for each of the first scenes."""
    for scene in range(scenes):
        place = folder / f"scene_{scene:02d}"
        place.mkdir(parents=True, exist_ok=True)
        ramp = np.linspace(0, 255, 48, dtype=np.uint8)
        for index, name in enumerate(("contact_sheet.png", "error.png")):
            pixels = np.stack(
                [np.tile(ramp, (32, 1)), np.full((32, 48), 60 * seed), np.full((32, 48), 90 * index + 30 * scene)], 2
            )
            Image.fromarray(pixels.astype(np.uint8)).save(place / name)


def _write_failures(store: ResultStore) -> None:
    prnet = ENTRANTS[0]
    diverged = run_row(prnet, 7, status="diverged", error="step 31: loss is nan (position 0.8, edges nan)")
    store.write_attempt(diverged, [], [])
    store.write_trial_state(diverged.run_id, "diverged", "prnet/mini on heads, seed 7")
    write_method(store, "broken_net", ("image",))
    broken = replace(prnet, name="broken_net", variant="default", inputs=("image",))
    trace = (
        'Traceback (most recent call last):\n  File "broken.py", line 3, in forward\nRuntimeError: shapes do not match: 3 and 4'
    )
    row = replace(run_row(prnet, 0), run_id="b0" * 8, method=broken.name, variant="default", inputs=["image"])
    row = replace(row, status="failed", error=trace, train_s=0.4, parameters=0, steps=0)
    store.write_attempt(row, [], [])
    store.write_trial_state(row.run_id, "failed", "broken_net/default on heads, seed 0")
    retried = run_row(ENTRANTS[3], 0)
    late = retried.started_at + timedelta(days=1)
    store.write_attempt(
        replace(retried, attempt=2, status="out_of_memory", error="MemoryError", started_at=late, train_s=0.0), [], []
    )
