"""Conversion of a finished or failed run to rows of the result tables."""

import json
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from deep3dmap.core.card import SuiteCard
from deep3dmap.core.errors import unknown
from deep3dmap.core.secrets import hide, hide_in_text
from deep3dmap.results.schema import CurveRow, MetricRow, RunRow
from deep3dmap.runs.run_plan import RunPlan
from deep3dmap.runs.scoring import Scores
from deep3dmap.train.curve_writer import read_curves
from deep3dmap.train.resources import hardware, packages, peak_gpu_mb, peak_ram_mb


@dataclass
class Outcome:
    """The outcome of a run, from which its rows are written.

    peak_ram_mb, peak_gpu_mb: peak memory of the training process, or None if it is the current process.
    """

    status: str = "ok"
    error: str = ""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    train_s: float = 0.0
    steps: int = 0
    cut_short: str = ""
    device: str = "cpu"
    parameters: int = 0
    peak_ram_mb: float | None = None
    peak_gpu_mb: float | None = None
    checkpoint_uri: str = ""
    artifacts_uri: str = ""
    scores: Scores = field(default_factory=Scores)
    curves: list[dict[str, Any]] = field(default_factory=list)


def run_row(plan: RunPlan, attempt: int, task: str, outcome: Outcome) -> RunRow:
    """Return the row of the runs table."""
    commit, dirty = git_state(Path.cwd())
    config = json.dumps(hide(plan.config), sort_keys=True)
    return RunRow(
        run_id=plan.run_id,
        attempt=attempt,
        suite=plan.suite,
        protocol_version=plan.protocol_version,
        tier=plan.tier,
        task=task,
        method=plan.method,
        variant=plan.variant,
        method_version=plan.method_version,
        dataset=plan.dataset,
        dataset_variant=plan.dataset_variant,
        dataset_version=plan.dataset_version,
        seed=plan.seed,
        config=config,
        inputs=list(plan.inputs),
        git_commit=commit,
        git_dirty=dirty,
        packages=json.dumps(packages()),
        hardware=json.dumps(hardware()),
        engine=str(plan.config["trainer"]["engine"]),
        backends=json.dumps(outcome.scores.notes, default=str),
        status=outcome.status,
        error=hide_in_text(outcome.error, plan.config),
        started_at=outcome.started_at,
        train_s=outcome.train_s,
        reconstruct_s=outcome.scores.reconstruct_s,
        evaluate_s=outcome.scores.evaluate_s,
        peak_ram_mb=peak_ram_mb() if outcome.peak_ram_mb is None else outcome.peak_ram_mb,
        peak_gpu_mb=peak_gpu_mb() if outcome.peak_gpu_mb is None else outcome.peak_gpu_mb,
        parameters=outcome.parameters,
        steps=outcome.steps or outcome.scores.fit_steps,
        checkpoint_uri=outcome.checkpoint_uri,
        artifacts_uri=outcome.artifacts_uri,
        command=plan.command,
        scene=plan.scene,
        fit_s=outcome.scores.fit_s,
        render_fps=outcome.scores.rendered / outcome.scores.render_s if outcome.scores.render_s else 0.0,
        cut_short=outcome.cut_short or outcome.scores.cut_short,
        device=outcome.device,
    )


def metric_rows(plan: RunPlan, attempt: int, card: SuiteCard, scores: Scores) -> list[MetricRow]:
    """Return one row per scene and metric, and rows with an empty scene for the summary metrics.

    Raises UserError for a metric that is not on the suite's card.
    """
    metrics = {metric.name: metric for metric in card.metrics}
    rows = []
    for scene, values in [*scores.per_scene.items(), ("", scores.summary)]:
        for name, value in values.items():
            if name not in metrics:
                raise unknown(f"metric of the suite '{card.title}'", name, metrics)
            metric = metrics[name]
            rows.append(MetricRow(plan.run_id, attempt, scene, name, float(value), metric.unit, metric.better))
    return rows


def curve_rows(run_id: str, attempt: int, curves: list[dict[str, Any]]) -> list[CurveRow]:
    """Return the rows for the curve points of training and of the fits to scenes."""
    return [
        CurveRow(run_id, attempt, int(p["step"]), float(p["seconds"]), p["name"], float(p["value"]), p.get("scene", ""))
        for p in curves
    ]


def curves_of(folder: Path) -> list[dict[str, Any]]:
    """Return the points of all curves in a run's folder; points of a fit include the scene."""
    points = read_curves(folder / "curves.jsonl")
    for file in sorted(folder.glob("scenes/*/curves.jsonl")):
        points += [{**point, "scene": file.parent.name} for point in read_curves(file)]
    return points


@cache
def git_state(folder: Path) -> tuple[str, bool]:
    """Return the commit of a folder and whether it has uncommitted changes; ("", False) outside a checkout.

    Cached, because a sweep writes thousands of rows and the code of a running process does not change.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=folder)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except OSError:
        return "", False
